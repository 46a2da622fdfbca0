"""Samples of a batch side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.encoding import Sample

__all__ = ["padded"]


def padded(
    samples: Sequence[Sample], *, fill: int, side: str = "right"
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Samples side by side.

    Args:
        samples: of one batch.
        fill: the token that stands where there is none; it is masked.
        side: "right" or "left".

    Returns:
        [B, T] each: the tokens, the attention mask, the positions (of padding 0), and what is scored.
    """
    most = max(len(sample.ids) for sample in samples)
    shape = len(samples), most
    ids, mask = np.full(shape, fill, np.int64), np.zeros(shape, np.int64)
    positions, scored = np.zeros(shape, np.int64), np.zeros(shape, bool)
    for number, sample in enumerate(samples):
        count = len(sample.ids)
        at = slice(0, count) if side == "right" else slice(most - count, most)
        ids[number, at], mask[number, at], scored[number, at] = sample.ids, 1, sample.scored
        positions[number, at] = np.arange(count)
    return ids, mask, positions, scored
