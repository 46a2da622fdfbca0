"""Multi-SLERP against directions worked out by hand, and against its steps on whole vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from by_reference import by_reference

from core.dtypes import DTYPES
from core.errors import RecipeError
from core.methods import METHODS
from core.methods.multislerp import on_the_sphere


def steps(vectors: np.ndarray, weights: np.ndarray, eps: float) -> np.ndarray:
    """The method's formula on vectors instead of coefficients, with float64 of numpy."""
    norms = np.linalg.norm(vectors, axis=1)
    units = vectors / (norms + eps)[:, None]
    mean = weights @ units
    mean = mean / np.linalg.norm(mean)
    tangents = units - np.outer(units @ mean, mean)
    tangent = weights @ tangents
    angle = np.linalg.norm(tangent) + eps
    point = mean * math.cos(angle) + tangent * math.sin(angle) / angle
    return point * (weights @ norms)


def test_equal_weights_go_through_the_middle() -> None:
    merged = by_reference("multislerp", [[2.0, 0.0], [0.0, 1.0]]).values
    assert merged == pytest.approx(1.5 * math.sqrt(0.5) * np.ones(2))
    sixty = by_reference("multislerp", [[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert sixty.found["coefficients"] == pytest.approx((1 / math.sqrt(3.0),) * 2)
    axes = by_reference("multislerp", np.eye(4)).values
    assert axes == pytest.approx([0.5] * 4)


def test_the_direction_is_the_weighted_mean_of_directions_and_the_length_that_of_lengths() -> None:
    merged = by_reference("multislerp", [[2.0, 0.0], [0.0, 1.0]], None, {"weight": [3.0, 1.0]}).values
    direction = np.array([3.0, 1.0]) / math.sqrt(10.0)
    assert merged == pytest.approx((0.75 * 2.0 + 0.25 * 1.0) * direction)
    factors = {"weight": [3.0, 1.0], "normalize_weights": False}
    merged = by_reference("multislerp", [[2.0, 0.0], [0.0, 1.0]], None, factors).values
    assert merged == pytest.approx((3.0 * 2.0 + 1.0) * direction)


def test_with_a_base_it_is_of_task_vectors() -> None:
    base = np.array([5.0, -3.0])
    models = [[7.0, -3.0], [5.0, -2.0]]
    merged = by_reference("multislerp", models, base, {"weight": [3.0, 1.0]}).values
    assert merged == pytest.approx(base + 1.75 * np.array([3.0, 1.0]) / math.sqrt(10.0))


@pytest.mark.parametrize("eps", [1e-8, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_steps_on_whole_vectors(seed, eps) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 1, (5, 300)) * random.uniform(0.5, 2.0, (5, 1)) + random.normal(0, 1, 300)
    weights = random.uniform(-0.2, 1.0, 5)
    parameters = {"weight": weights.tolist(), "eps": eps}
    merged = by_reference("multislerp", vectors, None, parameters).values
    np.testing.assert_allclose(merged, steps(vectors, weights / weights.sum(), eps), rtol=1e-9, atol=1e-12)


def test_one_model_is_taken_as_it_is() -> None:
    values = [1.5, -0.0, math.nan, math.inf]
    for base in (None, [1.0, 2.0, 3.0, 4.0]):
        merged = by_reference("multislerp", [values], base, {"weight": [-3.0]}, dtype="BF16")
        np.testing.assert_array_equal(merged.values, values)
        assert np.signbit(merged.values[1])
        assert not merged.found
    assert by_reference("multislerp", [[1 / 3]], dtype="F64", out="F32").values == np.float32(1 / 3)


@pytest.mark.parametrize("models", [2, 3])
def test_what_no_model_changed_stays_the_base(models) -> None:
    base = np.array([1.0, -0.5, 3.0])
    merged = by_reference("multislerp", [base] * models, base).values
    np.testing.assert_array_equal(merged, base)


def test_one_unchanged_model_adds_no_direction_but_its_length_of_zero() -> None:
    base, tuned = np.zeros(2), np.array([3.0, 4.0])
    merged = by_reference("multislerp", [base, tuned, tuned], base).values
    assert merged == pytest.approx(tuned * 2 / 3)
    assert by_reference("multislerp", [base, tuned, tuned], base, {"eps": 0.0}).values == pytest.approx(
        merged
    )


def test_identical_models_stay_what_they_are() -> None:
    vector = np.array([1.0, 2.0, -3.0])
    weight = {"weight": [1.0, 2.0, 0.5]}
    assert by_reference("multislerp", [vector] * 3, None, weight).values == pytest.approx(vector, rel=1e-14)


def test_directions_that_cancel_are_added_with_their_weights() -> None:
    vector = np.array([1.0, 2.0, -3.0])
    merged = by_reference("multislerp", [vector, -2 * vector])
    assert merged.found["coefficients"] == (0.5, 0.5)
    np.testing.assert_array_equal(merged.values, -0.5 * vector)
    # mergekit's threshold: the mean of such small factors has no length.
    small = {"weight": [1e-9, 1e-9], "normalize_weights": False}
    assert by_reference("multislerp", np.eye(2), None, small).found["coefficients"] == (1e-9, 1e-9)
    assert by_reference("multislerp", np.eye(2), None, {**small, "eps": 0.0}).found["coefficients"] != (
        1e-9,
        1e-9,
    )


@pytest.mark.parametrize("eps", [1e-8, 0.0])
def test_rounding_errors_are_no_direction(eps) -> None:
    """Three directions that cancel but for them."""
    lengths = np.array([[1.0], [0.3], [7.0]])
    for seed in range(20):
        plane, _ = np.linalg.qr(np.random.default_rng(seed).normal(0, 1, (50, 2)))
        angles = np.array([0.0, 1.0, 2.0]) * math.tau / 3 + seed
        models = lengths * (np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T)
        weight = {"weight": [0.1] * 3, "normalize_weights": False, "eps": eps}
        assert by_reference("multislerp", models, None, weight).found["coefficients"] == (0.1,) * 3


def test_unequal_weights_of_opposite_models_have_a_direction() -> None:
    vector = np.array([0.6, 0.8])
    merged = by_reference("multislerp", [vector, -vector], None, {"weight": [3.0, 1.0]}).values
    assert merged == pytest.approx(vector)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_stays_in_its_own_element(odd) -> None:
    models = np.array([[1.0, 2.0, 4.0], [1.0, odd, 8.0]])
    merged = by_reference("multislerp", models, None, {"weight": [3.0, 1.0]})
    assert merged.found["coefficients"] == (0.75, 0.25)
    assert merged.values[[0, 2]].tolist() == [1.0, 5.0]
    assert not np.isfinite(merged.values[1])


def test_sums_that_overflow_leave_the_weights() -> None:
    assert on_the_sphere((0.5, 0.5), [[math.inf, 1.0], [1.0, 1.0]], 1e-8) == (0.5, 0.5)
    assert on_the_sphere((1e200, 1e200), [[1.0, 0.0], [0.0, 1.0]], 1e-8) == (1e200, 1e200)


def test_every_step_of_the_map_is_rounded_to_float32() -> None:
    random = np.random.default_rng(5)
    base = random.normal(0, 1, 9000).astype(np.float16)
    tuned = [(base + random.normal(0, 1, 9000)).astype(np.float16) for _ in range(3)]
    merged = by_reference("multislerp", tuned, base, {"weight": [1.0, 0.3, 0.2]}, dtype="F16", chunk=4096)
    mix = np.zeros(9000, np.float32)
    for coefficient, one in zip(merged.found["coefficients"], tuned, strict=True):
        mix = mix + np.float32(coefficient) * (one.astype(np.float32) - base.astype(np.float32))
    np.testing.assert_array_equal(merged.values, (base.astype(np.float32) + mix).astype(np.float16))


@pytest.mark.parametrize("weight", [[1.0, -1.0], [0.0, 0.0]])
def test_weights_whose_sum_is_zero_are_refused(weight) -> None:
    check = METHODS["multislerp"].check
    values = {"weight": weight, "normalize_weights": True, "eps": 1e-8}
    with pytest.raises(RecipeError, match="sum is zero") as refused:
        check(values, None)
    assert refused.value.field == "weight"
    check({**values, "normalize_weights": False}, None)


def test_factors_that_float32_cannot_hold_are_refused() -> None:
    values = {"weight": [1e300, 1.0], "normalize_weights": False, "eps": 1e-8}
    METHODS["multislerp"].check(values, DTYPES["F64"])
    METHODS["multislerp"].check({**values, "normalize_weights": True}, DTYPES["F32"])
    with pytest.raises(RecipeError, match="1e\\+300 is too large for float32") as refused:
        METHODS["multislerp"].check(values, DTYPES["F32"])
    assert refused.value.field == "weight"
