"""Choosing by halves, and greedy soups, beside the same in plain loops."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from core.study.cross_fitting import chosen_by_halves, greedy_soup, measured_by_other_half

EVEN = np.arange(8) % 2 == 0
HALVES = (EVEN, ~EVEN)


def test_each_half_chooses_for_the_other() -> None:
    losses = {
        "a": np.array([1.0, 5, 1, 5, 1, 5, 1, 5]),  # best on the even ones
        "b": np.array([2.0, 3, 2, 3, 2, 3, 2, 3]),  # best on the odd ones
    }
    assert chosen_by_halves(losses, HALVES) == ("a", "b")
    fitted = measured_by_other_half((losses["a"], losses["b"]), HALVES)
    assert fitted.tolist() == [2, 5, 2, 5, 2, 5, 2, 5]  # worse than either choice looked where it was made


def test_of_equals_the_first_is_chosen() -> None:
    assert chosen_by_halves({1.0: np.ones(8), 2.0: np.ones(8)}, HALVES) == (1.0, 1.0)


def test_noise_that_is_chosen_from_gains_nothing_on_the_other_half() -> None:
    rng = np.random.default_rng(5)
    gains = []
    for _ in range(400):
        losses = {number: rng.normal(size=40) for number in range(8)}
        halves = (np.arange(40) < 20, np.arange(40) >= 20)
        first, second = chosen_by_halves(losses, halves)
        fitted = measured_by_other_half((losses[first], losses[second]), halves)
        gains.append((fitted.mean(), min(one.mean() for one in losses.values())))
    fitted_mean, best_mean = np.mean(gains, axis=0)
    assert abs(fitted_mean) < 4 * np.std([one for one, _ in gains]) / 20
    assert best_mean < -0.15  # which a choice on all samples would have shown


@pytest.mark.parametrize("seed", range(12))
def test_a_soup_is_that_of_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = [rng.integers(0, 50, 8).astype(float) for _ in range(5)]
    averages: dict[tuple[int, ...], np.ndarray] = {}

    def loss_of(members: tuple[int, ...]) -> np.ndarray:
        assert len(members) > 1
        assert all(one < other for one, other in pairwise(members))
        key = tuple(members)
        if key not in averages:
            spread = np.random.default_rng(sum(2**one for one in members)).integers(-9, 6, 8)
            averages[key] = np.mean([losses[one] for one in members], axis=0) + spread
        return averages[key]

    def mean(values: np.ndarray) -> Fraction:
        return sum((Fraction(float(one)) for one in values[EVEN]), Fraction(0)) / 4

    ranked = sorted(range(5), key=lambda one: (mean(losses[one]), one))
    soup, best = [ranked[0]], mean(losses[ranked[0]])
    for one in ranked[1:]:
        tried = mean(loss_of(tuple(sorted([*soup, one]))))
        if tried <= best:
            soup, best = [*soup, one], tried
    assert greedy_soup(losses, loss_of, EVEN) == tuple(sorted(soup))


def test_a_model_that_changes_nothing_is_taken_and_one_that_harms_is_not() -> None:
    losses = [np.full(8, 1.0), np.full(8, 2.0), np.full(8, 3.0)]
    of = {(0, 1): np.full(8, 1.0), (0, 1, 2): np.full(8, 1.01)}
    assert greedy_soup(losses, lambda members: of[members], EVEN) == (0, 1)
