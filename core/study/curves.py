"""The curves of the figures: losses by position in the first epoch, and by training step."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from core.evaluate.statistics.student import t_quantile
from core.study.values import Curve

__all__ = [
    "SEGMENTS",
    "by_position",
    "by_step",
    "differences_by_position",
    "effect_of_orders",
    "effect_of_position",
]

Floats = NDArray[np.float64]

SEGMENTS = 20
"""Into so many parts of equal length an epoch is cut, of fewer samples into fewer."""

_LEAST_IN_A_SEGMENT = 10
_LEAST_ORDERS = 3


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
    which = _segments(positions, of)
    x, means, halves = [], [], []
    for segment in np.unique(which):
        mean, half = _mean_and_half(losses[which == segment])
        x.append(float(positions[which == segment].mean()) + 1)
        means.append(mean)
        halves.append(half)
    return _with_band(label, role, x, means, halves)


def differences_by_position(
    losses: Floats, positions: NDArray[np.int64], of: int, *, labels: Sequence[str]
) -> tuple[Curve, ...]:
    """Figure 1 of arXiv:2410.03743 without how hard samples are: what a sample's place in the epoch does.

    Each order's curve is its losses minus the mean of all orders on the same samples, and minus its own mean
    of that, so that how good a model is takes no part either. The last curve, of role "mean", is the mean
    over all orders, with a 95 % band: errors are clustered by sample, as in `effect_of_position`. The paper
    has no such figure.

    Args:
        losses: after training, by order; rows that are not finite everywhere do not count. [K, N]
        positions: in the epoch of each order, from 0. [K, N]
        of: how many rows the epoch has.
        labels: of the orders. [K]

    Returns () where there is nothing to compare: one order, or fewer than two rows.
    """
    counted = np.isfinite(losses).all(axis=0)
    losses, positions = losses[:, counted], positions[:, counted]
    orders, samples = losses.shape
    if orders < 2 or samples < 2:
        return ()
    beside = losses - losses.mean(axis=0)
    beside = beside - beside.mean(axis=1, keepdims=True)
    which = np.stack([_segments(places, of) for places in positions])
    curves: list[tuple[list[float], list[float]]] = [([], []) for _ in labels]
    x, means, halves = [], [], []
    for segment in np.unique(which):
        inside = which == segment
        for (places, levels), here, own, level in zip(curves, inside, positions, beside, strict=True):
            if here.any():
                places.append(float(own[here].mean()) + 1)
                levels.append(float(level[here].mean()))
        count = int(inside.sum())
        mean = float(beside[inside].mean())
        errors = np.where(inside, beside - mean, 0.0).sum(axis=0)
        clusters = int(inside.any(axis=0).sum())
        quantile = t_quantile(0.95, clusters - 1) if clusters > 1 else 0.0
        x.append(float(positions[inside].mean()) + 1)
        means.append(mean)
        halves.append(quantile * sqrt(float((errors**2).sum())) / count)
    return (
        *(
            _with_band(label, "single", places, levels, [0.0] * len(levels))
            for label, (places, levels) in zip(labels, curves, strict=True)
        ),
        _with_band(f"mean of {orders} orders", "mean", x, means, halves),
    )


def by_step(steps: Sequence[int], losses: Sequence[Sequence[float]], *, label: str, role: str) -> Curve:
    """Mean validation loss by training step (Figure 4 of arXiv:2410.03743).

    The band is the 95 % interval of the mean over models from Student's distribution: what other orders of
    the same training would average to. Of one model there is none.

    Args:
        steps: at which models were kept. [S]
        losses: of the models that were kept there, one mean each. [S] of one or more
    """
    pairs = [_mean_and_half(np.asarray(some, np.float64)) for some in losses]
    return _with_band(
        label,
        role,
        [float(step) for step in steps],
        [mean for mean, _ in pairs],
        [half for _, half in pairs],
    )


def effect_of_position(losses: Floats, positions: Floats) -> tuple[float, float, float] | None:
    """How much higher a sample's loss is where it was seen last instead of first, and its 95 % interval.

    The slope of the losses over the places, from differences within samples alone: every sample was seen at K
    places by K models, so that how hard it is takes no part, and neither does how good a model is. It shows
    an imbalance that segments hide, whose samples are not equally hard. Errors are clustered by sample (Liang
    and Zeger, Biometrika 73 (1986)), with Student's quantile of N − 1. The paper has no such number.

    It is of these K orders: what happened once along an order is alike for all samples, and no more samples
    would show it. What other orders would give is what `effect_of_orders` says.

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


def effect_of_orders(losses: Floats, positions: Floats) -> tuple[float, float, float] | None:
    """The same effect, as other orders of the same training are expected to show it, and its 95 % interval.

    It is the mean of one slope an order, all fitted at once with a level for each sample and each model, with
    Student's quantile of K − 1. Slopes of differences from the mean of all orders would not do: these share
    each other's noise. The paper has no such number.

    Args:
        losses, positions: as `effect_of_position` has them. [K, N]

    Returns None of fewer than 3 orders, or where the orders are too much alike to tell their slopes apart.
    """
    counted = np.isfinite(losses).all(axis=0)
    losses, positions = losses[:, counted], positions[:, counted]
    orders, samples = losses.shape
    if orders < _LEAST_ORDERS or samples < 2:
        return None
    place = positions - positions.mean(axis=1, keepdims=True)
    level = losses - losses.mean(axis=1, keepdims=True)
    products = place @ place.T
    design = np.diag(np.diag(products)) - products / orders
    if np.linalg.matrix_rank(design) < orders:
        return None
    slopes = np.linalg.solve(design, (place * (level - level.mean(axis=0))).sum(axis=1))
    mean, half = _mean_and_half(slopes)
    return mean, mean - half, mean + half


def _segments(positions: NDArray[np.int64], of: int) -> NDArray[np.int64]:
    """In which part of an epoch of `of` rows each of these is; fewer rows make fewer parts."""
    segments = max(1, min(SEGMENTS, len(positions) // _LEAST_IN_A_SEGMENT))
    return np.asarray(positions * segments // max(1, of), np.int64)


def _with_band(
    label: str, role: str, x: Sequence[float], means: Sequence[float], halves: Sequence[float]
) -> Curve:
    lows = tuple(mean - half for mean, half in zip(means, halves, strict=True))
    highs = tuple(mean + half for mean, half in zip(means, halves, strict=True))
    return Curve(label, role, tuple(x), tuple(means), lows, highs)


def _mean_and_half(values: Floats) -> tuple[float, float]:
    """The mean of some values, and how far its 95 % interval reaches to either side; 0 of one value."""
    count = len(values)
    mean = float(values.mean())
    if count < 2:
        return mean, 0.0
    return mean, t_quantile(0.95, count - 1) * float(values.std(ddof=1)) / sqrt(count)
