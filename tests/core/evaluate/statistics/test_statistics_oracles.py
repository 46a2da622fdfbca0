"""P-values, quantiles and numbers of samples beside scipy and statsmodels; an interval from Python alone."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
from plain_interval import plain_interval

from core.evaluate.statistics.holm import holm
from core.evaluate.statistics.intervals import paired_intervals, units_of
from core.evaluate.statistics.mcnemar import exact_p, mid_p
from core.evaluate.statistics.power import samples_needed
from core.evaluate.statistics.student import t_quantile, two_sided_p

pytestmark = pytest.mark.slow

FREEDOMS = (1, 2, 3, 5, 10, 19, 29, 48, 58, 59, 60, 61, 99, 499, 1000, 9_999, 100_001, 1e7)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_students_t(freedom: float) -> None:
    from scipy import stats

    for t in (0, 1e-9, 1e-3, 0.1, 0.5, 1, 1.5, 1.96, 2, 2.5, 3, 5, 8, 20, 38):
        assert two_sided_p(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9, abs=1e-300)
    for confidence in (0.01, 0.5, 0.9, 0.95, 0.99, 0.9999):
        expected = stats.t.isf((1 - confidence) / 2, freedom)
        assert t_quantile(confidence, freedom) == pytest.approx(expected, rel=1e-9)


def test_the_paired_t_of_few_samples() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    for count in range(2, 20):
        one, other = rng.normal(3, 1, (2, count))
        expected = stats.ttest_rel(one, other)
        ends = expected.confidence_interval(0.95)
        found = paired_intervals([units_of(one - other, np.arange(count))], "5eed" * 8)[0]
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_mcnemar() -> None:
    from scipy import stats
    from statsmodels.stats.contingency_tables import mcnemar

    for one in range(0, 60, 3):
        for other in range(0, 60, 4):
            table = [[9, one], [other, 9]]
            expected = mcnemar(table, exact=True).pvalue if one + other else 1.0
            assert exact_p(one, other) == pytest.approx(expected, rel=1e-9)
            least = stats.binom.pmf(min(one, other), one + other, 0.5)
            below = stats.binom.cdf(min(one, other) - 1, one + other, 0.5)
            assert mid_p(one, other) == pytest.approx(2 * below + least, rel=1e-9)
    for one, other in [(4_900, 5_200), (20_000, 20_500), (3, 60)]:
        assert exact_p(one, other) == pytest.approx(
            stats.binomtest(one, one + other, 0.5).pvalue, rel=1e-9, abs=1e-300
        )


def test_holm() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 30):
        for _ in range(50):
            p = rng.random(count) ** 3
            assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist(), rel=1e-12)


@pytest.mark.parametrize("effect", [0.01, 0.05, 0.1, 0.2, 0.5, 0.8])
def test_samples_needed(effect: float) -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8, alternative="two-sided")
    found = samples_needed(effect, 0.1, 100, 100)
    assert found is not None
    assert abs(found - math.ceil(expected)) <= 1


def test_an_interval_by_python_alone() -> None:
    """Words, resamples and means of 30 samples from the contract's text, with the pure Python Philox."""
    key = (0x44332211, 0x88776655)
    values = np.exp(np.random.default_rng(6).standard_normal(30))

    def resample(draw: int) -> np.ndarray:
        words = [oracle.philox4x32_10((element, 0, draw, 3), key)[0] for element in range(30)]
        return np.array([(word * 30) >> 32 for word in words])

    low, high, p = plain_interval(
        values.tolist(), [1.0] * 30, map(resample, range(9_999)), t_quantile(0.95, 29)
    )
    found = paired_intervals([units_of(values, np.arange(30))], "1122334455667788" + "0" * 16)[0]
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-11)
    assert found.p == pytest.approx(max(p, 2e-4), rel=1e-9)
