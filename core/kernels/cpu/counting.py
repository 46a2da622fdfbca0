"""The loops that count the order codes of what task vectors are told apart by; see core.methods.order.

These scores are the magnitudes of one task vector, or the variances of all of them. A code is a score's bits;
all NaNs have the largest. Zeros are not counted.

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
    add_group,
    not_zero_of_group,
    reaches_of_group,
    subtract_group,
    subtract_half_group,
    widen_group,
    widen_half_group,
)
from core.kernels.cpu.vectors import lowest_bit
from core.kernels.interface import SEGMENT

__all__ = ["ALL", "DIGITS", "SCRATCH_ROWS", "count_digits", "count_equal", "keep_varied", "place_of"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""

DIGITS = 1 << 16
"""Values of a digit."""

ALL = -1
"""In the place of a sub-model: the variances of the task vectors of all."""

SCRATCH_ROWS = 4
"""So many blocks of numbers the loops take."""

_MOSTLY = 40
"""From so many of GROUP numbers that are not zero on, all are counted, and the zeros taken off again."""


@njit(nogil=True, cache=True)
def count_digits(
    models: Array,
    model: int,
    base: Array,
    is_float16: bool,
    begin: int,
    elements: int,
    shift: Any,
    has_prefix: bool,
    prefix: Any,
    added: int,
    segment: int,
    infinity: Any,
    scratch: Array,
    table: Array,
    entries: Array,
) -> int:
    """Count one digit of the codes of scores.

    Args:
        models, base, is_float16: as for task_loops.merge_task_vectors.
        model: whose magnitudes are counted; ALL for variances.
        begin, elements: which of a chunk's are counted.
        shift: of the digit, as the words have it.
        has_prefix, prefix: whether only codes are counted of which this is left above the digit.
        added: to the digit, which wraps around.
        segment: the number of the segment that begins with `begin`, for counts of each segment by itself;
            -1 for counts of all together, which are said to be of segment 0.
        infinity: its bits in the computing type. scratch: [SCRATCH_ROWS, BLOCK or more] of that type.
        table: [DIGITS] uint32 zeros, and again when this returns.
        entries: [at most, 3] int64, is filled: segment, digit, count, in ascending order.

    Returns:
        How many entries they are; -1 where there is no room for them.
    """
    row = scratch[0]
    found = 0
    step = SEGMENT if segment >= 0 else elements
    for first in range(0, elements, max(step, 1)):
        stop = min(first + step, elements)
        for start in range(first, stop, BLOCK):
            size = min(BLOCK, stop - start)
            _score(models, model, base, begin + start, size, is_float16, scratch)
            _count_block(row, size, shift, has_prefix, prefix, infinity, table)
        number = segment + first // SEGMENT if segment >= 0 else 0
        # Digits in ascending order: what is added wraps, so that the upper part of the table may come first.
        for part in range(2):
            low, high = (DIGITS - added, DIGITS) if part == 0 else (0, DIGITS - added)
            for at in range(low, high, GROUP):
                bits = not_zero_of_group(table, at)
                while bits:
                    digit = at + lowest_bit(bits)
                    if found < entries.shape[0]:
                        entries[found, 0] = number
                        entries[found, 1] = (digit + added) & (DIGITS - 1)
                        entries[found, 2] = table[digit]
                    found += 1
                    table[digit] = 0
                    bits &= bits - np.uint64(1)
    return found if found <= entries.shape[0] else -1


@njit(nogil=True, cache=True, inline="always")
def _count_block(
    row: Array, size: int, shift: Any, has_prefix: bool, prefix: Any, infinity: Any, table: Array
) -> None:
    if has_prefix:
        below = np.uint64(16) + shift
        lowest, beyond = prefix << below, (prefix + np.uint64(1)) << below
        for at in range(0, size, GROUP):
            if lowest < infinity:  # not a NaN among them
                bits = reaches_of_group(row, at, lowest) & ~reaches_of_group(row, at, beyond)
            else:
                bits = reaches_of_group(row, at, np.uint64(infinity))
            bits &= not_zero_of_group(row, at)
            while bits:
                code = _code(row[at + lowest_bit(bits)], infinity)
                if code >> below == prefix:
                    table[(code >> shift) & np.uint64(DIGITS - 1)] += np.uint32(1)
                bits &= bits - np.uint64(1)
        return
    for at in range(0, size, GROUP):
        bits = not_zero_of_group(row, at)
        if ones_of(bits) >= np.uint64(_MOSTLY):
            for lane in range(GROUP):
                table[_code(row[at + lane], infinity) >> shift] += np.uint32(1)
            table[0] -= np.uint32(np.uint64(GROUP) - ones_of(bits))
            continue
        while bits:
            table[_code(row[at + lowest_bit(bits)], infinity) >> shift] += np.uint32(1)
            bits &= bits - np.uint64(1)


@njit(nogil=True, cache=True, inline="always")
def _code(value: Any, infinity: Any) -> Any:
    magnitude = np.uint64(bits_of(abs(value)))
    # (2 * exponents of all ones) is one more than the largest code there is, that of a NaN.
    return magnitude if magnitude <= infinity else np.uint64(infinity | (infinity - np.uint64(1)))


@njit(nogil=True, cache=True)
def count_equal(
    models: Array,
    model: int,
    base: Array,
    is_float16: bool,
    begin: int,
    elements: int,
    equal: Any,
    beyond: Any,
    scratch: Array,
    counts: Array,
) -> None:
    """Add to counts [segments] how many scores have bits of `equal` or more, and less than `beyond`."""
    row = scratch[0]
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _score(models, model, base, begin + start, size, is_float16, scratch)
        found = np.uint64(0)
        for at in range(0, size, GROUP):
            bits = reaches_of_group(row, at, equal) & ~reaches_of_group(row, at, beyond)
            if at + GROUP > size:
                bits &= (np.uint64(1) << np.uint64(size - at)) - np.uint64(1)
            found += ones_of(bits)
        counts[start // SEGMENT] += np.int64(found)


@njit(nogil=True, cache=True)
def place_of(
    models: Array,
    model: int,
    base: Array,
    is_float16: bool,
    begin: int,
    stop: int,
    equal: Any,
    beyond: Any,
    quota: Any,
    scratch: Array,
) -> Any:
    """Behind which element of a chunk, from `begin` to before `stop`, there were so many of a score.

    The score's bits are `equal` or more, and less than `beyond`.

    Returns:
        The number of the element after the last of them; `begin` for none.
    """
    row = scratch[0]
    if quota <= 0:
        return begin
    for start in range(begin, stop, BLOCK):
        size = min(BLOCK, stop - start)
        _score(models, model, base, start, size, is_float16, scratch)
        for at in range(0, size, GROUP):
            bits = reaches_of_group(row, at, equal) & ~reaches_of_group(row, at, beyond)
            here = np.int64(ones_of(bits))
            if here < quota:
                quota -= here
                continue
            while quota > 1:
                bits &= bits - np.uint64(1)
                quota -= 1
            return start + at + lowest_bit(bits) + 1
    return stop


@njit(nogil=True, cache=True)
def keep_varied(
    models: Array,
    base: Array,
    is_float16: bool,
    begin: int,
    elements: int,
    equal: Any,
    beyond: Any,
    place: int,
    scratch: Array,
    kept: Array,
) -> None:
    """Set a bit for each element whose variance reaches a border.

    Args:
        models, base, is_float16, begin, elements, scratch: as for count_digits.
        equal, beyond: the least bits of what is kept before the element `place` of the chunk, and from it on.
        kept: [words of whole groups or more] uint64, is set.
    """
    row = scratch[0]
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _score(models, ALL, base, begin + start, size, is_float16, scratch)
        for at in range(0, size, GROUP):
            before = place - (begin + start + at)
            if before >= GROUP:
                bits = reaches_of_group(row, at, equal)
            else:
                bits = reaches_of_group(row, at, beyond)
                if before > 0:
                    first = (np.uint64(1) << np.uint64(before)) - np.uint64(1)
                    bits |= first & reaches_of_group(row, at, equal)
            kept[(start + at) // GROUP] = bits


@njit(nogil=True, cache=True, error_model="numpy")
def _score(
    models: Array, model: int, base: Array, start: int, size: int, is_float16: bool, scratch: Array
) -> None:
    """What a block is told apart by into the first row of `scratch`, zeros behind it.

    A task vector, whose magnitudes count, or the variances of all; see core.methods.sce.variances.
    """
    origin = scratch[1]
    stop = -(-size // GROUP) * GROUP
    for at in range(0, size, GROUP):
        if is_float16:
            widen_half_group(base, start + at, origin, origin, at)
        else:
            widen_group(base, start + at, origin, origin, at)
    if model >= 0:
        _subtract(models[model], start, size, is_float16, origin, scratch[0])
        return
    squares, mean, row = scratch[0], scratch[2], scratch[3]
    zero, number = scratch.dtype.type(0), scratch.dtype.type(models.shape[0])
    for at in range(stop):
        mean[at] = zero
    for other in range(models.shape[0]):
        _subtract(models[other], start, size, is_float16, origin, row)
        for at in range(0, stop, GROUP):
            add_group(row, at, mean)
    for at in range(stop):
        mean[at] = mean[at] / number
        squares[at] = zero
    for other in range(models.shape[0]):
        _subtract(models[other], start, size, is_float16, origin, row)
        for at in range(stop):
            distance = row[at] - mean[at]
            squares[at] = squares[at] + distance * distance
    for at in range(stop):
        squares[at] = squares[at] / number


@njit(nogil=True, cache=True)
def _subtract(values: Array, start: int, size: int, is_float16: bool, origin: Array, row: Array) -> None:
    """The task vector of a block into `row`, zeros behind it."""
    for at in range(0, size, GROUP):
        if is_float16:
            subtract_half_group(values, start + at, origin, row, at)
        else:
            subtract_group(values, start + at, origin, row, at)
    for at in range(size, -(-size // GROUP) * GROUP):
        row[at] = 0
