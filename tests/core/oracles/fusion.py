"""Arcee fusion: what changed most by size and by divergence of its row is taken, the rest is the base's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from whole_tensor import words_of

from oracles.numbers import Made, inputs_of, ranks, row_sums, rows_of

__all__ = ["METHODS", "arcee_fusion"]


def arcee_fusion(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    shape: Sequence[int],
    kind: Any = None,
    **others: Any,
) -> Made:
    """The model's value where its importance is above the median by one and a half interquartile ranges."""
    inputs = inputs_of(models, base, dtype, out, kind)
    kind, (model,), (delta,) = inputs.kind, inputs.models, inputs.deltas
    with np.errstate(all="ignore"):
        wide = np.promote_types(kind, np.float64).type
        ours, theirs = (shares(rows_of(values, shape).astype(wide)) for values in (model, inputs.base))
        divergence = row_sums(ours * logarithms(ours / theirs)).astype(kind)
        importance = (np.abs(rows_of(delta, shape)) * divergence[:, None]).reshape(-1)
        ascending = importance[np.argsort(ranks(importance), kind="stable")]
        last = importance.size - 1
        low, middle, high = (ascending[int(part * last)] for part in (0.25, 0.5, 0.75))
        limit = middle + kind(1.5) * (high - low)
        taken = importance >= limit
        words = words_of(np.where(taken, inputs.base + delta, inputs.base), out)
    return Made(words, {}, [taken], np.maximum(np.abs(inputs.base), np.abs(model)))


def shares(rows: np.ndarray) -> np.ndarray:
    """The softmax of each row, a little above zero."""
    powers = exponentials(rows - rows.max(axis=1, keepdims=True))
    return powers / row_sums(powers)[:, None] + 1e-8


def exponentials(values: np.ndarray) -> np.ndarray:
    """torch's, as those of the design: numpy's differ in their last bits. numpy's of long doubles."""
    if values.dtype == np.longdouble:
        return np.exp(values)
    return torch.from_numpy(np.ascontiguousarray(values)).exp().numpy()


def logarithms(values: np.ndarray) -> np.ndarray:
    """Likewise."""
    if values.dtype == np.longdouble:
        return np.log(values)
    return torch.from_numpy(np.ascontiguousarray(values)).log().numpy()


METHODS: dict[str, Callable[..., Made]] = {"arcee_fusion": arcee_fusion}
