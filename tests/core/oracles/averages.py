"""Methods that weigh sub-models by their differences: sce, ram, ramplus_tl; nearswap and passthrough.

Sce: arXiv:2408.07990. Ram and ram+: arXiv:2601.13572.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from whole_tensor import words_of

from oracles.numbers import Made, converted, elected, inputs_of, positions_from_largest, total

__all__ = ["METHODS", "nearswap", "passthrough", "ram", "sce"]


def sce(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    select_topk: float = 1.0,
    epsilon: float = 0.0,
    kind: Any = None,
    **others: Any,
) -> Made:
    """Select the elements whose differences vary most, weigh by mean squares, elect by mass."""
    inputs = inputs_of(models, base, dtype, out, kind)
    kind, deltas, many = inputs.kind, inputs.deltas, len(models)
    with np.errstate(all="ignore"):
        kept = np.ones(len(base), bool)
        if select_topk < 1:
            varying = variance(deltas, kind)
            count = max(0, math.trunc(int((varying != 0).sum()) * select_topk))
            kept = positions_from_largest(varying) < count
        terms = [np.where(kept, delta, kind(0)) for delta in deltas]
        squares = [total(term.astype(np.float64) * term.astype(np.float64)) / len(base) for term in terms]
        whole = 0.0
        for square in squares:
            whole += square
        even = not math.isfinite(whole) or whole <= epsilon
        weight = [1 / many if even else square / whole for square in squares]
        chosen = elected(terms, "mass")
        above, below = np.zeros(len(base), kind), np.zeros(len(base), kind)
        for term, factor, mine in zip(terms, weight, chosen, strict=True):
            above = np.where(mine, above + term * kind(factor), above)
            below = np.where(mine, below + kind(factor), below)
        below = np.maximum(below, kind(epsilon))
        below = np.where(below == 0, kind(1), below)
        words = words_of(inputs.base + above / below, out)
        sizes = [np.abs(term * factor / below) for term, factor in zip(terms, weight, strict=True)]
    counts = {
        "dropped": [int(((delta != 0) & ~kept).sum()) for delta in deltas],
        "elected_against": [
            int((kept & (delta != 0) & ~mine).sum()) for delta, mine in zip(deltas, chosen, strict=True)
        ],
    }
    return Made(words, counts, [kept, *chosen], np.max([np.abs(inputs.base), *sizes], axis=0))


def variance(deltas: Sequence[np.ndarray], kind: Any) -> np.ndarray:
    """The population variance over the sub-models, of each element."""
    mean, squares = np.zeros(len(deltas[0]), kind), np.zeros(len(deltas[0]), kind)
    for delta in deltas:
        mean = mean + delta
    mean = mean / kind(len(deltas))
    for delta in deltas:
        away = delta - mean
        squares = squares + away * away
    return squares / kind(len(deltas))


def ram(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    epsilon: float = 0.0,
    r: float = 0.0,
    alpha: float = 0.0,
    kind: Any = None,
    **others: Any,
) -> Made:
    """What several sub-models changed is averaged over these; what one did alone stays, or is strengthened.

    With `r` and `alpha` it is ramplus_tl: the more a sub-model shares, the more its own is strengthened.
    """
    inputs = inputs_of(models, base, dtype, out, kind)
    kind, deltas = inputs.kind, inputs.deltas
    with np.errstate(all="ignore"):
        active = [np.abs(delta) > kind(epsilon) for delta in deltas]
        count = np.sum(active, axis=0)
        mix, sizes = np.zeros(len(base), kind), [np.abs(inputs.base)]
        for delta, mine in zip(deltas, active, strict=True):
            shared, alone = int((mine & (count > 1)).sum()), int((mine & (count == 1)).sum())
            scarce = max(float(alone), epsilon)
            ratio = shared / scarce if scarce else math.inf if shared else 0.0
            strength = 1 + r * min(max(ratio, 0.0), alpha)
            own = delta if strength == 1 else delta * kind(strength)
            part = np.where(count == 1, own, delta / count.astype(kind))
            mix = np.where(mine, mix + part, mix)
            sizes.append(np.where(mine, np.abs(part), 0))
        words = words_of(inputs.base + mix, out)
    return Made(words, {}, active, np.max(sizes, axis=0))


def ramplus_tl(*inputs: Any, r: float = 0.1, alpha: float = 0.2, **parameters: Any) -> Made:
    """ram, with what one sub-model changed alone strengthened."""
    return ram(*inputs, r=r, alpha=alpha, **parameters)


def nearswap(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    t: float = 0.001,
    kind: Any = None,
    **others: Any,
) -> Made:
    """The sub-model where it is near to the base, less and less of it further away."""
    inputs = inputs_of(models, base, dtype, out, kind)
    kind, (model,) = inputs.kind, inputs.models
    with np.errstate(all="ignore"):
        distance = np.maximum(np.abs(inputs.base - model), kind(1e-6))
        part = np.clip(kind(t) / distance, kind(0), kind(1))
        ours, theirs = part * model, (kind(1) - part) * inputs.base
        largest = np.maximum(np.abs(ours), np.abs(theirs))
        return Made(words_of(ours + theirs, out), {}, [], np.maximum(largest, np.abs(inputs.base)))


def passthrough(
    models: Sequence[np.ndarray],
    base: np.ndarray | None,
    dtype: str,
    out: str,
    *,
    scale: Sequence[float] = (1.0,),
    kind: Any = None,
    **others: Any,
) -> Made:
    """One sub-model as it is, or times a factor."""
    inputs = inputs_of(models, None, dtype, out, kind)
    with np.errstate(all="ignore"):
        value = inputs.kind(scale[0]) * inputs.models[0]
    words = converted(models[0], dtype, out) if scale[0] == 1 else words_of(value, out)
    return Made(words, {}, [], np.abs(value))


METHODS: dict[str, Callable[..., Made]] = {
    "sce": sce,
    "ram": ram,
    "ramplus_tl": ramplus_tl,
    "nearswap": nearswap,
    "passthrough": passthrough,
}
