"""The loops of methods that look at every element's changes by themselves.

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
    beyond_of_group,
    subtract_group,
    subtract_half_group,
    widen_group,
    widen_half_group,
)

__all__ = ["add_changes", "count_changes", "swap_near"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""


@njit(nogil=True, cache=True, error_model="numpy")
def add_changes(
    models: Array,
    base: Array,
    is_float16: bool,
    elements: int,
    epsilon: Any,
    factors: Array,
    scratch: Array,
    as_bfloat16: bool,
    words: Array,
    values: Array,
    limits: Array,
    nonfinite: Array,
) -> None:
    """The base and the mean of the task vectors that change it; see core.methods.ram.add_changes.

    Args:
        models, base, is_float16, elements, as_bfloat16, words, values, limits, nonfinite: as for
            task_loops.merge_task_vectors.
        epsilon: changes have a larger magnitude.
        factors: [K] of what a sub-model alone changed; [0] for none.
        scratch: [K + 3, BLOCK or more] of the computing type.
    """
    origin, number, mix, rows = scratch[0], scratch[1], scratch[2], scratch[3:]
    zero, one = scratch.dtype.type(0), scratch.dtype.type(1)
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _count_nonfinite(models, base, start, size, limits, nonfinite)
        _changes(models, base, is_float16, start, size, epsilon, origin, number, rows)
        mix[:] = zero
        for model in range(models.shape[0]):
            row = rows[model]
            factor = factors[model] if factors.size else one
            for at in range(BLOCK):
                added = mix[at] + row[at] / number[at]
                if factors.size:
                    added = row[at] * factor if number[at] == one else added
                mix[at] = added if abs(row[at]) > epsilon else mix[at]
        for at in range(BLOCK):
            mix[at] = origin[at] + mix[at]
        _put(mix, start, size, as_bfloat16, words, values)


@njit(nogil=True, cache=True)
def count_changes(
    models: Array, base: Array, is_float16: bool, elements: int, epsilon: Any, scratch: Array, counts: Array
) -> None:
    """Add to counts [2, K] the changes that a sub-model shares with others, and those of its own."""
    origin, number, rows = scratch[0], scratch[1], scratch[3:]
    one = scratch.dtype.type(1)
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _changes(models, base, is_float16, start, size, epsilon, origin, number, rows)
        for model in range(models.shape[0]):
            row = rows[model]
            changed, alone = np.int32(0), np.int32(0)
            for at in range(BLOCK):
                changes = abs(row[at]) > epsilon
                changed = np.int32(changed + np.int32(changes))
                alone = np.int32(alone + np.int32(changes & (number[at] == one)))
            counts[0, model] += changed - alone
            counts[1, model] += alone


@njit(nogil=True, cache=True)
def _changes(
    models: Array,
    base: Array,
    is_float16: bool,
    start: int,
    size: int,
    epsilon: Any,
    origin: Array,
    number: Array,
    rows: Array,
) -> None:
    """The task vectors of a block into `rows`, zeros behind them, and how many of them are changes."""
    zero, one = number.dtype.type(0), number.dtype.type(1)
    _widen(base, start, size, is_float16, origin)
    number[:] = zero
    for model in range(models.shape[0]):
        row = rows[model]
        for at in range(0, size, GROUP):
            if is_float16:
                subtract_half_group(models[model], start + at, origin, row, at)
            else:
                subtract_group(models[model], start + at, origin, row, at)
        for at in range(size, BLOCK):
            row[at] = zero
        for at in range(BLOCK):
            number[at] = number[at] + (one if abs(row[at]) > epsilon else zero)


@njit(nogil=True, cache=True, error_model="numpy")
def swap_near(
    models: Array,
    base: Array,
    is_float16: bool,
    elements: int,
    t: Any,
    nearest: Any,
    scratch: Array,
    as_bfloat16: bool,
    words: Array,
    values: Array,
    limits: Array,
    nonfinite: Array,
) -> None:
    """A mean of the one sub-model and the base for each element; see core.methods.nearswap.swap_near.

    Args:
        models, base, is_float16, elements, as_bfloat16, words, values, limits, nonfinite: as for
            task_loops.merge_task_vectors.
        t, nearest: what the distance is compared with, and what it is at least.
        scratch: [3, BLOCK or more] of the computing type.
    """
    origin, other, mix = scratch[0], scratch[1], scratch[2]
    zero, one = scratch.dtype.type(0), scratch.dtype.type(1)
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _count_nonfinite(models, base, start, size, limits, nonfinite)
        _widen(base, start, size, is_float16, origin)
        _widen(models[0], start, size, is_float16, other)
        for at in range(BLOCK):
            distance = abs(origin[at] - other[at])
            share = t / (nearest if distance < nearest else distance)  # a NaN stays one
            share = zero if share < zero else share
            share = one if share > one else share
            of_model, of_base = share * other[at], (one - share) * origin[at]
            mix[at] = of_model + of_base
        _put(mix, start, size, as_bfloat16, words, values)


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
    """The numbers of a block into `row`, zeros behind them."""
    for at in range(0, size, GROUP):
        if is_float16:
            widen_half_group(values, start + at, row, row, at)
        else:
            widen_group(values, start + at, row, row, at)
    for at in range(size, BLOCK):
        row[at] = 0


@njit(nogil=True, cache=True)
def _put(row: Array, start: int, size: int, as_bfloat16: bool, words: Array, values: Array) -> None:
    """A block of the result: to nearest even, NaNs canonical, where it is bfloat16."""
    if not as_bfloat16:
        for at in range(size):
            values[start + at] = row[at]
        return
    for at in range(size):
        bits = bits_of(np.float32(row[at]))
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        words[start + at] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)
