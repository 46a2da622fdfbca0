"""Small computations on shares, norms and cosines: what n leaves, who strays, who is like whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "expected_on_zero_delta",
    "flattens_at",
    "order_by_similarity",
    "stays_on_zero_delta",
    "straying",
    "widening",
]

Floats = NDArray[np.float64]

_FLAT = 0.005
"""Half a percent of all parameters: what one more resample brings where the curve counts as flat."""

_STUDENT = (235.8015, 19.20674, 9.21894, 6.62021, 5.50708, 4.90406, 4.52997, 4.27663, 4.09426, 3.95694)
"""Quantiles of Student's distribution, of 1 to 10 degrees of freedom, at 0.9986501: 3 of the normal."""

_FAR = 1.5
_DEVIATIONS = 4.0


def expected_on_zero_delta(changed_by: Sequence[int], draws: int) -> Floats:
    """Expected elements on a zero delta after each of `draws` draws, for equal weights. [draws]

    After draw d: sum over m of H_m (1 - m/K)^(d+1), with H = `changed_by`, m = 0..K.
    """
    result: Floats = stays_on_zero_delta(len(changed_by) - 1, draws) @ np.asarray(changed_by, np.float64)
    return result


def stays_on_zero_delta(models: int, draws: int) -> Floats:
    """The chance to be on a zero delta after draw d, changed by m sub-models. [draws, models + 1]

    (1 - m/K)^(d+1) with K = `models`, for equal weights.
    """
    stays = 1.0 - np.arange(models + 1) / models
    powers: Floats = stays[None, :] ** np.arange(1, draws + 1)[:, None]
    return powers


def flattens_at(left: Floats) -> int | None:
    """The smallest n after which one more resample moves less than half a percent of the parameters.

    None where the curve still falls faster than that at its end, or is not known.

    Args:
        left: the share on a zero delta with n = 0, 1, … resamples; it falls more and more slowly. [draws]
    """
    gains = left[:-1] - left[1:]
    flat = np.flatnonzero(gains < _FLAT)
    return int(flat[0]) if flat.size else None


def straying(norms: Floats) -> NDArray[np.bool_]:
    """Which sub-models have task vectors of another size than most. [K]

    Those whose norm is more than 1.5 times the median, or less than its 1.5th part, and more than four
    standard deviations away from it on a logarithmic scale, estimated as 1.4826 times the median absolute
    deviation. None does where there are fewer than three; a norm that is not a number does not count.

    Args:
        norms: of the task vectors. [K]
    """
    known = np.isfinite(norms)
    if known.sum() < 3:
        return np.zeros(norms.shape, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(np.log(norms) - np.log(np.median(norms[known])))
        away[np.isnan(away)] = 0.0  # all norms are zero, or this one is not known
        spread = 1.4826 * np.median(away[known])
        result: NDArray[np.bool_] = known & (away > max(np.log(_FAR), _DEVIATIONS * spread))
    return result


def order_by_similarity(cosines: Floats) -> list[int]:
    """An order of sub-models in which those that are alike are neighbours.

    A chain: it begins with the pair of the largest cosine, and takes the sub-model that is most like either
    end, until it has all. It is turned so that the smaller number of both ends comes first. A cosine that
    is none counts as the smallest.

    Args:
        cosines: symmetric. [K, K]
    """
    count = len(cosines)
    if count < 3:
        return list(range(count))
    likeness = np.nan_to_num(cosines, nan=-1.0)
    np.fill_diagonal(likeness, -np.inf)
    first, second = np.unravel_index(int(likeness.argmax()), likeness.shape)
    chain = [int(first), int(second)]
    likeness[:, chain] = -np.inf  # they are taken
    while len(chain) < count:
        ends = likeness[[chain[0], chain[-1]]]
        end, taken = np.unravel_index(int(ends.argmax()), ends.shape)
        chain.insert(0 if end == 0 else len(chain), int(taken))
        likeness[:, taken] = -np.inf
    return chain if chain[0] <= chain[-1] else chain[::-1]


def widening(freedom: int) -> float:
    """What to multiply a standard error by, so that three of it hold the truth as often as of the normal.

    The quantile of Student's distribution at 0.9986501 over 3; beyond 10 degrees of freedom by the
    Cornish-Fisher expansion, which is right to a thousandth there. Of no degree of freedom it is 1.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5.
    """
    if freedom < 1:
        return 1.0
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1] / 3
    x, v = 3.0, float(freedom)
    first = (x**3 + x) / 4
    second = (5 * x**5 + 16 * x**3 + 3 * x) / 96
    third = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
    return (x + first / v + second / v**2 + third / v**3) / 3
