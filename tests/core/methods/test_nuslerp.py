"""NuSLERP against angles worked out by hand: of whole tensors, of rows and of columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from by_reference import by_reference
from safetensors.numpy import load_file
from stored_models import store
from token_merges import VOCABULARY, cases, merge, recipe

from core import plan_merge, run_merge
from core.methods.nuslerp import place_between, shares_of_arc, shares_of_arcs
from core.recipe.parsing import parse_recipe

ROOT = math.sqrt(0.5)
ROWS: dict[str, Any] = {"nuslerp_flatten": False}
COLUMNS: dict[str, Any] = {"nuslerp_flatten": False, "nuslerp_row_wise": True}

# Vectors of lengths 5 and 10, 0 and 90 degrees, 60 degrees, and back to back.
FIRST = np.array([[3.0, 4.0], [3.0, 4.0], [1.0, 0.0], [2.0, 0.0]])
SECOND = np.array([[6.0, 8.0], [-8.0, 6.0], [0.5, math.sqrt(0.75)], [-3.0, 0.0]])


def test_ninety_and_sixty_degrees() -> None:
    right = by_reference("nuslerp", [[3.0, 4.0], [-8.0, 6.0]])
    assert right.values == pytest.approx([ROOT * -5.0, ROOT * 10.0])
    sixty = by_reference("nuslerp", [[2.0, 0.0], [1.5, 1.5 * math.sqrt(3.0)]])
    assert sixty.found["coefficients"] == pytest.approx((1 / math.sqrt(3.0),) * 2)
    third = by_reference("nuslerp", [[3.0, 4.0], [-8.0, 6.0]], None, {"weight": [2.0, 1.0]})
    assert third.found["coefficients"] == pytest.approx((math.cos(math.pi / 6), 0.5))


def test_a_base_makes_it_the_arc_between_task_vectors() -> None:
    base = np.array([10.0, -7.0])
    models = [[13.0, -3.0], [2.0, -1.0]]
    merged = by_reference("nuslerp", models, base, {"weight": [2.0, 1.0]}).values
    assert merged == pytest.approx(base + np.cos(np.pi / 6) * np.array([3.0, 4.0]) + (-4.0, 3.0))


@pytest.mark.parametrize(
    ("weight", "t"),
    [
        ((1.0, 1.0), 0.5),
        ((3.0, 1.0), 0.25),
        ((0.0, 2.0), 1.0),
        ((-1.0, 2.0), 2.0),
        ((1.0, -1.0), 0.5),
        ((4e-7, 5e-7), 0.5),
        ((1e-7, 9.1e-7), 9.1e-7 / (1e-7 + 9.1e-7)),
        ((1.5e308, 0.5e308), 0.25),
    ],
)
def test_the_second_weight_says_how_far(weight, t) -> None:
    assert place_between(weight) == t


def test_identical_opposite_and_missing_vectors() -> None:
    vector, opposite, none = [3.0, -4.0], [-3.0, 4.0], [0.0, 0.0]
    weight = {"weight": [3.0, 1.0]}
    assert by_reference("nuslerp", [vector, vector], None, weight).values.tolist() == vector
    assert by_reference("nuslerp", [vector, opposite], None, weight).values.tolist() == [1.5, -2.0]
    quarter = math.sin(0.25 * math.pi / 2)
    assert by_reference("nuslerp", [none, vector], None, weight).values == pytest.approx(
        quarter * np.array(vector)
    )
    assert by_reference("nuslerp", [none, none], None, weight).values.tolist() == none
    assert by_reference("nuslerp", [vector, vector], vector, weight).values.tolist() == vector


def test_short_vectors_count_as_1e_7_long() -> None:
    short = 2e-8
    _, of_second = shares_of_arc(0.5, short**2, short, 1.0)  # on one line, and yet at 78.5 degrees
    angle = math.acos(0.2)
    assert of_second == pytest.approx(math.sin(angle / 2) / math.sin(angle), rel=1e-12)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_makes_its_own_vector_a_line(odd) -> None:
    first, second = FIRST.copy(), SECOND.copy()
    first[1, 0] = odd
    for parameters in ({}, ROWS, COLUMNS):
        merged = by_reference("nuslerp", [first, second], None, parameters).values
        assert not np.isfinite(merged[1, 0])
        assert np.isfinite(merged).sum() == merged.size - 1
        assert merged[1, 1] == (5.0 if parameters != COLUMNS else pytest.approx(merged[1, 1]))
    rows = by_reference("nuslerp", [first, second], None, ROWS).values
    np.testing.assert_array_equal(
        np.delete(rows, 1, 0), np.delete(by_reference("nuslerp", [FIRST, SECOND], None, ROWS).values, 1, 0)
    )


@pytest.mark.parametrize(
    ("first", "dot", "second"),
    [
        (math.inf, 3.0, 1.0),
        (1.0, 3.0, math.inf),
        (math.inf, math.inf, 1.0),
        (1e300, -math.inf, 1e300),
        (1.0, 1.0 + 2e-16, 1.0),
        (1.0, -1.0 - 2e-16, 1.0),
    ],
)
def test_sums_that_overflow_or_are_rounded_beyond_one_make_a_line(first, dot, second) -> None:
    assert shares_of_arc(0.25, first, dot, second) == (0.75, 0.25)
    many = shares_of_arcs(0.25, *(np.array([value]) for value in (first, dot, second)))
    assert [share.tolist() for share in many] == [[0.75], [0.25]]


def test_every_row_goes_along_its_own_arc() -> None:
    merged = by_reference("nuslerp", [FIRST, SECOND], None, ROWS | {"weight": [3.0, 1.0]}).values
    first = [0.75, math.sin(0.75 * math.pi / 2), math.sin(math.pi / 4) / math.sin(math.pi / 3), 0.75]
    second = [0.25, math.sin(0.25 * math.pi / 2), math.sin(math.pi / 12) / math.sin(math.pi / 3), 0.25]
    assert merged == pytest.approx(np.array(first)[:, None] * FIRST + np.array(second)[:, None] * SECOND)


@pytest.mark.parametrize("base", [None, 3.0])
def test_columns_are_the_rows_of_the_transpose(base) -> None:
    # Whole numbers, whose sums are exact in any order.
    first, second = np.random.default_rng(1).integers(-9, 10, (2, 7, 5)).astype(float)
    origin = None if base is None else np.full((7, 5), base)
    turned = None if origin is None else origin.T
    columns = by_reference("nuslerp", [first, second], origin, COLUMNS | {"weight": [1.0, 2.0]}).values
    rows = by_reference("nuslerp", [first.T, second.T], turned, ROWS | {"weight": [1.0, 2.0]}).values
    np.testing.assert_array_equal(columns, rows.T)
    assert not np.array_equal(columns, by_reference("nuslerp", [first, second], origin, ROWS).values)


def test_in_three_dimensions_rows_run_along_the_last_and_columns_along_the_first() -> None:
    first, second = np.random.default_rng(2).integers(-9, 10, (2, 3, 4, 5)).astype(float)
    inputs = [first, second]
    flat = [one.reshape(12, 5) for one in inputs], [one.reshape(3, 20) for one in inputs]
    for parameters, expected in zip((ROWS, COLUMNS), flat, strict=True):
        merged = by_reference("nuslerp", inputs, None, parameters).values
        matrix = by_reference("nuslerp", expected, None, parameters).values
        np.testing.assert_array_equal(merged.ravel(), matrix.ravel())


@pytest.mark.parametrize("shape", [(2,), ()], ids=["vector", "scalar"])
def test_a_vector_is_one_row_and_one_column(shape) -> None:
    first, second = np.reshape([3.0, 4.0][: math.prod(shape)], shape), np.full(shape, 2.0)
    whole = by_reference("nuslerp", [first, second]).values
    for parameters in (ROWS, COLUMNS):
        merged = by_reference("nuslerp", [first, second], None, parameters).values
        assert merged == pytest.approx(whole, rel=1e-15)


def test_whole_tensors_win() -> None:
    both = {"nuslerp_flatten": True, "nuslerp_row_wise": True}
    whole = by_reference("nuslerp", [FIRST, SECOND]).values
    np.testing.assert_array_equal(by_reference("nuslerp", [FIRST, SECOND], None, both).values, whole)


@pytest.mark.parametrize("columns", [1, 130, 1500, 70_000])
def test_columns_are_added_row_after_row_in_any_chunks(columns) -> None:
    rows = {70_000: 3, 1500: 70}.get(columns, 700)
    first, second = np.random.default_rng(3).normal(0, 1, (2, rows, columns))
    sums = np.zeros((3, columns))
    for one, other in zip(first, second, strict=True):
        sums = sums + np.stack([one * one, one * other, other * other])
    of_first, of_second = shares_of_arcs(0.5, *sums)
    whole = by_reference("nuslerp", [first, second], None, COLUMNS)
    assert whole.found["of_first"] == tuple(of_first)
    assert whole.found["of_second"] == tuple(of_second)
    np.testing.assert_array_equal(whole.values, of_first * first + of_second * second)
    for chunk in (4096, 100, 40_000) if columns != 70_000 else (40_000, 150_000):
        parts = by_reference("nuslerp", [first, second], None, COLUMNS, chunk=chunk)
        assert parts.found == whole.found
        np.testing.assert_array_equal(parts.values, whole.values)


def test_the_shares_of_many_vectors_are_those_of_each_wherever_it_stands() -> None:
    random = np.random.default_rng(4)
    first, second = random.uniform(0.1, 2.0, (2, 1000))
    dot = random.uniform(-1.1, 1.1, 1000) * np.sqrt(first * second)
    dot[::50], first[::77] = np.nan, 0.0
    many = np.array(shares_of_arcs(0.3, first, dot, second))
    alone = [shares_of_arc(0.3, *map(float, sums)) for sums in zip(first, dot, second, strict=True)]
    np.testing.assert_allclose(many.T, alone, rtol=1e-14)
    for start, stop in ((0, 1), (3, 10), (7, 1000)):
        part = slice(start, stop)
        np.testing.assert_array_equal(
            many[:, part], shares_of_arcs(0.3, first[part], dot[part], second[part])
        )


@pytest.mark.parametrize("parameters", [{}, ROWS, COLUMNS], ids=["whole", "rows", "columns"])
def test_every_step_of_the_map_is_rounded_to_float32(parameters) -> None:
    random = np.random.default_rng(5)
    base = random.normal(0, 1, (40, 130)).astype(np.float16)
    tuned = [(base + random.normal(0, 1, base.shape)).astype(np.float16) for _ in range(2)]
    merged = by_reference("nuslerp", tuned, base, parameters, dtype="F16", chunk=20)
    single = np.float32
    first, second = (one.astype(single) - base.astype(single) for one in tuned)
    if not parameters:
        shares = [single(share) for share in merged.found["coefficients"]]
    elif parameters == COLUMNS:
        shares = [np.array(merged.found[name]).astype(single) for name in ("of_first", "of_second")]
    else:
        pairs = ((first, first), (first, second), (second, second))
        sums = [(one.astype(float) * other).sum(1) for one, other in pairs]
        shares = [share.astype(single)[:, None] for share in shares_of_arcs(0.5, *sums)]
    mix = base.astype(single) + (shares[0] * first + shares[1] * second)
    equal = merged.values == mix.astype(np.float16)
    # Rows were added in another order here: a share may be another float32, and an element round away.
    assert equal.all() if parameters != ROWS else equal.mean() > 0.999


@pytest.mark.parametrize("parameters", [ROWS, COLUMNS], ids=["rows", "columns"])
def test_a_merge_knows_the_rows_and_columns_of_its_tensors(parameters, tmp_path) -> None:
    shapes = {
        "cube": (3, 4, 5),
        "matrix": (11, 7),
        "vector": (6,),
        "scalar": (),
        "column": (5, 1),
        "row": (1, 5),
    }
    random = np.random.default_rng(6)
    models = [{name: random.normal(0, 1, shape) for name, shape in shapes.items()} for _ in range(2)]
    for number, tensors in enumerate(models):
        stored = {name: ("F64", values.shape, values.tobytes()) for name, values in tensors.items()}
        store(tmp_path / f"m{number}", stored)
    data = {"merge_method": "nuslerp", "models": [{"model": "m0"}, {"model": "m1"}], "parameters": parameters}
    run_merge(plan_merge(parse_recipe(data, tmp_path)), tmp_path / "out", threads=1, device="cpu")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert set(merged) == set(shapes)
    for name, shape in shapes.items():
        expected = by_reference("nuslerp", [tensors[name] for tensors in models], None, parameters).values
        assert merged[name].shape == shape
        np.testing.assert_array_equal(merged[name], expected, name)


@pytest.mark.parametrize("parameters", [ROWS, COLUMNS], ids=["rows", "columns"])
def test_what_not_all_models_have_is_left_out(parameters, tmp_path) -> None:
    base, models = cases(tmp_path, "down")
    data = recipe(models, base, "nuslerp", parameters=parameters, vocab="union")
    merged, *_ = merge(tmp_path, data)
    for name in VOCABULARY:
        rows = [
            [model.row(name, token, at) for model in (*models, base)] for at, token in enumerate(base.tokens)
        ]
        whole = [at for at, found in enumerate(rows) if all(row is not None for row in found)]
        assert 0 < len(whole) < len(base.tokens)
        *tuned, origin = (np.stack([rows[at][model] for at in whole]) for model in range(3))
        expected = by_reference("nuslerp", tuned, origin, parameters, dtype="F32").values
        np.testing.assert_array_equal(merged[name][whole], expected.astype(np.float32), name)
