"""Losses by position and by step, beside values worked out by hand."""

from __future__ import annotations

import statistics
from math import sqrt

import numpy as np
import pytest

from core.study.curves import SEGMENTS, by_position, by_step, differences_by_position

T_9 = 2.2621571627409915
"""The 97.5th percentile of Student's distribution with 9 degrees of freedom, from a printed table."""


def test_segments_are_equal_parts_of_the_epoch() -> None:
    rng = np.random.default_rng(3)
    positions = rng.permutation(200)
    losses = positions / 100 + rng.normal(0, 0.1, 200)
    curve = by_position(losses, positions, 200, label="order-1", role="single")
    assert (len(curve.x), curve.label, curve.role) == (SEGMENTS, "order-1", "single")
    for segment in range(SEGMENTS):
        inside = [
            float(loss)
            for loss, place in zip(losses, positions, strict=True)
            if 10 * segment <= place < 10 * (segment + 1)
        ]
        half = T_9 * statistics.stdev(inside) / sqrt(10)
        assert curve.x[segment] == pytest.approx(10 * segment + 5.5)  # positions are shown from 1
        assert curve.mean[segment] == pytest.approx(statistics.mean(inside))
        assert curve.low[segment] == pytest.approx(statistics.mean(inside) - half)
        assert curve.high[segment] == pytest.approx(statistics.mean(inside) + half)


def test_few_rows_make_few_segments_and_rows_without_a_loss_do_not_count() -> None:
    losses = np.arange(24.0)
    losses[5] = np.nan
    curve = by_position(losses, np.arange(24), 24, label="", role="merge")
    assert curve.mean == (np.nanmean(losses[:12]), np.mean(losses[12:]))


def test_some_rows_of_an_epoch_keep_their_places() -> None:
    positions = np.array([990, 991, 992] * 10 + [3, 4, 5] * 10)
    curve = by_position(np.ones(60), positions, 1000, label="", role="single")
    assert curve.x == (5.0, 992.0)


def test_steps_have_the_spread_of_models() -> None:
    values = [[1.0, 2.0, 3.0, 6.0, 2.5, 2.0, 1.0, 4.0, 5.0, 3.5], [2.0]]
    curve = by_step([10, 20], values, label="single", role="single")
    half = T_9 * statistics.stdev(values[0]) / sqrt(10)
    assert curve.x == (10.0, 20.0)
    assert curve.mean == pytest.approx((3.0, 2.0))
    assert curve.low == pytest.approx((3.0 - half, 2.0))
    assert curve.high == pytest.approx((3.0 + half, 2.0))


def test_the_band_of_the_mean_of_orders_misses_the_truth_as_often_as_it_says() -> None:
    """400 made-up trainings without an imbalance: five orders of 100 samples of different difficulty."""
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(400):
        places = np.stack([rng.permutation(100) for _ in range(5)])
        losses = rng.normal(3, 1, 100) + rng.normal(0, 0.1, (5, 100)) + rng.normal(0, 1, (5, 1))
        *orders, mean = differences_by_position(losses, places, 100, labels=list("abcde"))
        assert (len(orders), len(mean.x)) == (5, 10)
        missed += sum(not low <= 0 <= high for low, high in zip(mean.low, mean.high, strict=True))
    assert 0.03 <= missed / 4000 <= 0.07


def test_one_order_has_nothing_to_differ_from() -> None:
    places = np.arange(20)[None]
    assert differences_by_position(np.ones((1, 20)), places, 20, labels=["a"]) == ()
    assert (
        differences_by_position(np.full((2, 20), np.nan), np.tile(places, (2, 1)), 20, labels=["a", "b"])
        == ()
    )
