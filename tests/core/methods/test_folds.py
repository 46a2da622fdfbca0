"""Folds: sums in the one order that all machines keep to, and the same total for any chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import whole_tensor
from whole_tensor import FORMATS, fine_tunes, numbers, special

from core.dtypes import DTYPES
from core.kernels.cpu.buffers import scratch_rows
from core.kernels.cpu.span_loops import PART, multiply_all
from core.kernels.interface import MapJob, Workspace
from core.methods import METHODS, arithmetic
from core.methods.folds import BlocksTotal, Fold, FoldTotal, SumTotal, gram, gram_index
from core.table import trial_job, workspace
from core.torch_values import torch_dtype

SIZES = [1, 2, 63, 64, 65, 127, 4095, 4096, 4097, 4160, 9001]

# -- the order of docs/design.md, 2.1, one operation after the other --------------------------------------


def multiply_and_add(lane: float, one: float, other: float) -> float:
    """Product and sum are rounded each."""
    product = one * other
    return lane + product


def fused(lane: float, one: float, other: float) -> float:
    """What docs/design.md, 2.1, forbids: one rounding of finite numbers."""
    return float(Fraction(lane) + Fraction(one) * Fraction(other))


def block_sums(
    left: np.ndarray,
    right: np.ndarray,
    step: Callable[[float, float, float], float] = multiply_and_add,
    *,
    block: int = 4096,
    lanes: int = 64,
) -> list[float]:
    """The sum of left * right of each block."""
    sums = []
    for start in range(0, len(left), block):
        stop = min(start + block, len(left))
        partial = [0.0] * lanes
        for at in range(start, stop):
            lane = (at - start) % lanes
            partial[lane] = step(partial[lane], float(left[at]), float(right[at]))
        width = lanes // 2
        while width:
            partial = [partial[lane] + partial[lane + width] for lane in range(width)]
            width //= 2
        sums.append(partial[0])
    return sums


def in_order(blocks: Sequence[float]) -> float:
    total = 0.0
    for block in blocks:
        total += block
    return total


def same(one: Any, other: Any) -> bool:
    """Bit for bit, -0 apart from +0, but that every NaN is one."""
    left, right = np.asarray(one, np.float64), np.asarray(other, np.float64)
    bits = left.view(np.int64) == right.view(np.int64)
    return left.shape == right.shape and bool((bits | (np.isnan(left) & np.isnan(right))).all())


def rows(dtype: str, elements: int) -> list[np.ndarray]:
    """Words of two sub-models and a base, of all magnitudes in which sums can differ."""
    return fine_tunes(dtype, elements, 2, 1.0, seed=elements)


def products_by_loops(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The sums of left * right of each block by the loops of the kernel."""
    models = np.zeros((2, -(-left.size // 64) * 64), left.dtype)
    models[0, : left.size], models[1, : right.size] = left, right
    rows, sums = scratch_rows(2, PART, np.float64), np.full((-(-left.size // 4096), 3), np.nan)
    rows[:] = 0
    scratch = scratch_rows(2, PART, np.float64)
    multiply_all(models, models[0], False, left.size, False, False, scratch, rows, sums)
    return sums[:, 1]


def tensor_of(words: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(words.copy().view(np.uint8)).view(torch_dtype(DTYPES[dtype]))


# -- ordered sums --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elements", SIZES)
def test_ordered_sums_add_in_the_order_of_the_design(elements) -> None:
    values = np.random.default_rng(elements).normal(0, 1, elements)
    assert same(arithmetic.ordered_sums(torch.from_numpy(values)), block_sums(values, np.ones(elements)))


def test_ordered_sums_of_rows_are_those_of_each_row() -> None:
    values = np.random.default_rng(3).normal(0, 1, (2, 3, 9001))
    sums = arithmetic.ordered_sums(torch.from_numpy(values))
    assert sums.shape == (3, 2, 3)
    for one in range(2):
        for two in range(3):
            assert same(sums[:, one, two], block_sums(values[one, two], np.ones(9001)))


@pytest.mark.parametrize("elements", [1, 2, 3, 31, 32, 33, *SIZES])
def test_row_sums_are_those_of_the_rows_own_blocks(elements: int) -> None:
    values = np.random.default_rng(elements).normal(0, 1, (3, elements))
    values[1] *= -0.0
    expected = []
    for row in values:
        total = -0.0
        for block in block_sums(row, np.ones(elements)):
            total += block
        expected.append(total)
    assert same(arithmetic.row_sums(torch.from_numpy(values)), expected)


def test_no_elements_are_no_blocks() -> None:
    assert arithmetic.ordered_sums(torch.zeros(0, dtype=torch.float64)).shape == (0,)
    assert arithmetic.ordered_sums(torch.zeros((3, 0), dtype=torch.float64)).shape == (0, 3)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([-0.0] * 100, id="-0"),
        pytest.param([1e308] * 100, id="overflow"),
        pytest.param([-1e308] * 5000, id="overflow to -inf"),
        pytest.param([1e308] * 128 + [-1e308] * 128, id="overflow before it cancels"),
        pytest.param([1e308] * 64 + [-1e308] * 64 + [1.0], id="it cancels before it overflows"),
        pytest.param([5e-324, -1e-310] * 2000, id="subnormals"),
        pytest.param([1.0, float("inf"), 2.0], id="inf"),
        pytest.param([float("inf"), -float("inf")], id="inf - inf"),
        pytest.param([0.0] * 4096 + [float("nan")] + [1.0], id="nan"),
        pytest.param([1.0, 1e-17] * 4000, id="too small to be seen one by one"),
    ],
)
def test_the_ends_of_numbers(values) -> None:
    array = np.array(values)
    expected = block_sums(array, np.ones(len(array)))
    assert same(arithmetic.ordered_sums(torch.from_numpy(array)), expected)
    assert same(products_by_loops(array, np.ones(len(array))), expected)


def test_the_data_tell_orders_apart() -> None:
    # Here and there two orders agree by chance, but not in twelve blocks.
    left, right = np.random.default_rng(8).normal(0, 1, (2, 12 * 4096))
    expected = block_sums(left, right)
    products = (left * right).reshape(12, 4096)
    ones = np.ones(left.size)
    others = {
        "numpy's sum": products.sum(axis=1),
        "numpy's dot": [
            np.dot(*pair) for pair in zip(left.reshape(12, -1), right.reshape(12, -1), strict=True)
        ],
        "one after the other": np.add.accumulate(products, axis=1)[:, -1],
        "fewer lanes": block_sums(left, right, lanes=32),
        "more lanes": block_sums(left, right, lanes=128),
        "backwards": block_sums(products[:, ::-1].ravel(), ones),
        "lanes of neighbours": block_sums(products.reshape(12, 64, 64).swapaxes(1, 2).ravel(), ones),
        "fused": block_sums(left[: 4 * 4096], right[: 4 * 4096], fused),
    }
    for name, sums in others.items():
        assert not same(sums, expected[: len(sums)]), name
        assert np.allclose(sums, expected[: len(sums)]), name
    assert same(block_sums(products.ravel(), ones), expected)
    assert not same(in_order(block_sums(left, right, block=2048)), in_order(expected))


def test_the_data_tell_the_order_of_the_lanes_apart() -> None:
    values = np.random.default_rng(9).normal(0, 1, 4096)
    lanes = np.add.accumulate(values.reshape(64, 64), axis=0)[-1]
    neighbours = lanes
    while len(neighbours) > 1:
        neighbours = neighbours[::2] + neighbours[1::2]
    (expected,) = block_sums(values, np.ones(4096))
    assert not same(neighbours[0], expected)
    assert not same(in_order(lanes), expected)


# -- dot products --------------------------------------------------------------------------------------------


def by_torch(words: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    return arithmetic.dot_products([tensor_of(row, dtype) for row in words])


def job_of(dtype: str, models: int) -> MapJob:
    return trial_job(METHODS["slerp"], DTYPES[dtype], models)


def by_workspace(space: Workspace, words: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    job = job_of(dtype, len(words) - 1)
    for buffer, row in zip(space.begin(job.input_dtypes, len(words[0])), words, strict=True):
        buffer[:] = row.tobytes()
    return space.fold(job, 0, 0)


def by_kernel(words: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    return by_workspace(workspace(), words, dtype)


def by_reference(words: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    return by_workspace(whole_tensor.torch_only(), words, dtype)


WAYS = [by_torch, by_kernel, by_reference]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("elements", SIZES)
@pytest.mark.parametrize("dtype", FORMATS)
def test_dot_products_add_in_the_order_of_the_design(dtype, elements, way) -> None:
    words = rows(dtype, elements)
    one, two, base = (numbers(row, dtype) for row in words)
    pairs = [(one, one), (one, two), (one, base), (two, two), (two, base), (base, base)]
    expected = np.transpose([block_sums(*pair) for pair in pairs])
    assert same(way(words, dtype), expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("nonfinite", [False, True])
@pytest.mark.parametrize("dtype", FORMATS)
def test_dot_products_of_the_ends_of_numbers(dtype, nonfinite, way) -> None:
    words = special(dtype, 9001, 2, nonfinite=nonfinite)
    one, two = (numbers(row, dtype) for row in words)
    expected = np.transpose([block_sums(*pair) for pair in [(one, one), (one, two), (two, two)]])
    assert same(way(words, dtype), expected)


@pytest.mark.parametrize("dtype", ["F32", "F64"])
def test_the_kernel_multiplies_in_float64_and_rounds_every_product(dtype) -> None:
    number = {"F32": np.float32, "F64": np.float64}[dtype]
    left, right = np.random.default_rng(4).normal(0, 1, (2, 9001)).astype(number)
    sums = products_by_loops(left, right)
    wide = left.astype(np.float64), right.astype(np.float64)
    assert same(sums, block_sums(*wide))
    in_its_type = block_sums((left * right).astype(np.float64), np.ones(9001))
    assert same(sums, in_its_type) == (dtype == "F64")
    # The products of float32 are exact in float64, so that fusing changes nothing.
    assert same(sums, block_sums(*wide, fused)) == (dtype == "F32")


@pytest.mark.parametrize("elements", SIZES)
def test_the_helpers_sum_is_that_of_the_design(elements) -> None:
    one, two, _ = (numbers(row, "F64") for row in rows("F64", elements))
    assert same(whole_tensor.ordered_sum(one, two), in_order(block_sums(one, two)))


@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 7])
def test_a_pair_is_found_where_it_lies(inputs) -> None:
    words = fine_tunes("F64", 100, inputs - 1, 1.0)
    products = by_torch(words, "F64")[0]
    assert len(products) == inputs * (inputs + 1) // 2
    places = [gram_index(inputs, i, j) for i in range(inputs) for j in range(i, inputs)]
    assert places == list(range(len(products)))
    for i in range(inputs):
        for j in range(i, inputs):
            (expected,) = block_sums(numbers(words[i], "F64"), numbers(words[j], "F64"))
            assert same(products[gram_index(inputs, i, j)], expected)


def test_gram_puts_the_base_last_and_goes_without_one() -> None:
    read = gram(lambda job, products: {}).load_reading()
    words = rows("F32", 5000)
    one, two, base = (tensor_of(row, "F32") for row in words)
    assert same(read(job_of("F32", 2), 0, [one, two], base), by_torch(words, "F32"))
    assert same(read(job_of("F32", 2), 0, [one, two], None), by_torch(words[:2], "F32"))


# -- totals --------------------------------------------------------------------------------------------------

CUTTINGS = [[20], [1] * 20, [1, 19], [19, 1], [3, 8, 0, 9], [0, 20], [20, 0], [5, 5, 5, 5]]


def total_of(fold: Fold, parts: Sequence[np.ndarray]) -> np.ndarray:
    total = FoldTotal(fold)
    for part in parts:
        total.add(part)
    found = total.finish(job_of("BF16", 1))
    return np.array(found["total"])


def fold_of(total: Any) -> Fold:
    def no_reading() -> Any:
        raise AssertionError("a total reads nothing")

    # Not a value that a job may hold, but what `finish` was given.
    return Fold("test", no_reading, lambda job, found: {"total": found}, total)


def cut(values: np.ndarray, cutting: Sequence[int]) -> list[np.ndarray]:
    ends = np.cumsum(cutting)
    return [values[end - size : end].copy() for end, size in zip(ends, cutting, strict=True)]


@pytest.mark.parametrize("cutting", CUTTINGS, ids=str)
def test_any_chunks_of_whole_blocks_give_the_same_sum(cutting) -> None:
    values = np.random.default_rng(6).normal(0, 1, (20, 3)) * 10.0 ** np.arange(-10, 10)[::-1, None]
    expected = [in_order(column) for column in values.T]
    assert not same(np.add.accumulate(values[::-1])[-1], expected)
    assert same(total_of(fold_of(SumTotal), cut(values, cutting)), expected)


def test_blocks_are_added_one_after_the_other() -> None:
    values = np.random.default_rng(7).normal(0, 1, (1000, 2))
    expected = [in_order(column) for column in values.T]
    pairwise = [np.sum(column) for column in values.T.copy()]
    assert not same(pairwise, expected)
    for size in (1, 7, 32, 1000):
        parts = [values[start : start + size] for start in range(0, 1000, size)]
        assert same(total_of(fold_of(SumTotal), parts), expected)


@pytest.mark.parametrize("cutting", CUTTINGS, ids=str)
def test_blocks_that_are_kept_stay_in_order(cutting) -> None:
    values = np.random.default_rng(6).normal(0, 1, (20, 3))
    assert same(total_of(fold_of(BlocksTotal), cut(values, cutting)), values)


@pytest.mark.parametrize(
    "values", [[-0.0, -0.0], [1e308, 1e308, -1e308], [1e308, -1e308, 1e308], [np.inf, 1]]
)
def test_totals_of_the_ends_of_numbers(values) -> None:
    rows_of_one = np.array(values)[:, None]
    with np.errstate(over="ignore"):
        expected = np.add.accumulate(rows_of_one)[-1]
        assert same(total_of(fold_of(SumTotal), [rows_of_one]), expected)
        assert same(total_of(fold_of(SumTotal), list(rows_of_one[:, None])), expected)


def test_whole_numbers_are_added_as_such_and_may_come_as_one_row() -> None:
    parts = [np.array([[2**53, 1]]), np.array([[1, 2]]), np.array([[1, 3]])]
    total = total_of(fold_of(SumTotal), parts)
    assert total.dtype == np.int64
    assert total.tolist() == [2**53 + 2, 6]


def test_a_total_changes_no_rows_that_it_was_given() -> None:
    for combine in (SumTotal, BlocksTotal):
        parts = [np.ones((2, 2)), np.ones((1, 2))]
        total_of(fold_of(combine), parts)
        assert all((part == 1).all() for part in parts)


def test_rows_may_have_any_shape() -> None:
    values = np.random.default_rng(6).normal(0, 1, (4, 2, 3))
    expected = ((values[0] + values[1]) + values[2]) + values[3]
    assert same(total_of(fold_of(SumTotal), [values[:1], values[1:]]), expected)


@pytest.mark.parametrize("dtype", FORMATS)
def test_chunks_of_a_tensor_come_to_the_sum_of_the_whole(dtype) -> None:
    words = rows(dtype, 20 * 4096 + 5)
    one, _, base = (numbers(row, dtype) for row in words)
    fold = METHODS["slerp"].folds_of(job_of(dtype, 1))[0]
    expected = [in_order(block_sums(*pair)) for pair in [(one, one), (one, base), (base, base)]]
    for size in (4096, 7 * 4096, len(one)):
        for way in (by_kernel, by_reference):
            total = FoldTotal(Fold("gram", fold.load_reading, lambda job, found: {"sums": found}))
            for start in range(0, len(one), size):
                total.add(way([words[0][start : start + size], words[2][start : start + size]], dtype))
            assert same(total.finish(job_of(dtype, 1))["sums"], expected)
