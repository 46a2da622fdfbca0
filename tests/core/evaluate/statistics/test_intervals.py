"""Intervals of paired differences: hand-worked ones, a plain loop, groups, and what has no spread."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plain_interval import plain_interval

from core.evaluate.statistics.intervals import Interval, Units, paired_intervals, units_of
from core.evaluate.statistics.resampling import resamples
from core.evaluate.statistics.student import t_quantile, two_sided_p

DIGEST = "5eed" * 8


def interval(differences: list[float] | np.ndarray, groups: list[int] | None = None) -> Interval:
    values = np.array(differences, float)
    numbers = np.arange(len(values)) if groups is None else np.array(groups)
    return paired_intervals([units_of(values, numbers)], DIGEST)[0]


def closed_form(t: float, freedom: int) -> float:
    """Two-sided, for 1 to 4 degrees of freedom: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    s, c = math.sin(angle), math.cos(angle)
    return {
        1: 1 - 2 / math.pi * angle,
        2: 1 - s,
        3: 1 - 2 / math.pi * (angle + s * c),
        4: 1 - s * (1 + c * c / 2),
    }[freedom]


@pytest.mark.parametrize("freedom", [1, 2, 3, 4])
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.3, 1.0, 2.0, 3.7, 12.0])
def test_students_t_by_its_closed_forms(t: float, freedom: int) -> None:
    assert two_sided_p(t, freedom) == pytest.approx(closed_form(t, freedom), rel=1e-9, abs=1e-15)
    assert two_sided_p(-t, freedom) == two_sided_p(t, freedom)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # Printed tables have 12.706, 3.182, 2.045, 2.010 and 1.962.
    [(1, 12.706204736), (3, 3.182446305), (29, 2.045229642), (49, 2.009575237), (1000, 1.962339081)],
)
def test_quantiles_of_students_t(freedom: int, quantile: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, abs=1e-9)
    assert two_sided_p(t_quantile(0.95, freedom), freedom) == pytest.approx(0.05, rel=1e-12)


def test_four_differences_by_hand() -> None:
    """Mean 2.5, s² = 5 / 3, standard error √(5 / 12), t = √15 with 3 degrees of freedom."""
    found = interval([1, 2, 3, 4])
    assert found.mean == 2.5
    assert found.error == pytest.approx(math.sqrt(5 / 12))
    assert found.high == pytest.approx(2.5 + 3.182446305 * math.sqrt(5 / 12), abs=1e-8)
    assert found.low == pytest.approx(2.5 - 3.182446305 * math.sqrt(5 / 12), abs=1e-8)
    assert found.p == pytest.approx(closed_form(math.sqrt(15), 3), rel=1e-9)
    assert (found.units, found.resamples) == (4, 0)


@pytest.mark.parametrize("kind", ["normal", "skewed", "groups"])
def test_it_is_that_of_a_plain_loop_over_the_same_resamples(kind: str) -> None:
    rng = np.random.default_rng(11)
    groups = None
    values = rng.normal(0.3, 1, 60)
    if kind == "skewed":
        values = np.exp(1.5 * values)
    if kind == "groups":
        groups = np.sort(rng.integers(0, 40, 60)).tolist()
        values += np.array(groups) % 7
    units = units_of(values, np.arange(60) if groups is None else np.array(groups))
    count = len(units)
    taken = np.concatenate(list(resamples(DIGEST, count)))
    low, high, p = plain_interval(
        units.sums.tolist(), units.counts.tolist(), taken, t_quantile(0.95, count - 1)
    )
    found = interval(values, groups)
    assert found.low == pytest.approx(low, rel=1e-11)
    assert found.high == pytest.approx(high, rel=1e-11)
    assert found.p == pytest.approx(max(p, two_sided_p(found.mean / found.error, count - 1)), rel=1e-9)
    assert (found.units, found.resamples) == (count, 9999)


def test_a_skewed_end_is_the_bootstraps_and_the_other_the_paired_ts() -> None:
    values = np.exp(np.random.default_rng(5).standard_normal(60))
    found = interval(values)
    reach = t_quantile(0.95, 59) * found.error
    assert found.low == pytest.approx(found.mean - reach)
    assert found.high > found.mean + 1.1 * reach


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_p_is_the_level_at_which_0_leaves_the_interval(scale: float) -> None:
    """Shifted until 0 lies just inside, or just outside, of either end."""
    values = scale * np.exp(np.random.default_rng(5).standard_normal(60))
    ends = interval(values)
    nearly = 1e-7 * (ends.high - ends.low)
    for end, inwards in ((ends.low, nearly), (ends.high, -nearly)):
        assert interval(values - end - inwards).p > 0.05
        assert interval(values - end + inwards).p <= 0.05
        assert interval(values - end + inwards).p == pytest.approx(0.05, abs=0.0003)


def test_p_has_a_floor() -> None:
    found = interval(np.random.default_rng(1).normal(50, 1, 40))
    assert found.p == 2 / 10_000


def test_groups_of_one_are_no_groups() -> None:
    values = np.random.default_rng(2).normal(0.1, 1, 30)
    assert interval(values) == interval(values, list(range(30)))


def test_samples_said_over_and_over_are_no_more_samples() -> None:
    """Each of 30 samples ten times, as a group of its own: the interval of the 30, not of 300."""
    values = np.random.default_rng(3).normal(0.1, 1, 30)
    once, tenfold = interval(values), interval(np.repeat(values, 10), np.repeat(np.arange(30), 10).tolist())
    for one in ("mean", "low", "high", "p", "error", "units"):
        assert getattr(tenfold, one) == pytest.approx(getattr(once, one), rel=1e-9)
    blind = interval(np.repeat(values, 10))
    assert blind.high - blind.low < 0.4 * (once.high - once.low)


def test_groups_of_unlike_size_by_hand() -> None:
    """Sums 2, 9 of 1, 3 samples: mean 11 / 4, residuals ∓3 / 4, variance 2 · 2 · 9 / 16 / 16."""
    found = interval([2, 2, 3, 4], [0, 1, 1, 1])
    assert found.mean == 2.75
    assert found.error == pytest.approx(math.sqrt(2 * 2 * 9 / 16 / 16))
    assert found.p == pytest.approx(closed_form(2.75 / found.error, 1), rel=1e-9)


@pytest.mark.parametrize("count", [2, 10, 100])
def test_equal_differences_have_no_spread(count: int) -> None:
    none, all_alike = interval([0.0] * count), interval([0.1] * count)
    assert (none.mean, none.low, none.high, none.p) == (0, 0, 0, 1)
    assert all_alike.mean == all_alike.low == all_alike.high == pytest.approx(0.1, rel=1e-15)
    assert all_alike.p == 2.0 ** (1 - count)  # all signs alike


def test_almost_equal_differences_have_finite_ends() -> None:
    """One sample of 100 differs: more than a third of the resamples do not hold it."""
    found = interval([0.0] * 99 + [1.0])
    assert found.low < 0 < found.high < 0.05
    assert found.p > 0.3


def test_nothing_and_one_difference() -> None:
    nothing, one = interval([]), interval([0.5])
    assert math.isnan(nothing.mean)
    assert (nothing.p, one.p, one.mean) == (1, 1, 0.5)
    for found in (nothing, one):
        assert (found.low, found.high) == (-math.inf, math.inf)


def test_what_stands_beside_it_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    sets = [Units(rng.normal(0, 1, size), np.ones(size)) for size in (30, 25, 30, 10)]
    together = paired_intervals(sets, DIGEST)
    assert together == tuple(paired_intervals([one], DIGEST)[0] for one in sets)
    assert together[0] != paired_intervals(sets[:1], "ab" * 16)[0]
