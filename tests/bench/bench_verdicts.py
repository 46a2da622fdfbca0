"""How often intervals and tests err where two models are equals, and what the other methods would do.

    python tests/bench/bench_verdicts.py [--comparisons 10000] [--seed 0]

Differences of mean 0 are drawn: normal, Student's t with 3 degrees of freedom, and lognormal (sigma 1, its
mean taken off), and normal ones in groups of unlike size. An interval misses where it does not hold 0; it
should in 5 %, half of these on either side. "used" is what core.evaluate says, by its own functions but for
the sums over resamples: all comparisons of a size are resampled at once, by a product of matrices with the
counts of each sample in each of the 9,999 resamples of the draw contract. The others, for the choice between
them: paired t, bootstrap-t (equal tails; symmetric), BCa and percentiles.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from core.evaluate.statistics.holm import holm
from core.evaluate.statistics.intervals import Interval, Units, interval_of, units_of
from core.evaluate.statistics.mcnemar import exact_p, mid_p
from core.evaluate.statistics.resampling import resamples
from core.evaluate.statistics.student import t_quantile

Array = NDArray[np.float64]

DIGEST = "5eed" * 8
SIZES = (30, 100, 500)
KINDS = ("normal", "t3", "lognormal")
SHARES = (0.05, 0.2, 0.5)
"""Of the answers that only one of both models has right."""

GROUPS = 60
AT_ONCE = 500
NORMAL = NormalDist()


@dataclass(frozen=True)
class Misses:
    """In per cent: how often 0 lies below, and above, an interval."""

    low: float
    high: float

    @property
    def both(self) -> float:
        return self.low + self.high

    def __str__(self) -> str:
        return f"{self.both:5.2f} ({self.low:.2f} + {self.high:.2f})"


def differences(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Of mean 0."""
    if kind == "t3":
        return rng.standard_t(3, shape)
    values: Array = rng.standard_normal(shape)
    return np.exp(values) - np.exp(0.5) if kind == "lognormal" else values


@cache
def takings(units: int) -> Array:
    """How often each of the resamples of the contract takes each unit, [units, B]."""
    counted = [np.bincount(one, minlength=units) for some in resamples(DIGEST, units) for one in some]
    return np.ascontiguousarray(np.array(counted, np.float64).T)


def resampled(values: Array, counts: Array) -> tuple[Array, Array]:
    """Means of all resamples minus the mean, and these studentised: [comparisons, B] each."""
    taken = takings(values.shape[1])
    units, size = len(counts), counts.sum()
    centred = values - values.sum(axis=1, keepdims=True) / size * counts
    sizes = counts @ taken
    means = centred @ taken / sizes
    squares = centred**2 @ taken - 2 * means * ((centred * counts) @ taken) + means**2 * (counts**2 @ taken)
    return means, means / np.sqrt(units / (units - 1) * squares) * sizes


def others(values: Array, means: Array, studentised: Array) -> Mapping[str, tuple[Array, Array]]:
    """The ends of the intervals of the other methods, [comparisons] each."""
    n, count = values.shape[1], means.shape[1]
    k = (count + 1) // 40
    mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(n)
    reach = t_quantile(0.95, n - 1) * error
    ranked = np.partition(studentised, [k - 1, count - k], axis=1)
    twentieth = (count + 1) * 19 // 20 - 1
    both = np.partition(abs(studentised), twentieth, axis=1)[:, twentieth] * error
    plain = mean[:, None] + np.sort(means, axis=1)
    return {
        "paired t": (mean - reach, mean + reach),
        "bootstrap-t": (mean - ranked[:, -k] * error, mean - ranked[:, k - 1] * error),
        "symmetric": (mean - both, mean + both),
        "BCa": (_bca(values, means, plain, 0.025), _bca(values, means, plain, 0.975)),
        "percentile": (plain[:, k - 1], plain[:, -k]),
    }


def _bca(values: Array, means: Array, ranked: Array, level: float) -> Array:
    """Efron and Tibshirani (1993), section 14.3."""
    count = means.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    acceleration = (centred**3).sum(axis=1) / (6 * (centred**2).sum(axis=1) ** 1.5)
    places = []
    for below, bend in zip((means < 0).mean(axis=1), acceleration, strict=True):
        bias = NORMAL.inv_cdf(min(max(below, 1e-4), 1 - 1e-4))
        z = bias + NORMAL.inv_cdf(level)
        places.append(round(NORMAL.cdf(bias + z / (1 - bend * z)) * (count + 1)) - 1)
    return np.take_along_axis(ranked, np.clip(places, 0, count - 1)[:, None], axis=1)[:, 0]


def missed(kind: str, n: int, comparisons: int, seed: int, *, beside: bool) -> Mapping[str, Misses]:
    """How often intervals miss in so many comparisons of equals on n samples; `beside`: others', too."""
    rng = np.random.default_rng([seed, n, KINDS.index(kind)])
    ends: dict[str, list[tuple[Array, Array]]] = {}
    for start in range(0, comparisons, AT_ONCE):
        values = differences(kind, (min(AT_ONCE, comparisons - start), n), rng)
        counts = np.ones(n)
        means, studentised = resampled(values, counts)
        used = said(values, counts, studentised)
        every = {"used": (_low(used), _high(used))}
        if beside:
            every |= others(values, means, studentised)
        for name, one in every.items():
            ends.setdefault(name, []).append(one)
    return {name: _misses(parts, comparisons) for name, parts in ends.items()}


def missed_in_groups(comparisons: int, seed: int) -> Mapping[str, Misses]:
    """Of 60 groups of 1 to 9 samples, half of whose variance is common to them: as groups, and as samples."""
    rng = np.random.default_rng([seed, GROUPS])
    counts = (np.arange(GROUPS) % 9 + 1).astype(float)
    numbers = np.repeat(np.arange(GROUPS), counts.astype(int))
    as_groups, blind = [], []
    for start in range(0, comparisons, AT_ONCE):
        some = min(AT_ONCE, comparisons - start)
        shared = rng.standard_normal((some, GROUPS))[:, numbers]
        values = shared + rng.standard_normal(shared.shape)
        sums = np.stack([units_of(one, numbers).sums for one in values])
        used = said(sums, counts, resampled(sums, counts)[1])
        as_groups.append((_low(used), _high(used)))
        one_by_one = said(values, np.ones(len(numbers)), None)
        blind.append((_low(one_by_one), _high(one_by_one)))
    return {"used": _misses(as_groups, comparisons), "paired t of samples": _misses(blind, comparisons)}


def said(values: Array, counts: Array, studentised: Array | None) -> list[Interval]:
    """The intervals of core.evaluate, one for each row of the units' sums."""
    return [
        interval_of(Units(one, counts), None if studentised is None else studentised[number])
        for number, one in enumerate(values)
    ]


def wrongly_shown(n: int, candidates: int, families: int, seed: int) -> tuple[float, float]:
    """In per cent of families of equals beside one reference: where a p is ≤ 0.05, and an adjusted one."""
    rng = np.random.default_rng([seed, n, candidates])
    raw = adjusted = 0
    for _ in range(families):
        values = rng.standard_normal((candidates, n)) - rng.standard_normal(n)
        p = [one.p for one in said(values, np.ones(n), resampled(values, np.ones(n))[1])]
        raw += min(p) <= 0.05
        adjusted += min(holm(p)) <= 0.05
    return 100 * raw / families, 100 * adjusted / families


def shown(n: int, difference: float, comparisons: int, seed: int) -> float:
    """In per cent: how often a true difference, in units of the spread, is shown."""
    rng = np.random.default_rng([seed, n])
    found = 0
    for start in range(0, comparisons, AT_ONCE):
        values = difference + rng.standard_normal((min(AT_ONCE, comparisons - start), n))
        found += sum(one.low > 0 for one in said(values, np.ones(n), resampled(values, np.ones(n))[1]))
    return 100 * found / comparisons


def answers_wrongly_shown(n: int, share: float, comparisons: int, seed: int) -> tuple[float, float]:
    """In per cent: how often the exact p, and the mid-p, is ≤ 0.05 between equals that differ in `share`."""
    rng = np.random.default_rng([seed, n, round(100 * share)])
    discordant = rng.binomial(n, share, comparisons)
    ones = rng.binomial(discordant, 0.5)
    pairs = list(zip(ones.tolist(), (discordant - ones).tolist(), strict=True))
    exact = sum(exact_p(*pair) <= 0.05 for pair in pairs)
    mid = sum(mid_p(*pair) <= 0.05 for pair in pairs)
    return 100 * exact / comparisons, 100 * mid / comparisons


def _low(intervals: Sequence[Interval]) -> Array:
    return np.array([one.low for one in intervals])


def _high(intervals: Sequence[Interval]) -> Array:
    return np.array([one.high for one in intervals])


def _misses(parts: Sequence[tuple[Array, Array]], comparisons: int) -> Misses:
    above = sum(int((low > 0).sum()) for low, _ in parts)
    below = sum(int((high < 0).sum()) for _, high in parts)
    return Misses(100 * above / comparisons, 100 * below / comparisons)


def main() -> None:
    parser = argparse.ArgumentParser(description="How often verdicts err between equals, in per cent.")
    parser.add_argument("--comparisons", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    comparisons, seed = options.comparisons, options.seed
    print("| n | differences | method | misses (0 below + 0 above), % |\n|--:|---|---|--:|")
    for n in SIZES:
        for kind in KINDS:
            for name, misses in missed(kind, n, comparisons, seed, beside=True).items():
                print(f"| {n} | {kind} | {name} | {misses} |", flush=True)
    for name, misses in missed_in_groups(comparisons, seed).items():
        print(f"| {GROUPS} groups | normal | {name} | {misses} |", flush=True)
    print("\n| n | answers that differ | exact McNemar p ≤ 0.05, % | mid-p, % |\n|--:|--:|--:|--:|")
    for n in SIZES:
        for share in SHARES:
            exact, mid = answers_wrongly_shown(n, share, comparisons, seed)
            print(f"| {n} | {share} | {exact:.2f} | {mid:.2f} |")
    raw, adjusted = wrongly_shown(100, 4, comparisons // 4, seed)
    print(f"\n4 candidates, each equal to one reference, n = 100: one shown in {raw:.2f} %,")
    print(f"with adjusted p-values in {adjusted:.2f} %.")
    found = shown(128, 0.25, comparisons, seed)
    print(f"128 samples, as needed for a difference of 0.25 s: shown in {found:.2f} %")


if __name__ == "__main__":
    main()
