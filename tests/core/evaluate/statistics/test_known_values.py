"""P-values, quantiles and numbers of samples beside those of scipy and statsmodels.

known_values.json holds what the two libraries say, so that neither has to be there;
test_statistics_oracles.py makes it and holds it against them.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from plain_interval import plain_interval

from core.evaluate.statistics.holm import holm
from core.evaluate.statistics.intervals import paired_intervals, units_of
from core.evaluate.statistics.mcnemar import exact_p, mid_p, net_interval
from core.evaluate.statistics.power import samples_needed
from core.evaluate.statistics.student import t_quantile, two_sided_p

KNOWN: dict[str, list[Any]] = json.loads(Path(__file__).with_name("known_values.json").read_text())


def test_students_t() -> None:
    for t, freedom, expected in KNOWN["two_sided_p"]:
        assert two_sided_p(t, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300), (t, freedom)
    for confidence, freedom, expected in KNOWN["t_quantile"]:
        assert t_quantile(confidence, freedom) == pytest.approx(expected, rel=1e-9), (confidence, freedom)


def test_the_paired_t_of_few_samples() -> None:
    for differences, p, low, high in KNOWN["paired_t"]:
        units = units_of(np.array(differences), np.arange(len(differences)))
        found = paired_intervals([units], "5eed" * 8)[0]
        assert found.p == pytest.approx(p, rel=1e-9)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_mcnemar() -> None:
    for one, other, expected in KNOWN["mcnemar_exact"]:
        assert exact_p(one, other) == pytest.approx(expected, rel=1e-9, abs=1e-300), (one, other)
    for one, other, expected in KNOWN["mcnemar_mid"]:
        assert mid_p(one, other) == pytest.approx(expected, rel=1e-9), (one, other)


def test_the_interval_of_right_answers() -> None:
    """Clopper and Pearson's, where every second sample decides."""
    for one, other, low, high in KNOWN["clopper_pearson"]:
        decided = one + other
        found = net_interval(one, other, 2 * decided)
        expected = ((2 * low - 1) / 2, (2 * high - 1) / 2)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), (one, other)


def test_holm() -> None:
    for p, expected in KNOWN["holm"]:
        assert holm(p) == pytest.approx(expected, rel=1e-9)


def test_samples_needed() -> None:
    for effect, expected in KNOWN["samples_needed"]:
        found = samples_needed(effect, 0.1, 100, 100)
        assert found is not None
        assert abs(found - math.ceil(expected)) <= 1, effect


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
