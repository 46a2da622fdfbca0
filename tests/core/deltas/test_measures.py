from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from core.deltas.measures import (
    expected_on_zero_delta,
    flattens_at,
    order_by_similarity,
    stays_on_zero_delta,
    straying,
    widening,
)


def test_expected_elements_on_a_zero_delta_by_hand() -> None:
    # K = 2: 8 elements that nobody changed stay for ever, 4 that one changed halve, 2 that both changed go.
    np.testing.assert_allclose(expected_on_zero_delta((8, 4, 2), 3), [10.0, 9.0, 8.5])


def test_chances_to_stay_by_hand() -> None:
    np.testing.assert_allclose(
        stays_on_zero_delta(4, 2), [[1, 0.75, 0.5, 0.25, 0], [1, 0.5625, 0.25, 0.0625, 0]]
    )


@pytest.mark.parametrize(
    ("left", "n"),
    [
        ([0.5, 0.4, 0.396, 0.395], 1),  # from n = 1 to 2 less than half a percent
        ([0.5, 0.498, 0.497], 0),
        ([0.9, 0.8, 0.7, 0.6], None),
        ([0.0, 0.0], 0),
        ([math.nan, math.nan], None),
        ([0.3], None),
    ],
)
def test_a_curve_is_flat_where_one_more_resample_moves_half_a_percent(
    left: list[float], n: int | None
) -> None:
    assert flattens_at(np.array(left)) == n


@pytest.mark.parametrize(
    ("norms", "who"),
    [
        ([1.0, 1.1, 0.9, 1.05], []),
        ([1.0, 1.1, 0.9, 5.0], [3]),
        ([1.0, 1.1, 0.1, 1.05], [2]),
        ([1.0, 1.0, 1.0, 1.4], []),  # far beyond the others' spread, but not by much
        ([1.0, 3.0, 9.0, 27.0], []),  # all of them differ
        ([1.0, 9.0], []),
        ([0.0, 1.0, 1.1, 0.9], [0]),
        ([0.0, 0.0, 0.0], []),
        ([0.0, 0.0, 0.0, 1.0], [3]),
        ([1.0, math.nan, 1.1, 0.9, 8.0], [4]),
        ([math.nan] * 4, []),
    ],
)
def test_who_strays(norms: list[float], who: list[int]) -> None:
    assert np.flatnonzero(straying(np.array(norms))).tolist() == who


def test_those_that_are_alike_become_neighbours() -> None:
    generator = np.random.default_rng(3)
    groups = [0, 1, 2, 0, 1, 2, 2, 0]
    centres = generator.standard_normal((3, 400))
    vectors = centres[groups] + 0.5 * generator.standard_normal((8, 400))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = order_by_similarity(vectors @ vectors.T)
    assert sorted(order) == list(range(8))
    found = [groups[number] for number in order]
    assert len([1 for one, other in pairwise(found) if one != other]) == 2


def test_a_chain_comes_out_as_a_chain() -> None:
    hidden = [3, 0, 4, 1, 2]  # who stands where
    cosines = np.array([[0.9 ** abs(a - b) for b in hidden] for a in hidden])
    found = [hidden[number] for number in order_by_similarity(cosines)]
    assert found in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])


def test_an_order_needs_three() -> None:
    assert order_by_similarity(np.eye(1)) == [0]
    assert order_by_similarity(np.array([[1.0, math.nan], [math.nan, 1.0]])) == [0, 1]
    assert sorted(order_by_similarity(np.full((4, 4), math.nan))) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 235.8015), (3, 9.21894), (7, 4.52997), (11, 3.84994), (30, 3.27033), (1000, 3.00752)],
)
def test_errors_are_widened_as_students_distribution_says(freedom: int, quantile: float) -> None:
    assert widening(freedom) == pytest.approx(quantile / 3, rel=1e-3)


def test_what_was_read_as_a_whole_needs_no_widening() -> None:
    assert widening(0) == 1.0
