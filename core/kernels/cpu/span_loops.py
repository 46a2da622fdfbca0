"""The loops of methods whose results lie in the span of their inputs: dot products of all, one combination.

What is compiled calls nothing that is compiled from other files; see core.kernels.cpu.instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.instructions import GROUP, bits_of, ones_of
from core.kernels.cpu.task_instructions import (
    STEP,
    add_product_of_group,
    beyond_of_group,
    divide_group,
    multiply_group,
    products_of_tile,
    subtract_group,
    subtract_half_group,
    widen_group,
    widen_half_group,
)

__all__ = ["PART", "combine_vectors", "multiply_all"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""

PART = 512
"""Elements of all inputs that are in float64 at a time: ten rows of them stay in the nearest cache."""


@njit(nogil=True, cache=True)
def multiply_all(
    models: Array,
    base: Array,
    is_float16: bool,
    elements: int,
    with_base: bool,
    of_task_vectors: bool,
    scratch: Array,
    rows: Array,
    sums: Array,
) -> None:
    """The sums of the products of every input with itself and those after it, over each block.

    In the order of core.methods.arithmetic.ordered_sums. All rows of a part of a block are widened once, and
    multiplied two by two with two others.

    Args:
        models, base, is_float16, elements: as for task_loops.merge_task_vectors.
        with_base: whether the base is the last input.
        of_task_vectors: whether the inputs are the task vectors, rounded to the computing type.
        scratch: [2, PART or more] of the computing type.
        rows: [I or one more, an even number, PART or more] float64, zeros.
        sums: [blocks, I * (I + 1) / 2] float64, is set.
    """
    inputs = models.shape[0] + with_base
    pairs_of_rows = (inputs + 1) // 2
    lanes = np.empty((2 * pairs_of_rows * (pairs_of_rows + 1), STEP))
    origin, row = scratch[0], scratch[1]
    for start in range(0, elements, BLOCK):
        lanes[:] = 0
        for part in range(start, min(start + BLOCK, elements), PART):
            size = min(PART, elements - part)
            padded = -(-size // GROUP) * GROUP
            if of_task_vectors:
                _widen(base, part, size, is_float16, origin)
            for at in range(inputs):
                values = base if at == models.shape[0] else models[at]
                if of_task_vectors:
                    _subtract(values, part, size, is_float16, origin, row)
                    for first in range(0, padded, GROUP):
                        widen_group(row, first, rows[at], rows[at], first)
                else:
                    _widen(values, part, size, is_float16, rows[at])
            tile = 0
            for i in range(0, inputs, 2):
                for j in range(i, inputs, 2):
                    products_of_tile(rows, i, j, padded // STEP, lanes, tile, tile + 2)
                    tile += 4
        pair = 0
        for i in range(inputs):
            before = (i // 2) * pairs_of_rows - (i // 2) * (i // 2 - 1) // 2  # tiles of the rows before
            for j in range(i, inputs):
                tile = 4 * (before + j // 2 - i // 2)
                sums[start // BLOCK, pair] = _sum_of_lanes(lanes[tile + 2 * (i % 2) + j % 2])
                pair += 1


@njit(nogil=True, cache=True)
def combine_vectors(
    models: Array,
    base: Array,
    is_float16: bool,
    elements: int,
    coefficients: Array,
    of_task_vectors: bool,
    first: Any,
    divisor: Any,
    scale: Any,
    adds_base: bool,
    of_base: Any,
    scratch: Array,
    as_bfloat16: bool,
    words: Array,
    values: Array,
    limits: Array,
    nonfinite: Array,
) -> None:
    """scale * ((first + c_1 X_1 + c_2 X_2 + …) / divisor) + of_base * base, each step rounded.

    Args:
        models, base, is_float16, elements: as for task_loops.merge_task_vectors.
        coefficients: [K] of the computing type.
        of_task_vectors: whether the X are the task vectors, and not the values.
        first: what the sum begins with: +0, or -0 where it is to keep the sign of zeros.
        divisor, scale: 1 for none.
        adds_base, of_base: whether the base is added, and times what.
        scratch: [4, BLOCK or more] of the computing type.
        as_bfloat16, words, values, limits, nonfinite: as for task_loops.merge_task_vectors.
    """
    one = coefficients.dtype.type(1)
    origin, mix, wide, nothing = scratch[0], scratch[1], scratch[2], scratch[3]
    nothing[:] = 0
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _count_nonfinite(models, base, start, size, limits, nonfinite)
        mix[:] = first
        if of_task_vectors or adds_base:
            _widen(base, start, size, is_float16, origin)
        taken_off = origin if of_task_vectors else nothing
        for model in range(models.shape[0]):
            if is_float16:
                _widen(models[model], start, size, is_float16, wide)
                for at in range(0, size, GROUP):
                    add_product_of_group(wide, at, taken_off, coefficients[model], mix, at)
            else:
                for at in range(0, size, GROUP):
                    add_product_of_group(models[model], start + at, taken_off, coefficients[model], mix, at)
        for at in range(0, size, GROUP):
            if divisor != one:
                divide_group(mix, at, divisor)
            if scale != one:
                multiply_group(mix, at, scale)
            if adds_base:
                add_product_of_group(origin, at, nothing, of_base, mix, at)
        if as_bfloat16:
            _round_to_bfloat16(mix, words[start : start + size])
        else:
            for at in range(size):
                values[start + at] = mix[at]


@njit(nogil=True, cache=True)
def _count_nonfinite(
    models: Array, base: Array, start: int, size: int, limits: Array, nonfinite: Array
) -> None:
    """Add how many NaN and infinite elements of a block each input has, if it is asked."""
    for model in range(nonfinite.size):
        values = base if model == models.shape[0] else models[model]
        found = np.uint64(0)
        for at in range(0, size, GROUP):
            bits = beyond_of_group(values, start + at, limits[0], limits[1])
            if at + GROUP > size:
                bits &= (np.uint64(1) << np.uint64(size - at)) - np.uint64(1)
            found += ones_of(bits)
        nonfinite[model] += np.int64(found)


@njit(nogil=True, cache=True)
def _widen(values: Array, start: int, size: int, is_float16: bool, row: Array) -> None:
    """The numbers of some elements into `row`, zeros behind them."""
    for at in range(0, size, GROUP):
        if is_float16:
            widen_half_group(values, start + at, row, row, at)
        else:
            widen_group(values, start + at, row, row, at)
    for at in range(size, -(-size // GROUP) * GROUP):
        row[at] = 0


@njit(nogil=True, cache=True)
def _subtract(values: Array, start: int, size: int, is_float16: bool, base: Array, row: Array) -> None:
    """The task vector of some elements into `row`, zeros behind it."""
    for at in range(0, size, GROUP):
        if is_float16:
            subtract_half_group(values, start + at, base, row, at)
        else:
            subtract_group(values, start + at, base, row, at)
    for at in range(size, -(-size // GROUP) * GROUP):
        row[at] = 0


@njit(nogil=True, cache=True)
def _sum_of_lanes(lanes: Array) -> Any:
    """Pairwise; the lanes are used up."""
    width = STEP
    while width > 1:
        width //= 2
        for lane in range(width):
            lanes[lane] = lanes[lane] + lanes[lane + width]
    return lanes[0]


@njit(nogil=True, cache=True)
def _round_to_bfloat16(row: Array, words: Array) -> None:
    """To nearest even, NaNs canonical."""
    for at in range(words.size):
        bits = bits_of(np.float32(row[at]))
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        words[at] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)
