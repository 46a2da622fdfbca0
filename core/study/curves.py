"""The curves of the figures: losses by position in the first epoch, and by training step."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from core.evaluate.statistics.student import t_quantile
from core.study.values import Curve

__all__ = ["SEGMENTS", "by_position", "by_step", "effect_of_position"]

Floats = NDArray[np.float64]

SEGMENTS = 20
"""Into so many parts of equal length an epoch is cut, of fewer samples into fewer."""

_LEAST_IN_A_SEGMENT = 10


def by_position(losses: Floats, positions: NDArray[np.int64], of: int, *, label: str, role: str) -> Curve:
    """Mean loss after training in segments of an epoch (Figures 1 and 3 of arXiv:2410.03743).

    The band is the mean's 95 % interval from Student's distribution: it holds what more samples of the same
    segment would average to, and says nothing of other orders. The paper draws none.

    Args:
        losses: of training rows; those that are not finite do not count. [N]
        positions: in the epoch, from 0. [N]
        of: how many rows the epoch has; more than N where not all were evaluated.
        label, role: of the curve.
    """
    counted = np.isfinite(losses)
    losses, positions = losses[counted], positions[counted]
    segments = max(1, min(SEGMENTS, len(losses) // _LEAST_IN_A_SEGMENT))
    which = positions * segments // max(1, of)
    x, means, lows, highs = [], [], [], []
    for segment in range(segments):
        inside = losses[which == segment]
        if not len(inside):
            continue
        mean, half = _mean_and_half(inside)
        x.append(float(positions[which == segment].mean()) + 1)
        means.append(mean)
        lows.append(mean - half)
        highs.append(mean + half)
    return Curve(label, role, tuple(x), tuple(means), tuple(lows), tuple(highs))


def by_step(steps: Sequence[int], losses: Sequence[Sequence[float]], *, label: str, role: str) -> Curve:
    """Mean validation loss by training step (Figure 4 of arXiv:2410.03743).

    The band is the 95 % interval of the mean over models from Student's distribution: what other orders of
    the same training would average to. Of one model there is none.

    Args:
        steps: at which models were kept. [S]
        losses: of the models that were kept there, one mean each. [S] of one or more
    """
    pairs = [_mean_and_half(np.asarray(some, np.float64)) for some in losses]
    return Curve(
        label,
        role,
        tuple(float(step) for step in steps),
        tuple(mean for mean, _ in pairs),
        tuple(mean - half for mean, half in pairs),
        tuple(mean + half for mean, half in pairs),
    )


def effect_of_position(losses: Floats, positions: Floats) -> tuple[float, float, float] | None:
    """How much higher a sample's loss is where it was seen last instead of first, and its 95 % interval.

    The slope of the losses over the places, from differences within samples alone: every sample was seen at K
    places by K models, so that how hard it is takes no part, and neither does how good a model is. It shows
    an imbalance that segments hide, whose samples are not equally hard. Errors are clustered by sample (Liang
    and Zeger, Biometrika 73 (1986)), with Student's quantile of N − 1. The paper has no such number.

    Args:
        losses: after training; those of rows that are not finite everywhere do not count. [K, N]
        positions: in the epoch, 0 for the first and 1 for the last. [K, N]

    Returns None where there is nothing to compare: one model, fewer than two rows, or all places alike.
    """
    counted = np.isfinite(losses).all(axis=0)
    losses, positions = losses[:, counted], positions[:, counted]
    if len(losses) < 2 or losses.shape[1] < 2:
        return None
    level = losses - losses.mean(axis=1, keepdims=True)
    place = positions - positions.mean(axis=1, keepdims=True)
    place = place - place.mean(axis=0)
    products, squares = (place * level).sum(axis=0), (place * place).sum(axis=0)
    total = float(squares.sum())
    if total <= 0:
        return None
    slope = float(products.sum()) / total
    error = sqrt(float(((products - slope * squares) ** 2).sum())) / total
    half = t_quantile(0.95, losses.shape[1] - 1) * error
    return slope, slope - half, slope + half


def _mean_and_half(values: Floats) -> tuple[float, float]:
    """The mean of some values, and how far its 95 % interval reaches to either side; 0 of one value."""
    count = len(values)
    mean = float(values.mean())
    if count < 2:
        return mean, 0.0
    return mean, t_quantile(0.95, count - 1) * float(values.std(ddof=1)) / sqrt(count)
