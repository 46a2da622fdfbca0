"""The interval of core.evaluate.statistics.intervals once more: a plain loop over resamples, from the
documents alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np


def mean_and_error(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Of a ratio of sums over units, linearised; the mean and s / √N where each unit is one sample."""
    units, size = len(sums), float(counts.sum())
    mean = float(sums.sum()) / size
    residuals = sums - mean * counts
    return mean, math.sqrt(units / (units - 1) * float((residuals**2).sum())) / size


def plain_interval(
    sums: Sequence[float], counts: Sequence[float], resamples: Iterable[np.ndarray], quantile: float
) -> tuple[float, float, float]:
    """(low, high, p of the bootstrap alone), the ends no nearer to the mean than `quantile` standard
    errors."""
    values, sizes = np.array(sums, float), np.array(counts, float)
    mean, error = mean_and_error(values, sizes)
    studentised = []
    for taken in resamples:
        resampled, its_error = mean_and_error(values[taken], sizes[taken])
        studentised.append(0.0 if its_error < 1e-9 * error else (resampled - mean) / its_error)
    studentised.sort()
    k = (len(studentised) + 1) // 40
    low = mean - max(quantile, studentised[-k]) * error
    high = mean - min(-quantile, studentised[k - 1]) * error
    seen = mean / error
    small = sum(value <= seen for value in studentised)
    large = sum(value >= seen for value in studentised)
    return low, high, min(1.0, 2 * (min(small, large) + 1) / (len(studentised) + 1))
