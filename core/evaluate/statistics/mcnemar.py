"""McNemar's test of two models' right and wrong answers to the same questions, exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Discordance", "discordance", "exact_p", "mid_p", "net_interval"]

_END = 0.025
"""What each end of a 95 % interval leaves out."""


@dataclass(frozen=True)
class Discordance:
    """How often only one of two models is right.

    Attributes:
        only_reference, only_candidate: samples.
        units_reference, units_candidate: groups in which more samples are right by the one alone than by the
            other alone; the samples themselves where there are no groups. These are what is tested: samples
            of one group are not independent of one another.
    """

    only_reference: int
    only_candidate: int
    units_reference: int
    units_candidate: int


def discordance(
    reference: NDArray[np.bool_], candidate: NDArray[np.bool_], numbers: NDArray[np.intp]
) -> Discordance:
    """Of two models' right answers to the same samples, given the unit that each belongs to. All [N]."""
    only_reference, only_candidate = reference & ~candidate, candidate & ~reference
    net = np.bincount(numbers, weights=only_candidate.astype(float) - only_reference)
    return Discordance(
        int(only_reference.sum()), int(only_candidate.sum()), int((net < 0).sum()), int((net > 0).sum())
    )


def exact_p(one: int, other: int) -> float:
    """The two-sided exact p-value: 2 P(X ≤ the smaller of both), at most 1, X binomial with one + other
    trials of ½.

    McNemar, Psychometrika 12 (1947), by the binomial distribution.
    """
    below, at = _tail(one, other)
    return min(1.0, 2 * (below + at))


def mid_p(one: int, other: int) -> float:
    """The mid-p-value: half of the chance of what was seen is left out. Not exact, and less cautious.

    Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91 (2013). Deviation: where both are
    equal it is 1 here.
    """
    below, at = _tail(one, other)
    return min(1.0, 2 * below + at)


def net_interval(one: int, other: int, samples: int) -> tuple[float, float]:
    """The 95 % interval of (other − one) / samples that holds 0 just where `exact_p` is above 0.05.

    Given how many samples only one of two models answers rightly, the share of the other's among them is
    binomial: Clopper and Pearson, Biometrika 26 (1934). (0, 0) where there is no such sample.
    """
    decided = one + other
    if not decided:
        return 0.0, 0.0
    low, high = _least_share(other, decided), 1 - _least_share(one, decided)
    return (2 * low - 1) * decided / samples, (2 * high - 1) * decided / samples


def _least_share(count: int, trials: int) -> float:
    """The θ for which P(X ≥ count) is 0.025, X binomial with that chance; 0 for a count of 0."""
    if not count:
        return 0.0
    k = np.arange(count, trials)
    falling = (trials - k) / (k + 1)
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    low, high = 0.0, count / trials
    while low < (theta := (low + high) / 2) < high:
        first = ways + count * math.log(theta) + (trials - count) * math.log1p(-theta)
        tail = math.exp(first) * (1 + float(np.cumprod(falling * (theta / (1 - theta))).sum()))
        low, high = (theta, high) if tail < _END else (low, theta)
    return high


@cache
def _tail(one: int, other: int) -> tuple[float, float]:
    """P(X < smaller) and P(X = smaller): one division of whole numbers, rounded once, then ratios."""
    trials, least = one + other, min(one, other)
    at = math.comb(trials, least) / (1 << trials)
    terms, term = [], at
    for k in range(least, 0, -1):
        term *= k / (trials - k + 1)
        if term < at * 1e-20:
            break
        terms.append(term)
    return math.fsum(terms), at
