"""NearSwap: shares worked out by hand, and what is not finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from whole_tensor import by_engine, numbers, words_of

from core.dtypes import DTYPES
from core.errors import RecipeError
from core.methods import METHODS


def swapped(model: Sequence[float], base: Sequence[float], t: float, dtype: str = "F64") -> list[float]:
    inputs = [words_of(np.array(values), dtype) for values in (model, base)]
    return numbers(by_engine("nearswap", inputs, dtype, dtype, {"t": t}).words, dtype).tolist()


def test_near_values_are_taken_and_of_others_a_share_that_falls_with_the_distance() -> None:
    base = [1.0, 1.0, 1.0, 1.0, 4.0, -1.0, -1.0]
    model = [1.0, 1.125, 1.25, 1.5, 2.0, -2.0, 1.0]
    # Distances 0, 1/8, 1/4, 1/2, 2, 1, 2; shares 1, 1, 1, 1/2, 1/8, 1/4, 1/8.
    assert swapped(model, base, 0.25) == [1.0, 1.125, 1.25, 1.25, 3.75, -1.25, -0.75]
    assert swapped(model, base, 0.0) == base
    assert swapped(model, base, 100.0) == model


def test_distances_below_a_millionth_count_as_one() -> None:
    assert swapped([5e-7, 2e-6], [0.0, 0.0], 1e-7) == pytest.approx([0.1 * 5e-7, 0.05 * 2e-6], rel=1e-14)


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_the_share_is_rounded_to_float32_in_every_step(dtype: str) -> None:
    inputs = [words_of(np.array([0.3, 0.7, 1.1]), dtype), words_of(np.array([0.2, 0.4, -0.9]), dtype)]
    model, base = (numbers(words, dtype).astype(np.float64) for words in inputs)
    kind = np.float64 if dtype == "F32" else np.float32
    model, base = model.astype(kind), base.astype(kind)
    share = np.minimum(kind(0.07) / np.abs(base - model), kind(1))
    expected = words_of(share * model + (kind(1) - share) * base, dtype)
    np.testing.assert_array_equal(by_engine("nearswap", inputs, dtype, dtype, {"t": 0.07}).words, expected)


def test_what_is_not_finite_stays_in_its_element() -> None:
    nan, inf = float("nan"), float("inf")
    merged = swapped([nan, 1.0, inf, inf, 1.0, 2.0], [1.0, nan, 1.0, inf, inf, 1.0], 0.5)
    # The share of an infinity is 0, and 0 times it is NaN; of the base all is taken.
    np.testing.assert_array_equal(merged, [nan, nan, nan, nan, inf, 1.5])


def test_a_t_that_float32_cannot_hold_or_below_0_is_refused() -> None:
    spec = METHODS["nearswap"]
    with pytest.raises(RecipeError) as raised:
        spec.check({"t": 1e-60}, DTYPES["F32"])
    assert raised.value.field == "t"
    parameter = spec.parameter("t")
    assert parameter is not None
    with pytest.raises(RecipeError):
        parameter.check(-0.1, "t")
