"""Model stock against shares worked out by hand, of whole tensors and of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from by_reference import by_reference

BASE = np.array([10.0, -4.0])
ROWS: dict[str, Any] = {"filter_wise": True}


def turned(*degrees: float, lengths: tuple[float, ...] | None = None) -> list[np.ndarray]:
    """The base and task vectors of these angles."""
    angles = zip(degrees, lengths or (1.0,) * len(degrees), strict=True)
    return [
        BASE + long * np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
        for angle, long in angles
    ]


@pytest.mark.parametrize(
    ("degrees", "share"),
    [
        ((0, 60), 2 / 3),  # c = 1/2: 2 c / (1 + c)
        ((0, 90), 0.0),
        ((0, 0), 1.0),
        ((0, 120), -2.0),  # c = -1/2
        ((0, 60, 120), 3 / 8),  # c = (1/2 - 1/2 + 1/2) / 3: 3 c / (1 + 2 c)
    ],
)
def test_the_share_of_the_average_follows_from_the_angles(degrees, share) -> None:
    models = turned(*degrees, lengths=(1.0, 2.0, 0.5)[: len(degrees)])
    merged = by_reference("model_stock", models, BASE)
    assert merged.found["of_average"] == pytest.approx(share, abs=1e-14)
    expected = share * np.mean(models, axis=0) + (1 - share) * BASE
    assert merged.values == pytest.approx(expected)


def test_identical_models_are_taken_and_unchanged_ones_say_nothing() -> None:
    tuned = BASE + np.array([0.5, 0.25])
    np.testing.assert_array_equal(by_reference("model_stock", [tuned] * 4, BASE).values, tuned)
    for models in ([BASE, BASE], [BASE, tuned], [BASE] * 3):
        np.testing.assert_array_equal(by_reference("model_stock", models, BASE).values, BASE)


def test_an_unchanged_model_is_at_right_angles_to_all() -> None:
    models = [*turned(0, 0), BASE]  # c = (1 + 0 + 0) / 3: 3 c / (1 + 2 c)
    for parameters in ({}, ROWS):
        merged = by_reference("model_stock", [[one] for one in models], [BASE], parameters).values
        assert merged[0] == pytest.approx(0.6 * np.mean(models, axis=0) + 0.4 * BASE)


def test_opposite_task_vectors_leave_the_base() -> None:
    merged = by_reference("model_stock", turned(30, 210), BASE)
    assert merged.found["of_average"] == 0.0
    np.testing.assert_array_equal(merged.values, BASE)


def test_small_task_vectors_count_as_much_as_large_ones() -> None:
    models = turned(0, 60, lengths=(1e-5, 2e-5))
    assert by_reference("model_stock", models, BASE).found["of_average"] == pytest.approx(2 / 3, abs=1e-9)
    # mergekit's number: the cosine is 1e-10 / 1e-6 then, for which the base is nearly all.
    absolute = by_reference("model_stock", models, BASE, {"epsilon": 1e-6}).found["of_average"]
    assert absolute == pytest.approx(2e-4 / (1 + 1e-4), rel=1e-9)
    large = by_reference("model_stock", turned(0, 60), BASE, {"epsilon": 1e-6}).found["of_average"]
    assert large == pytest.approx(2 / 3)


def test_rows_have_shares_of_their_own() -> None:
    angles = (60, 90, 0, 120, 180)
    base = np.tile(BASE, (5, 1))
    first = np.array([turned(10)[0]] * 5)
    second = np.array([turned(10 + angle, lengths=(3.0,))[0] for angle in angles])
    share = np.array([2 / 3, 0.0, 1.0, -2.0, 0.0])[:, None]
    expected = share * (first + second) / 2 + (1 - share) * base
    for chunk in (None, 1, 2):
        merged = by_reference("model_stock", [first, second], base, ROWS, chunk=chunk)
        assert merged.values == pytest.approx(expected)
        assert not merged.found
    whole = by_reference("model_stock", [first, second], base)
    assert not np.allclose(whole.values, expected, rtol=1e-3)


@pytest.mark.parametrize("shape", [(4,), (1,), ()], ids=["vector", "one", "scalar"])
def test_a_vector_is_one_row(shape) -> None:
    random = np.random.default_rng(1)
    base, *models = random.normal(0, 1, (4, *shape))
    whole = by_reference("model_stock", models, base).values
    np.testing.assert_allclose(by_reference("model_stock", models, base, ROWS).values, whole, rtol=1e-13)


def test_rows_of_one_element_agree_or_do_not() -> None:
    base = np.zeros((4, 1))
    first = np.array([[1.0], [1.0], [0.0], [-2.0]])
    second = np.array([[3.0], [-3.0], [5.0], [-4.0]])
    merged = by_reference("model_stock", [first, second], base, ROWS).values
    assert merged.ravel().tolist() == [2.0, 0.0, 0.0, -3.0]


@pytest.mark.parametrize("parameters", [{}, ROWS], ids=["whole", "rows"])
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_leaves_the_base_around_it(odd, parameters) -> None:
    base = np.tile(BASE, (2, 1))
    models = np.array([base + 1.0, base + 1.0])
    models[0, 1, 0] = odd
    merged = by_reference("model_stock", models, base, parameters).values
    assert not np.isfinite(merged[1, 0])
    assert merged[1, 1] == BASE[1]
    np.testing.assert_array_equal(merged[0], BASE + 1.0 if parameters else BASE)


@pytest.mark.parametrize("parameters", [{}, ROWS], ids=["whole", "rows"])
def test_every_step_of_the_map_is_rounded_to_float32(parameters) -> None:
    random = np.random.default_rng(5)
    base = random.normal(0, 1, (90, 100)).astype(np.float16)
    tuned = [(base + random.normal(0.5, 1, base.shape)).astype(np.float16) for _ in range(3)]
    merged = by_reference(
        "model_stock", tuned, base, parameters, dtype="F16", chunk=8192 if not parameters else 30
    )
    single = np.float32
    origin, *models = (one.astype(single) for one in (base, *tuned))
    deltas = [model - origin for model in models]
    axis = -1 if parameters else None
    cosines = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        one, other = deltas[i].astype(float), deltas[j].astype(float)
        lengths = np.sqrt((one * one).sum(axis)) * np.sqrt((other * other).sum(axis))
        cosines.append((one * other).sum(axis) / lengths)
    mean = np.mean(cosines, axis=0)
    share = 3 * mean / (1 + 2 * mean)
    average = (models[0] + models[1] + models[2]) / single(3)
    if parameters:
        share = share[:, None]
    else:
        assert merged.found["of_average"] == pytest.approx(share, rel=1e-12)
    expected = np.asarray(share, single) * average + np.asarray(1 - share, single) * origin
    equal = merged.values == expected.astype(np.float16)
    # Sums were added in another order here: a share may be another float32, and an element round away.
    assert equal.mean() > 0.999
