"""What an average promises: equal values stay equal, weights mean what they say, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from core import table
from core.dtypes import DTYPES
from core.errors import RecipeError
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import Merged, Workspace
from core.methods import METHODS
from core.methods.reference import Reference

WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

Array = np.ndarray


def by_kernels() -> Workspace:
    return table.workspace()


def by_reference() -> Workspace:
    """The method's own arithmetic."""
    return CpuWorkspace({}, Reference())


both = pytest.mark.parametrize("make", [by_kernels, by_reference])


def average(
    make: Callable[[], Workspace],
    dtype: str,
    rows: Sequence[Array],
    weights: Sequence[float],
    *,
    normalize: bool = True,
    out: str | None = None,
) -> tuple[Array, Merged]:
    """The words of the average of rows of words, and all that was found."""
    values = {"weight": weights, "normalize": normalize}
    out_dtype = DTYPES[out or dtype]
    job = table.trial_job(METHODS["linear"], DTYPES[dtype], len(weights), values, out_dtype=out_dtype)
    workspace = make()
    for buffer, row in zip(workspace.begin(job.input_dtypes, rows[0].size), rows, strict=True):
        buffer[:] = row.tobytes()
    merged = workspace.run(job, 0)
    return np.frombuffer(merged.data, WORDS[out_dtype.itemsize]).copy(), merged


def numbers(words: Array, dtype: str) -> Array:
    """The values of words: exact, in float32 or float64."""
    if dtype == "BF16":
        return (words.astype(np.uint32) << 16).view(np.float32)
    return words.view(f"f{words.itemsize}")


# -- an average of equal values ------------------------------------------------------------------------------

COUNTS = (2, 3, 5, 7, 10, 13, 24, 41, 49, 50)


def finite_words(dtype: str) -> Array:
    """Every finite word of a 16-bit type (BF16: below 2^120 in magnitude); a million of F32."""
    if dtype == "F32":
        words = np.random.default_rng(3).integers(0, 2**32, 1_010_000, dtype=np.uint32)
        words = words[np.isfinite(words.view(np.float32))]
        assert words.size >= 10**6
        return words[: 10**6]
    words = np.arange(2**16, dtype=np.uint16)
    beyond = (120 + 127) << 7 if dtype == "BF16" else DTYPES["F16"].infinity
    return words[(words & 0x7FFF) < beyond]


def weights_of(kind: str, count: int) -> list[float]:
    if kind == "equal":
        return [0.1] * count
    return (10.0 ** np.random.default_rng(count).uniform(-8, 8, count)).tolist()


def check_equal_values_stay(make, dtype: str, words: Array, weights: list[float], out: str) -> None:
    merged, _ = average(make, dtype, [words] * len(weights), weights, out=out)
    np.testing.assert_array_equal(numbers(merged, out), numbers(words, dtype))


@both
@pytest.mark.parametrize("kind", ["equal", "random"])
@pytest.mark.parametrize(("dtype", "out"), [("F16", "F16"), ("BF16", "BF16"), ("BF16", "F32")])
def test_every_value_is_the_average_of_its_likes(dtype, out, kind, make) -> None:
    words = finite_words(dtype)
    assert words.size >= 63_000
    for count in COUNTS:
        check_equal_values_stay(make, dtype, words, weights_of(kind, count), out)


@pytest.mark.parametrize("kind", ["equal", "random"])
def test_a_million_values_of_float32_are_the_average_of_their_likes(kind) -> None:
    words = finite_words("F32")
    for count in (3, 7, 50):
        check_equal_values_stay(by_kernels, "F32", words, weights_of(kind, count), "F32")
    for count in COUNTS:
        few = words[count::97]
        check_equal_values_stay(by_kernels, "F32", few, weights_of(kind, count), "F32")
        check_equal_values_stay(by_reference, "F32", few, weights_of(kind, count), "F32")


@both
@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_weights_of_every_size_keep_equal_values(dtype, make) -> None:
    """Many weights of few models: it is the weights' own bits that rounding could go wrong for."""
    words = finite_words(dtype)[::31]
    generator = np.random.default_rng(8)
    for count in (2, 3, 4, 6) * 10:
        check_equal_values_stay(make, dtype, words, (10.0 ** generator.uniform(-8, 8, count)).tolist(), dtype)


# -- weights -------------------------------------------------------------------------------------------------


def some_words(dtype: str, count: int, elements: int = 9000) -> list[Array]:
    """Different values of ordinary size."""
    values = np.random.default_rng(5).standard_normal((count, elements)).astype(np.float32)
    if dtype == "BF16":
        return list((values.view(np.uint32) >> 16).astype(np.uint16))
    kind = {"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype]
    return [row.astype(kind).view(WORDS[np.dtype(kind).itemsize]) for row in values]


@both
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_equal_weights_are_equal_whatever_they_are(dtype, make) -> None:
    rows = some_words(dtype, 7)
    expected, _ = average(make, dtype, rows, [1.0] * 7)
    for weight in (0.1, 3.0, -2.0, 1e-300, 1e300, 5e-324):
        found, _ = average(make, dtype, rows, [weight] * 7)
        np.testing.assert_array_equal(found, expected)


@both
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_a_weight_of_0_is_as_if_the_sub_model_were_not_there(dtype, make) -> None:
    rows = some_words(dtype, 3)
    for weights in ([0.1, 0.1, 0.0], [0.1, 0.7, 0.0], [0.1, 0.7, -0.0]):
        found, _ = average(make, dtype, rows, weights)
        expected, _ = average(make, dtype, rows[:2], weights[:2])
        np.testing.assert_array_equal(found, expected)
        moved, _ = average(make, dtype, [rows[0], rows[2], rows[1]], [weights[0], weights[2], weights[1]])
        np.testing.assert_array_equal(moved, expected)
    two_ones, _ = average(make, dtype, rows[:2], [1.0, 1.0])
    found, _ = average(make, dtype, rows, [0.1, 0.1, 0.0])
    np.testing.assert_array_equal(found, two_ones)


@both
@pytest.mark.parametrize("out", ["BF16", "F32"])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_an_infinity_of_weight_0_is_counted_and_makes_no_nan(dtype, out, make) -> None:
    rows = some_words(dtype, 3)
    rows[1][[7, 8000]] = DTYPES[dtype].infinity, DTYPES[dtype].nan
    for weights in ([1.0, 0.0, 1.0], [1.0, 0.0, 0.3], [1.0, 0.0, 0.0], [1e300, 0.0, 1e-300]):
        for normalize in (True, False) if max(weights) == 1 else (True,):
            found, merged = average(make, dtype, rows, weights, normalize=normalize, out=out)
            assert np.isfinite(numbers(found, out)).all()
            assert merged.counts.nonfinite.tolist() == [0, 2, 0]


@both
def test_what_is_too_small_beside_the_largest_weight_takes_no_part_either(make) -> None:
    rows = some_words("BF16", 3)
    rows[2][7] = DTYPES["BF16"].infinity
    expected, _ = average(make, "BF16", rows[:2], [1.0, 1.0])
    for weights in ([1e300, 1e300, 1e-300], [1.0, 1.0, 1e-60]):
        found, merged = average(make, "BF16", rows, weights)
        np.testing.assert_array_equal(found, expected)
        assert merged.counts.nonfinite.tolist() == [0, 0, 1]
    wide, _ = average(make, "F64", [np.ones(3).view(np.uint64)] * 3, [1.0, 1.0, 1e-60])
    assert wide.view(np.float64).tolist() == [1.0] * 3


@both
def test_the_type_of_the_arithmetic_is_float64_where_float32_is_read_or_written(make) -> None:
    """Three values whose sum float32 cannot hold, averaged."""
    values = np.array([1.0, 2.0**-24, 2.0**-24], np.float32)
    rows = [np.full(5000, word, np.uint32) for word in values.view(np.uint32)]
    found, _ = average(make, "F32", rows, [1.0, 1.0, 1.0])
    assert (found.view(np.float32) == np.float32(values.astype(np.float64).sum() / 3)).all()
    narrow = [(row >> 16).astype(np.uint16) for row in rows]
    found, _ = average(make, "BF16", narrow, [1.0, 1.0, 1.0], out="F32")
    assert (found.view(np.float32) == np.float32(values.astype(np.float64).sum() / 3)).all()


@both
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_without_normalising_nothing_is_divided(dtype, make) -> None:
    words = [numbers_as_words([1.5, -2.0, 0.75], dtype), numbers_as_words([1.0, 4.0, 0.25], dtype)]
    for weights, expected in (
        ([1.0, 1.0], [2.5, 2.0, 1.0]),
        ([2.0, -0.5], [2.5, -6.0, 1.375]),
        ([1.0, -1.0], [0.5, -6.0, 0.5]),
        ([0.0, 2.0], [2.0, 8.0, 0.5]),
        ([0.0, 0.0], [0.0, 0.0, 0.0]),
    ):
        found, _ = average(make, dtype, words, weights, normalize=False)
        assert numbers(found, dtype).tolist() == expected


def numbers_as_words(values: list[float], dtype: str) -> Array:
    words = np.array(values, np.float32).view(np.uint32)
    return (words >> 16).astype(np.uint16) if dtype == "BF16" else words


# -- what is refused -----------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("weight", [1e39, -1e39, 1e300, 1e-46, -1e-300, 5e-324])
def test_a_weight_that_float32_cannot_hold_is_refused_as_a_factor(weight, make) -> None:
    rows = some_words("BF16", 2, 5)
    with pytest.raises(RecipeError, match=r"too (large|small)"):
        average(make, "BF16", rows, [1.0, weight], normalize=False)
    average(make, "BF16", rows, [1.0, weight], out="F32", normalize=False)  # in float64 it has room
    average(make, "BF16", rows, [1.0, weight])


@both
@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1e16, 1.0, -1e16, -1.0]])
def test_weights_whose_sum_is_0_cannot_be_normalised(weights, make) -> None:
    rows = some_words("F32", len(weights), 5)
    with pytest.raises(RecipeError, match="their sum is zero") as caught:
        average(make, "F32", rows, weights)
    assert caught.value.hint is not None
    average(make, "F32", rows, weights, normalize=False)


@both
def test_the_sum_of_the_weights_is_the_exact_one(make) -> None:
    """An ordinary sum loses the 1, and then is 0."""
    rows = [np.full(5, value).view(np.uint64) for value in (0.0, 3.0, 0.0)]
    found, _ = average(make, "F64", rows, [2.0**60, 1.0, -(2.0**60)])
    assert found.view(np.float64).tolist() == [3.0] * 5


def test_the_method_checks_its_weights_before_it_runs() -> None:
    check = METHODS["linear"].check
    for weights, normalize, computing, refused in (
        ([1.0, -1.0], True, None, True),
        ([1.0, -1.0], False, None, False),
        ([1e39, 1.0], False, DTYPES["F32"], True),
        ([1e39, 1.0], False, DTYPES["F64"], False),
        ([1e39, 1.0], True, DTYPES["F32"], False),
    ):
        values = {"weight": weights, "normalize": normalize}
        if refused:
            with pytest.raises(RecipeError):
                check(values, computing)
        else:
            check(values, computing)
