"""Reinforced agent merging: changes of one and of several, counts and factors worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from whole_tensor import ByEngine, by_engine, numbers, torch_only, words_of

from core.dtypes import DTYPES
from core.errors import RecipeError
from core.methods import METHODS
from core.methods.ram import factor_of_unique

NAN, INF = float("nan"), float("inf")

BASE = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, NAN, 1.0]
MODELS = [
    [1.0, 1.5, 2.0, 2.0, NAN, 1.0, 1.0, 1.0],
    [1.0, 1.0, 4.0, 3.0, 1.25, 1.0, 2.0, INF],
    [1.0, 1.0, 1.0, -5.0, 1.0, 0.5, 3.0, 1.0],
]
MERGED = [1.0, 1.5, 3.0, 0.0, 1.25, 0.5, NAN, INF]
"""None, one by 1/2, two by the mean of 1 and 3, three by that of 1, 2 and -6, one beside a NaN, one, a NaN in
the base, and one infinity."""


def merged(
    method: str, models: Sequence[Sequence[float]], base: Sequence[float], dtype: str = "F32", **values: Any
) -> ByEngine:
    inputs = [words_of(np.array(row), dtype) for row in (*models, base)]
    return by_engine(method, inputs, dtype, dtype, values, space=torch_only())


def ram(*args: Any, dtype: str = "F32", **values: Any) -> list[float]:
    return numbers(merged("ram", *args, dtype=dtype, **values).words, dtype).tolist()


def test_a_change_of_one_is_added_and_changes_of_several_are_averaged() -> None:
    np.testing.assert_array_equal(ram(MODELS, BASE), MERGED)


def test_a_change_is_more_than_epsilon() -> None:
    # Without the changes of 1/2 and 1/4; of 1 and 3 the mean stays, of 1, 2 and -6 too.
    np.testing.assert_array_equal(ram(MODELS, BASE, epsilon=0.5), [1.0, 1.0, 3.0, 0.0, 1.0, 1.0, NAN, INF])
    # At 1 the second of two is alone, and is added whole.
    np.testing.assert_array_equal(ram(MODELS, BASE, epsilon=1.0), [1.0, 1.0, 4.0, -1.0, 1.0, 1.0, NAN, INF])


def test_small_changes_count_unless_a_recipe_asks_for_mergekits_number() -> None:
    model, base = [[2.0**-17, 2.0**-16]], [0.0, 0.0]  # 7.6e-6 and 1.5e-5
    assert ram(model, base, dtype="BF16") == [2.0**-17, 2.0**-16]
    assert ram(model, base, dtype="BF16", epsilon=1e-5) == [0.0, 2.0**-16]


@pytest.mark.parametrize(("dtype", "kind"), [("BF16", np.float32), ("F32", np.float64)])
def test_each_term_of_a_mean_is_rounded(dtype: str, kind: Any) -> None:
    rng = np.random.default_rng(1)
    inputs = [words_of(rng.uniform(at, at + 0.9, 500), dtype) for at in range(4)]  # none is another
    *models, base = (numbers(words, dtype).astype(kind) for words in inputs)
    first, second, third = ((model - base) / kind(3) for model in models)
    words = by_engine("ram", inputs, dtype, "BF16", {}, space=torch_only()).words
    np.testing.assert_array_equal(words, words_of(base + ((first + second) + third), "BF16"))


# -- what a sub-model alone changed, strengthened ------------------------------------------------------------


@pytest.mark.parametrize(
    ("shared", "unique", "epsilon", "r", "alpha", "expected"),
    [
        (1, 2, 0.0, 1.0, 10.0, 1.5),
        (1, 2, 0.0, 0.5, 0.25, 1.125),
        (1, 2, 0.0, -1.0, 0.25, 0.75),
        (3, 0, 0.0, 0.5, 4.0, 3.0),
        (0, 0, 0.0, 0.5, 4.0, 1.0),
        (0, 5, 0.0, 0.5, 4.0, 1.0),
        (1, 0, 0.5, 1.0, 10.0, 3.0),
        (1, 1, 2.0, 1.0, 10.0, 1.5),
        (7, 1, 0.0, 1.0, 0.0, 1.0),
    ],
)
def test_the_factor_of_changes_of_one(
    shared: int, unique: int, epsilon: float, r: float, alpha: float, expected: float
) -> None:
    assert factor_of_unique(shared, unique, epsilon, r, alpha) == expected


def test_changes_of_one_are_strengthened_by_the_share_of_others() -> None:
    # Changes shared with others and of the sub-model alone: 2 and 1 of the first, 2 and 2 of the second whose
    # infinity is one, 1 and 1 of the third. A NaN is none.
    plus = merged("ramplus_tl", MODELS, BASE, r=1.0, alpha=10.0)
    assert plus.found["factors"] == (3.0, 2.0, 2.0)
    np.testing.assert_array_equal(numbers(plus.words, "F32"), [1.0, 2.5, 3.0, 0.0, 1.5, 0.0, NAN, INF])
    limited = merged("ramplus_tl", MODELS, BASE, r=0.5, alpha=1.5)
    assert limited.found["factors"] == (1.75, 1.5, 1.5)
    np.testing.assert_array_equal(
        numbers(limited.words, "F32"), [1.0, 1.875, 3.0, 0.0, 1.375, 0.25, NAN, INF]
    )


def test_without_strengthening_it_is_the_plain_method() -> None:
    plain = merged("ram", MODELS, BASE, dtype="BF16").words
    np.testing.assert_array_equal(merged("ramplus_tl", MODELS, BASE, dtype="BF16", r=0.0).words, plain)
    np.testing.assert_array_equal(merged("ramplus_tl", MODELS, BASE, dtype="BF16", alpha=0.0).words, plain)


def test_changes_are_counted_over_all_chunks() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 0.02, 20_000)
    models = [np.where(rng.random(base.size) < 0.4, base + 0.01, base) for _ in range(3)]
    inputs = [words_of(row, "F32") for row in (*models, base)]
    values = {"r": 1.0, "alpha": 100.0}
    whole = by_engine("ramplus_tl", inputs, "F32", "F32", values)
    chunks = by_engine("ramplus_tl", inputs, "F32", "F32", values, chunk=4096)
    np.testing.assert_array_equal(whole.words, chunks.words)
    changes = np.array([row != inputs[-1] for row in inputs[:-1]])
    alone = changes & (changes.sum(0) == 1)
    expected = 1.0 + (changes.sum(1) - alone.sum(1)) / alone.sum(1)
    assert whole.found["factors"] == chunks.found["factors"] == tuple(expected)


def test_a_factor_that_the_type_cannot_hold_is_refused() -> None:
    spec = METHODS["ramplus_tl"]
    with pytest.raises(RecipeError) as raised:
        spec.check({"epsilon": 0.0, "r": 1e30, "alpha": 1e30}, DTYPES["F32"])
    assert raised.value.field == "r"
