"""How sure a mean of paired differences is: its 95 % interval, and the p-value that goes with it.

The interval is that of the studentised bootstrap (bootstrap-t), each end moved outwards to that of the
paired t where this one lies further out. On its own either misses too often where the other does not: the
paired t with skewed differences, the bootstrap-t with heavy tails, and BCa with both. The figures are in
docs/decisions/an-interval-no-nearer-than-the-paired-ts.md; tests/bench/bench_verdicts.py finds them.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 12 and 16; for groups the
linearised variance of a ratio, Cochran, Sampling Techniques (3rd edition, 1977), section 6.3. Deviation: the
hull with the paired t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.evaluate.statistics.resampling import resample_count, resamples
from core.evaluate.statistics.student import t_quantile, two_sided_p

__all__ = [
    "CONFIDENCE",
    "LEAST_UNITS",
    "Interval",
    "Units",
    "interval_of",
    "paired_intervals",
    "studentised_ends",
    "units_of",
]

CONFIDENCE = 0.95

LEAST_UNITS = 20
"""With fewer samples, or groups, nothing is said of a difference; its interval is the paired t's alone."""

_ROUNDED = 1e-20
"""A variance below this share of the squared mean is that of rounding errors."""

_CANCELLED = 1e-12
"""And one below this share of the squares that it is a small difference of."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """What is drawn as a whole: each sample, or each group of samples that are not independent of one
    another.

    Attributes:
        sums: of the differences of each unit's samples, [units].
        counts: how many samples each has, [units].
    """

    sums: Array
    counts: Array

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def mean(self) -> float:
        """Over samples, not units. The fsum: the same for any order of the samples."""
        return math.fsum(self.sums) / math.fsum(self.counts)


@dataclass(frozen=True)
class Interval:
    """A mean of differences and what is known of it.

    Attributes:
        mean: over the samples.
        low, high: its 95 % interval; −inf and inf for fewer than two units.
        p: two-sided: one minus the confidence of the interval that 0 is just left out of.
        error: the standard error of the mean; nan for fewer than two units.
        units: independent samples, or groups of them.
        resamples: B; 0 where the interval is the paired t's alone. p is 2 / (B + 1) or more.
    """

    mean: float
    low: float
    high: float
    p: float
    error: float
    units: int
    resamples: int


def units_of(differences: Array, numbers: NDArray[np.intp]) -> Units:
    """The units of samples, given the number of the unit of each; both [N]. Empty ones are left out."""
    sums = np.asarray(np.bincount(numbers, weights=differences), np.float64)
    counts = np.asarray(np.bincount(numbers), np.float64)
    return Units(sums[counts > 0], counts[counts > 0])


def paired_intervals(
    several: Sequence[Units], digest: str, *, cancel: CancelToken | None = None
) -> tuple[Interval, ...]:
    """The interval of the mean of each of `several` sets of differences on the data with this digest.

    Sets with as many units share their resamples. Nothing depends on which sets are given beside one another.

    Raises:
        DataError: `digest` is none.
        Cancelled: `cancel` was.
    """
    drawn: dict[int, Array] = {}
    for units in sorted({len(one) for one in several if len(one) >= LEAST_UNITS}):
        alike = [number for number, one in enumerate(several) if len(one) == units]
        count = resample_count(units)
        if count:
            values = _studentised([several[number] for number in alike], digest, count, cancel)
            drawn.update(zip(alike, values, strict=True))
    return tuple(interval_of(one, drawn.get(number)) for number, one in enumerate(several))


def interval_of(units: Units, drawn: Array | None) -> Interval:
    """The interval of the mean, given the studentised means of B resamples, [B]; the paired t's without."""
    count = len(units)
    if not count:
        return Interval(math.nan, -math.inf, math.inf, 1.0, math.nan, 0, 0)
    mean = units.mean
    if count == 1:
        return Interval(mean, -math.inf, math.inf, 1.0, math.nan, 1, 0)
    variance = float(_mean_and_variance(_columns(units).sum(axis=0)[None], count)[1][0])
    if variance <= _ROUNDED * mean * mean / count:
        # The same difference everywhere. Its t is infinite; what remains is the chance of equal signs.
        return Interval(mean, mean, mean, 1.0 if mean == 0 else 2.0 ** (1 - count), 0.0, count, 0)
    error = math.sqrt(variance)
    quantile = t_quantile(CONFIDENCE, count - 1)
    low, high = mean - quantile * error, mean + quantile * error
    p = two_sided_p(mean / error, count - 1)
    if drawn is None:
        return Interval(mean, low, high, p, error, count, 0)
    below, above = studentised_ends(drawn)
    least = int(min((drawn <= mean / error).sum(), (drawn >= mean / error).sum()))
    return Interval(
        mean,
        min(low, mean - above * error),
        max(high, mean - below * error),
        max(p, min(1.0, 2 * (least + 1) / (len(drawn) + 1))),
        error,
        count,
        len(drawn),
    )


def studentised_ends(drawn: Array) -> tuple[float, float]:
    """Of B studentised means the k-th smallest and the k-th largest, k = 2.5 % of B + 1: 250 of 9,999.

    0 lies outside the interval that is made of them where fewer than k are as small, or as large, as the t of
    what was seen. p is 2 (how many are + 1) / (B + 1), so that p ≤ 0.05 just there.
    """
    k = math.ceil((1 - CONFIDENCE) / 2 * (len(drawn) + 1) - 1e-9)
    parted = np.partition(drawn, [k - 1, len(drawn) - k])
    return float(parted[k - 1]), float(parted[len(drawn) - k])


def _studentised(
    several: Sequence[Units], digest: str, count: int, cancel: CancelToken | None
) -> list[Array]:
    """(mean of a resample − mean) / standard error of that resample, for each set of differences: [B] each.

    A resample without spread, all of whose differences are equal, counts as 0: it says nothing.
    """
    units = len(several[0])
    columns = [_columns(one) for one in several]
    filled: list[list[Array]] = [[] for _ in several]
    for taken in resamples(digest, units, count=count, cancel=cancel):
        # Sums over a resample by how often it takes each unit: faster than taking them.
        places = taken + np.arange(len(taken))[:, None] * units
        times = np.bincount(places.ravel(), minlength=taken.size).reshape(taken.shape).astype(np.float64)
        for these, parts in zip(columns, filled, strict=True):
            sums = times @ these
            means, variance = _mean_and_variance(sums, units)
            flat = variance <= _CANCELLED * sums[:, 1] / sums[:, 2] ** 2
            parts.append(np.where(flat, 0.0, means / np.sqrt(np.where(flat, 1.0, variance))))
    return [np.concatenate(parts) for parts in filled]


def _columns(units: Units) -> Array:
    """What is summed over units: v, v², c, c² and v·c, [units, 5], of their centred sums v and counts c."""
    centred = units.sums - units.mean * units.counts
    return np.stack([centred, centred**2, units.counts, units.counts**2, centred * units.counts], axis=1)


def _mean_and_variance(sums: Array, units: int) -> tuple[Array, Array]:
    """Σv / Σc, and G / (G − 1) Σ (v − mean · c)² / (Σc)², of sums over G units of the columns, [b, 5].

    For units of one sample the latter is s² / N.
    """
    values, squares, sizes, size_squares, products = sums.T
    means = values / sizes
    residuals = squares - 2 * means * products + means * means * size_squares
    return means, units / (units - 1) * np.maximum(residuals, 0) / sizes**2
