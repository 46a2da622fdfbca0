"""The Karcher mean against directions worked out by hand, and against what defines it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from by_reference import by_reference

from core.methods.karcher import karcher_mean


def unit(*degrees: float) -> list[list[float]]:
    """Vectors of length 1 in a plane."""
    return [[math.cos(math.radians(angle)), math.sin(math.radians(angle))] for angle in degrees]


def pull(mean: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The mean of the tangents from `mean` to all directions: zero at the Karcher mean."""
    direction = mean / np.linalg.norm(mean)
    tangents = []
    for vector in vectors / np.linalg.norm(vectors, axis=1, keepdims=True):
        across = vector - (vector @ direction) * direction
        tangents.append(
            math.atan2(np.linalg.norm(across), vector @ direction) * across / np.linalg.norm(across)
        )
    return np.mean(tangents, axis=0)


def steps(vectors: np.ndarray, max_iter: int) -> np.ndarray:
    """The method on vectors instead of coefficients, for vectors that are neither equal nor opposite."""
    norms = np.linalg.norm(vectors, axis=1)
    units = vectors / norms[:, None]
    mean = units.mean(axis=0)
    mean = mean / np.linalg.norm(mean)
    for _ in range(max_iter):
        cosines = units @ mean
        angles = np.arccos(cosines)
        tangent = ((angles / np.sin(angles))[:, None] * (units - np.outer(cosines, mean))).mean(axis=0)
        step = np.linalg.norm(tangent)
        mean = math.cos(step) * mean + math.sin(step) * tangent / step
        mean = mean / np.linalg.norm(mean)
    return norms.mean() * mean


def test_two_models_meet_in_the_middle_with_their_mean_length() -> None:
    right = by_reference("karcher", [[2.0, 0.0], [0.0, 4.0]]).values
    assert right == pytest.approx(3.0 * math.sqrt(0.5) * np.ones(2))
    sixty = by_reference("karcher", unit(0, 60))
    assert sixty.found["coefficients"] == pytest.approx((1 / math.sqrt(3.0),) * 2)
    assert by_reference("karcher", np.eye(4)).values == pytest.approx([0.5] * 4)


def test_in_a_plane_it_is_the_mean_of_the_angles() -> None:
    models = np.array(unit(0, 10, 80)) * [[1.0], [2.0], [6.0]]
    merged = by_reference("karcher", models, None, {"max_iter": 50, "tol": 1e-12}).values
    assert merged == pytest.approx(3.0 * np.array(unit(30)[0]), abs=1e-11)
    start = by_reference("karcher", models, None, {"max_iter": 0}).values
    mean = np.mean(unit(0, 10, 80), axis=0)
    assert start == pytest.approx(3.0 * mean / np.linalg.norm(mean))
    assert np.linalg.norm(start - merged) > 0.05


@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_the_pulls_of_all_models_cancel_there(spread) -> None:
    random = np.random.default_rng(1)
    models = random.normal(0, 1, 400) + spread * random.normal(0, 1, (5, 400)) * random.uniform(
        0.2, 2, (5, 1)
    )
    settled = by_reference("karcher", models, None, {"max_iter": 1200, "tol": 1e-13}).values
    assert np.linalg.norm(pull(settled, models)) < 1e-13 + 1e-10 * spread
    by_default = by_reference("karcher", models).values
    assert np.linalg.norm(pull(by_default, models)) < 1e-5
    assert np.linalg.norm(settled) == pytest.approx(np.linalg.norm(models, axis=1).mean(), rel=1e-12)


@pytest.mark.parametrize("max_iter", [0, 1, 2])
def test_so_many_steps_are_taken(max_iter) -> None:
    models = np.random.default_rng(2).normal(0.2, 1, (4, 50)) * np.array([[1.0], [2.0], [3.0], [0.1]])
    merged = by_reference("karcher", models, None, {"max_iter": max_iter}).values
    np.testing.assert_allclose(merged, steps(models, max_iter), rtol=1e-10, atol=1e-12)
    assert not np.allclose(merged, steps(models, max_iter + 1), rtol=1e-7, atol=0)


def test_a_step_below_the_tolerance_is_not_taken() -> None:
    models = np.array(unit(0, 10, 80))
    first = by_reference("karcher", models, None, {"max_iter": 0}).values
    step = np.linalg.norm(pull(first, models))
    for tol, stays in ((step * 1.001, True), (step * 0.999, False)):
        merged = by_reference("karcher", models, None, {"tol": tol}).values
        assert np.array_equal(merged, first) == stays


def test_one_model_is_taken_as_it_is() -> None:
    values = [1.5, -0.0, math.nan, math.inf]
    merged = by_reference("karcher", [values], dtype="BF16")
    np.testing.assert_array_equal(merged.values, values)
    assert np.signbit(merged.values[1])
    assert not merged.found


def test_identical_models_stay_what_they_are() -> None:
    vector = np.array([1.0, 2.0, -3.0])
    assert by_reference("karcher", [vector] * 3).values == pytest.approx(vector, rel=1e-14)
    assert by_reference("karcher", [vector, 3 * vector]).values == pytest.approx(2 * vector, rel=1e-14)


def test_short_models_have_no_direction_but_a_length() -> None:
    vector = np.array([3.0, 4.0])
    for short in ([0.0, 0.0], [0.0, 1e-5], [0.0, 0.9e-5]):
        merged = by_reference("karcher", [vector, short, vector]).values
        assert merged == pytest.approx(vector / 5.0 * (10.0 + np.linalg.norm(short)) / 3.0)
    longer = by_reference("karcher", [vector, [0.0, 1.1e-5]]).values
    assert longer[1] / longer[0] > 2.0
    assert by_reference("karcher", [[1e-6, 0.0], [0.0, -0.0]]).values.tolist() == [0.0, 0.0]


def test_of_opposite_models_the_first_ones_direction_is_taken() -> None:
    vector = np.array([1.0, 2.0, -3.0])
    merged = by_reference("karcher", [vector, -3 * vector])
    assert merged.found["coefficients"] == pytest.approx((2.0, 0.0))
    assert merged.values == pytest.approx(2 * vector)


@pytest.mark.parametrize("tol", [1e-5, 0.0])
def test_rounding_errors_neither_pull_nor_are_a_direction(tol) -> None:
    for seed in range(20):
        vector = np.random.default_rng(seed).normal(0, 1, 50)
        same = by_reference("karcher", [vector, 0.3 * vector, 7 * vector], None, {"tol": tol}).values
        np.testing.assert_allclose(same, 8.3 / 3 * vector, rtol=1e-12)
        merged = by_reference("karcher", [vector, -0.3 * vector], None, {"tol": tol}).values
        np.testing.assert_allclose(merged, 0.65 * vector, rtol=1e-12)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_stays_in_its_own_element(odd) -> None:
    merged = by_reference("karcher", [[1.0, 2.0, 4.0], [1.0, odd, 8.0]])
    assert merged.found["coefficients"] == (0.5, 0.5)
    assert merged.values[[0, 2]].tolist() == [1.0, 6.0]
    assert not np.isfinite(merged.values[1])


def test_sums_that_overflow_make_it_the_average() -> None:
    assert karcher_mean([[math.inf, 1.0, 1.0], [1.0] * 3, [1.0] * 3], 10, 1e-5) == (1 / 3,) * 3


def test_every_step_of_the_map_is_rounded_to_float32() -> None:
    models = np.random.default_rng(5).normal(0.3, 1, (3, 9000)).astype(np.float16)
    merged = by_reference("karcher", models, dtype="F16", chunk=4096)
    mix = np.zeros(9000, np.float32)
    for coefficient, one in zip(merged.found["coefficients"], models, strict=True):
        mix = mix + np.float32(coefficient) * one.astype(np.float32)
    np.testing.assert_array_equal(merged.values, mix.astype(np.float16))
