"""McNemar's test, Holm's adjustment and the samples needed, by hand and by exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from core.evaluate.statistics.holm import holm
from core.evaluate.statistics.mcnemar import Discordance, discordance, exact_p, mid_p, net_interval
from core.evaluate.statistics.power import answers_needed, samples_needed


@pytest.mark.parametrize(
    ("one", "other", "exact", "mid"),
    [
        (0, 0, 1, 1),
        (0, 1, 1, 0.5),
        (0, 6, 2 / 64, 1 / 64),
        (2, 8, 112 / 1024, 67 / 1024),  # 1 + 10 + 45 of 1,024
        (5, 5, 1, 1),
    ],
)
def test_mcnemar_by_hand(one: int, other: int, exact: float, mid: float) -> None:
    assert exact_p(one, other) == exact_p(other, one) == exact
    assert mid_p(one, other) == mid_p(other, one) == mid


@pytest.mark.parametrize(("one", "other"), [(40, 61), (480, 520), (700, 300), (1, 900)])
def test_mcnemar_by_exact_fractions(one: int, other: int) -> None:
    trials, least = one + other, min(one, other)
    tail = sum(math.comb(trials, k) for k in range(least + 1))
    exact = min(Fraction(1), Fraction(2 * tail, 2**trials))
    assert exact_p(one, other) == pytest.approx(float(exact), rel=1e-12, abs=0)
    assert mid_p(one, other) == pytest.approx(
        float(Fraction(2 * tail - math.comb(trials, least), 2**trials)), rel=1e-12, abs=0
    )


def test_mcnemar_of_many_is_quick_and_finite() -> None:
    assert exact_p(49_000, 51_000) == pytest.approx(2.5e-10, rel=0.1)  # z = 2,000 / √100,000 = 6.32
    assert exact_p(0, 5000) == 0


def test_discordant_samples_and_groups() -> None:
    reference = np.array([1, 1, 0, 0, 0, 1], bool)
    candidate = np.array([0, 1, 1, 1, 0, 0], bool)
    assert discordance(reference, candidate, np.arange(6)) == Discordance(2, 2, 2, 2)
    # Groups of (−), (+ +) and (−), and of (− +) and (+ −): in the latter both are as good.
    assert discordance(reference, candidate, np.array([0, 1, 1, 1, 2, 2])) == Discordance(2, 2, 2, 1)
    assert discordance(reference, candidate, np.array([0, 1, 0, 1, 1, 1])) == Discordance(2, 2, 0, 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == (1, 1)
    assert holm([0.04]) == (0.04,)
    assert holm([]) == ()


def test_holm_rejects_what_the_closed_test_rejects() -> None:
    """Holm is the closure of Bonferroni: shown where every set with it in has a p below 0.05 / its size."""
    rng = np.random.default_rng(8)
    shown = 0
    for _ in range(200):
        p = (rng.random(5) * rng.choice([0.01, 0.05, 0.3], 5)).tolist()
        sets = [one for size in range(1, 6) for one in combinations(range(5), size)]
        for number, adjusted in enumerate(holm(p)):
            closed = all(min(p[i] for i in one) <= 0.05 / len(one) for one in sets if number in one)
            assert (adjusted <= 0.05) == closed
            shown += closed
    assert 100 < shown < 900


@pytest.mark.parametrize(
    ("difference", "spread", "needed"),
    # Cohen's tables, d = 0.2, 0.5, 0.8 of a paired t-test, power 80 %: 199, 34, 15.
    [(0.2, 1, 199), (-0.5, 1, 34), (0.4, 0.5, 15), (0.002, 1, 1_962_222)],
)
def test_samples_needed(difference: float, spread: float, needed: int) -> None:
    for seen in (25, 100):
        assert samples_needed(difference, spread / math.sqrt(seen), seen, seen) == needed
    # Groups of four samples, as many as samples were needed before.
    assert samples_needed(difference, spread / math.sqrt(25), 25, 100) == 4 * needed


def test_samples_needed_where_nothing_can_be_said() -> None:
    assert samples_needed(0.0, 1.0, 30, 30) is None
    assert samples_needed(math.nan, math.nan, 0, 0) is None
    assert samples_needed(0.5, math.nan, 1, 1) is None
    assert samples_needed(0.5, 0.0, 30, 30) == 30
    assert samples_needed(5e-324, 1e300, 30, 30) is None


def test_answers_needed() -> None:
    """15 and 25 of 100 by one alone: (1.959964 √0.4 + 0.841621 √(0.4 − 0.1²))² / 0.1² = 311.6."""
    root = 1.959964 * math.sqrt(0.4) + 0.841621 * math.sqrt(0.4 - 0.01)
    needed = math.ceil(root**2 / 0.01)
    assert answers_needed(15, 25, 100, 100) == answers_needed(25, 15, 100, 100) == needed == 312
    assert answers_needed(15, 25, 100, 400) == 4 * 312  # groups of four
    assert answers_needed(7, 7, 100, 100) is None
    assert answers_needed(0, 0, 0, 0) is None
    among = answers_needed(15, 25, 100, 100, compared=10)
    assert among == math.ceil((2.807034 * math.sqrt(0.4) + 0.841621 * math.sqrt(0.39)) ** 2 / 0.01)


def test_with_the_samples_needed_among_ten_four_of_five_are_shown() -> None:
    """The difference is 0.2 of a spread of 1; Bonferroni's level, which Holm's is never below."""
    needed = samples_needed(0.2, 0.1, 100, 100, compared=10)
    assert needed is not None
    means = 0.2 + np.random.default_rng(4).standard_normal((4000, needed)).mean(axis=1)
    shown = np.abs(means) * math.sqrt(needed) >= 2.807034  # z of 0.05 / 10, two-sided
    assert 0.79 <= shown.mean() <= 0.83


@pytest.mark.parametrize(("one", "other"), [(0, 6), (0, 5), (2, 8), (1, 9), (40, 61), (400, 610), (0, 0)])
def test_the_interval_of_right_answers_inverts_their_test(one: int, other: int) -> None:
    low, high = net_interval(one, other, 2000)
    assert low <= (other - one) / 2000 <= high
    assert (low > 0 or high < 0) == (exact_p(one, other) <= 0.05)
    again = net_interval(other, one, 2000)
    assert (-again[1], -again[0]) == pytest.approx((low, high), abs=1e-15)
