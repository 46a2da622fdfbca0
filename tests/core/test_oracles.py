"""The oracles of whole tensors against values worked by hand and against the oracle of single elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import oracles
import pytest
from oracles.numbers import draw_words, drop_limit, picks, positions_from_largest, ranks, row_sums, total
from oracles.task_vectors import between, by_rank
from whole_tensor import fine_tunes, numbers, ordered_sum, special, words_of

KEY = oracle.key_for(7, "model.layers.0.mlp.up_proj.weight")
HALF, NAN = 0.5, float("nan")


def merged(name: str, models: list[list[float]], base: list[float] | None, **parameters: Any) -> list[float]:
    """The numbers that a method makes of these, from F32 to F32."""
    rows = [words_of(np.array(model), "F32") for model in models]
    origin = None if base is None else words_of(np.array(base), "F32")
    given = {"shape": (len(models[0]),), "key": KEY, **parameters}
    return numbers(oracles.METHODS[name](rows, origin, "F32", "F32", **given).words, "F32").tolist()


# -- numbers -------------------------------------------------------------------------------------------------


def test_sums_of_rows_and_tensors_are_those_of_the_design() -> None:
    values = np.random.default_rng(1).normal(0, 1, (3, 9001))
    ones = np.ones(9001)
    assert row_sums(values).tolist() == [ordered_sum(row, ones) for row in values]
    assert total(values[0]) == ordered_sum(values[0], ones)
    assert len({total(values[0]), float(np.sum(values[0])), math.fsum(values[0])}) > 1


@pytest.mark.parametrize(("draw", "stream"), [(0, 0), (3, 0), (2, 2)])
def test_draws_are_those_of_single_elements(draw, stream) -> None:
    words = draw_words(9001, draw, KEY, stream)
    for element in (0, 1, 1023, 1024, 4095, 4096, 7000, 9000):
        assert int(words[element]) == oracle.word_at(element, draw, KEY, stream)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.3, 0.0, 0.7], [1.0, 0.0], [1e-9, 3.0, 0.1]])
def test_picks_are_those_of_single_elements(weights) -> None:
    limits = oracle.thresholds(weights)
    words = [0, 1, 2**32 - 1, *(limit + by for limit in limits for by in (-1, 0) if limit + by < 2**32)]
    expected = [oracle.pick(max(word, 0), limits) for word in words]
    assert picks(np.array(words).clip(0).astype(np.uint64), weights).tolist() == expected


def test_limits_of_drops_are_exact() -> None:
    assert [drop_limit(1), drop_limit(0), drop_limit(HALF)] == [2**32, 0, 2**31]
    assert drop_limit(2.0**-40) == 1


def test_orders_put_nan_last_and_keep_equal_ones_in_order() -> None:
    values = np.array([1.0, NAN, 0.0, 2.0, -0.0, np.inf, 1.0, NAN])
    assert ranks(values).tolist() == [1, 4, 0, 2, 0, 3, 1, 4]
    assert positions_from_largest(values).tolist() == [4, 0, 6, 3, 7, 2, 5, 1]


# -- sparsifying ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("density", "gamma", "kept"),
    [
        (0.4, 0.2, [2, 5, 6, 8]),  # ascending 0 0 1 1 | 1 2 2 3 | 3 4
        (0.1, 0.0, [7]),
        (0.2, 0.6, [2, 3]),  # positions 2 and 3 of three ones
        (0.1, 0.6, [2]),  # a middle within one size: its first
        (0.05, 0.1, []),
        (0.9, 0.5, [0, 1, 2, 3, 4, 5, 6, 8, 9]),  # no more is dropped below than there is
    ],
)
def test_the_middle_of_the_order(density, gamma, kept) -> None:
    sizes = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 3.0, 3.0])
    assert np.flatnonzero(between(sizes, density, gamma)).tolist() == kept


def test_ranks_decide_how_probable_it_is_to_be_kept() -> None:
    sizes = np.array([3.0, 0.0, 5.0, 0.0, 1.0, 1.0])
    in_rows = by_rank(sizes, (2, 3), 0.5, 0.25)
    assert in_rows.tolist() == [0.5, 0.25, 0.75, 0.25, 0.5, 0.75]
    assert by_rank(sizes, (6,), 0.5, 0.25)[[1, 3, 4, 5, 0, 2]].tolist() == [
        0.25 + place / 5 * 0.5 for place in range(6)
    ]
    assert by_rank(sizes, (6, 1), 0.5, 0.25).tolist() == [0.25] * 6
    assert by_rank(np.array([1.0]), (), 0.5, 0.25).tolist() == [0.25]


# -- whole methods, by hand ----------------------------------------------------------------------------------

BASE = [1.0, 1.0, 1.0, 1.0]
HAND: list[tuple[str, dict[str, Any], list[list[float]], list[float] | None, list[float]]] = [
    ("ties", {"density": [0.5, 0.5]}, [[2.0, 1.5, 1.25, 5.0], [0.0, 3.0, 1.0, 2.0]], BASE, [2, 3, 1, 5]),
    ("ties", {}, [[2.0, 1.5, 1.25, 5.0], [0.0, 3.0, 1.0, 2.0]], BASE, [2, 2.25, 1.25, 3.5]),
    ("task_vectors", {"elect": "count"}, [[2, -4, 1, 2], [3, 2, 1, 0], [0, 2, 1, 0]], BASE, [4, 3, 1, -1]),
    ("breadcrumbs", {"density": [HALF], "gamma": [0.25]}, [[2.0, 1.5, 1.25, 5.0]], BASE, [2, 1.5, 1, 1]),
    (
        "ties",
        {"density": [HALF], "rescale": True},
        [[2.0, 1.5, 1.5, 5.0]],
        BASE,
        [2.2, 1.0, 1.0, 5.8],  # of 6 in all 5 are kept
    ),
    ("ram", {}, [[2.0, 1.5, 1.0, 5.0], [0.0, 3.0, 1.0, 1.0]], BASE, [1, 2.25, 1, 5]),
    (
        "ramplus_tl",
        {"r": 0.5, "alpha": 9.0},  # each shares two elements, the first has one of its own: 2 / 1
        [[2.0, 1.5, 1.0, 5.0], [0.0, 3.0, 1.0, 1.0]],
        BASE,
        [1, 2.25, 1, 9],
    ),
    ("sce", {}, [[3.0, 1.0, 1.0, 3.0], [1.0, 2.0, 1.0, 0.0]], BASE, [3, 2, 1, 3]),
    ("sce", {}, [[3.0, 1.0, 1.0, 3.0], [1.0, 2.0, 1.0, 2.0]], BASE, [3, 2, 1, 2.8]),
    ("sce", {"select_topk": 0.5}, [[3.0, 1.0, 1.0, 4.0], [1.0, 2.0, 1.0, 1.0]], BASE, [1, 1, 1, 4]),
    ("nearswap", {"t": 0.5}, [[2.0, 1.25, 1.0, 3.0]], BASE, [1.5, 1.25, 1, 1.5]),
    ("model_stock", {}, [[2.0, 1.0], [1.0, 2.0]], [1.0, 1.0], [1, 1]),
    ("model_stock", {}, [[2.0, 1.0], [2.0, 1.0]], [1.0, 1.0], [2, 1]),
    ("model_stock", {}, [[1 + 3.0, 1 + 4.0], [1 + 5.0, 1.0]], [1.0, 1.0], [4, 2.5]),
    ("nuslerp", {}, [[1.0, 0.0], [0.0, 1.0]], None, [HALF**HALF, HALF**HALF]),
    ("nuslerp", {"weight": [2.0, 1.0]}, [[1.0, 0.0], [0.0, 1.0]], None, [0.75**HALF, HALF]),
    ("multislerp", {}, [[1.0, 0.0], [0.0, 1.0]], None, [HALF**HALF, HALF**HALF]),
    ("multislerp", {}, [[2.0, 1.0], [1.0, 2.0]], [1.0, 1.0], [1 + HALF**HALF, 1 + HALF**HALF]),
    ("karcher", {}, [[3.0, 0.0], [0.0, 1.0]], None, [2**HALF, 2**HALF]),
    ("arcee_fusion", {}, [[1.0, 1.0, 1.0, 1.0]], BASE, BASE),
    ("passthrough", {"scale": [-HALF]}, [BASE], None, [-HALF] * 4),
]


@pytest.mark.parametrize("case", HAND, ids=[f"{at}-{case[0]}" for at, case in enumerate(HAND)])
def test_by_hand(case) -> None:
    name, parameters, models, base, expected = case
    np.testing.assert_allclose(merged(name, models, base, **parameters), expected, rtol=1e-6)


def test_the_mean_on_the_sphere_has_the_same_angle_to_both() -> None:
    angles = [0.2, 1.4]
    (x, y) = merged("karcher", [[math.cos(angle), math.sin(angle)] for angle in angles], None, max_iter=10)
    assert math.atan2(y, x) == pytest.approx(0.8, abs=1e-6)


# -- selection -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [None, 0.0, 1e-3])
@pytest.mark.parametrize(("dtype", "out"), [("BF16", "BF16"), ("F16", "F32"), ("F32", "BF16")])
def test_selection_is_that_of_single_elements(dtype, out, tolerance) -> None:
    parts = [fine_tunes(dtype, 300, 3, 0.01), special(dtype, 200, 4, nonfinite=True)]
    *models, base = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    for at, model in enumerate(models):
        model[at::2] = base[at::2]
    weights = [0.3, 0.0, 0.9]
    expected = oracle.select(
        oracle.Stored(dtype, base.tolist()),
        [oracle.Stored(dtype, model.tolist()) for model in models],
        merge_dtype=dtype,
        out_dtype=out,
        weights=weights,
        resamples=2,
        key=KEY,
        zero_tolerance=tolerance,
    )
    made = oracles.METHODS["parameter_selection"](
        models,
        base,
        dtype,
        out,
        shape=base.shape,
        key=KEY,
        weight=weights,
        resamples=2,
        zero_tolerance=tolerance,
    )
    assert made.words.tolist() == expected.words
    assert made.counts == {name: getattr(expected, name) for name in made.counts}
