"""The loops that drop elements of task vectors by the ranks of their magnitudes in their rows.

Only what is not zero is sorted, by as few digits as tell it apart: the task vectors of bfloat16 models have
few significant bits, and of their exponents only some occur.

What is compiled calls nothing that is compiled from other files; see core.kernels.cpu.instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.instructions import GROUP, bits_of
from core.kernels.cpu.task_instructions import (
    draw_kept_by_element,
    not_zero_of_group,
    subtract_group,
    subtract_half_group,
    widen_group,
    widen_half_group,
)
from core.kernels.cpu.vectors import lowest_bit

__all__ = ["rank_magnitudes", "rank_masks"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""

_DIGIT, _SHORT_DIGIT = 12, 8
"""Most bits of a digit, for many numbers and for few: to go through the counters costs time too."""

_MANY = 1024
"""Numbers from which on they are many."""

_PASSES = 64 // _SHORT_DIGIT

_FEW = 24
"""Up to so many numbers are put in order one by one."""


@njit(nogil=True, cache=True)
def rank_masks(
    models: Array,
    base: Array,
    is_float16: bool,
    row: int,
    elements: int,
    inner: int,
    inner_elements: int,
    first_block: int,
    k0: Any,
    k1: Any,
    draws: Array,
    tables: Array,
    table_of: Array,
    infinity: Any,
    zeros: Array,
    words: Array,
    kept: Array,
) -> None:
    """Set a bit for each element that a drop by ranks keeps; those of zeros mean nothing.

    Args:
        models, base, is_float16: as for task_loops.merge_task_vectors, from the start of a row on.
        row: elements of a row. elements: of the chunk, whole rows.
        inner, inner_elements: the first element that is wanted, which begins block `first_block` of the
            tensor, and how many are.
        k0, k1: the Philox key.
        draws: [K] the numbers of the sub-models, int64; below zero for what is not dropped by ranks.
        tables: [T, row] the largest word that is dropped, uint32, by the rank from 0. table_of: [K] int64.
        infinity: its bits in the computing type. zeros: [0] of that type. words: [0] of its bits.
        kept: [K, words of whole blocks] uint64, is set.
    """
    padded = -(-row // GROUP) * GROUP
    origin, tau = np.empty(padded, zeros.dtype), np.empty(padded, zeros.dtype)
    keys, other_keys = np.empty(row + GROUP, words.dtype), np.empty(row, words.dtype)
    places, other_places = np.empty(row, np.uint32), np.empty(row, np.uint32)
    counters = np.empty((_PASSES, 1 << _DIGIT), np.uint32)
    order = np.empty(row, np.uint32)
    limits = np.zeros(row + 2 * BLOCK, np.uint32)
    for model in range(models.shape[0]):
        if draws[model] < 0:
            continue
        table = tables[table_of[model]]
        done = 0  # elements of the inner ones whose blocks are drawn
        for start in range(0, elements, row):
            _widen(base, start, padded, is_float16, origin)
            _subtract(models[model], start, padded, is_float16, origin, tau)
            found = _order(tau, row, infinity, keys, places, other_keys, other_places, counters, order)
            first = start - inner - done
            skipped = row - found
            if first >= 0 and start + row <= inner + inner_elements:
                for at in range(found):
                    limits[first + order[at]] = table[skipped + at]
            else:
                for at in range(found):
                    place = first + np.int64(order[at])
                    if place >= 0 and place + done < inner_elements:
                        limits[place] = table[skipped + at]
            reached = min(start + row - inner, inner_elements)
            complete = 0
            while done + complete + BLOCK <= reached:
                _draw(first_block, done + complete, draws[model], k0, k1, limits, complete, kept[model])
                complete += BLOCK
            if complete:
                done += complete
                for at in range(max(reached - done, 0)):
                    limits[at] = limits[complete + at]
        if done < inner_elements:
            _draw(first_block, done, draws[model], k0, k1, limits, 0, kept[model])


@njit(nogil=True, cache=True, inline="always")
def _draw(
    first_block: int, start: int, draw: int, k0: Any, k1: Any, limits: Array, limits_at: int, kept: Array
) -> None:
    """The bits of the block that begins with inner element `start`."""
    first = np.uint64(first_block + start // BLOCK) * np.uint64(BLOCK // 4)
    for quad in range(0, BLOCK // 4, GROUP):
        draw_kept_by_element(first, quad, draw, k0, k1, limits, limits_at, kept, start // GROUP)


@njit(nogil=True, cache=True)
def rank_magnitudes(tau: Array, infinity: Any, words: Array, order: Array) -> int:
    """The places of the numbers of one row that are not zero, in the order of their magnitudes.

    Args:
        tau: [row] floating-point numbers.
        infinity: its bits in their type. words: [0] of that of the bits.
        order: [row] uint32, is set: |tau| ascending, of equal ones the first; every NaN is as large.

    Returns:
        How many they are.
    """
    row = tau.size
    keys, other_keys = np.empty(row + GROUP, words.dtype), np.empty(row, words.dtype)
    places, other_places = np.empty(row, np.uint32), np.empty(row, np.uint32)
    counters = np.empty((_PASSES, 1 << _DIGIT), np.uint32)
    return _order(tau, row, infinity, keys, places, other_keys, other_places, counters, order)


@njit(nogil=True, cache=True)
def _order(
    tau: Array,
    row: int,
    infinity: Any,
    keys: Array,
    places: Array,
    other_keys: Array,
    other_places: Array,
    counters: Array,
    order: Array,
) -> int:
    """See rank_magnitudes."""
    word = keys.dtype.type
    beyond = word(infinity + word(1))
    union, largest, smallest = word(0), word(0), word(infinity + word(1))
    for at in range(row):
        key = word(bits_of(tau[at]) & word(infinity | word(infinity - word(1))))
        key = key if key < beyond else beyond
        keys[at] = key
        union = word(union | key)
        largest = key if key > largest else largest
        # A zero becomes the largest of all when one is subtracted.
        less = word(key - word(1))
        smallest = less if less < smallest else smallest
    found = 0
    for at in range(0, row, GROUP):
        bits = not_zero_of_group(keys, at)
        if at + GROUP > row:
            bits &= (np.uint64(1) << np.uint64(row - at)) - np.uint64(1)
        while bits:
            place = at + lowest_bit(bits)
            keys[found], places[found] = keys[place], place
            found += 1
            bits &= bits - np.uint64(1)
    if found <= _FEW:
        _insert(keys, places, found, order)
        return found
    smallest = word(smallest + word(1))
    shift = word(0)
    while (union >> shift) & word(1) == 0:
        shift = word(shift + word(1))
    span, bits_left = word(word(largest - smallest) >> shift), 0
    while span:
        span = word(span >> word(1))
        bits_left += 1
    most = _DIGIT if found >= _MANY else _SHORT_DIGIT
    passes = max(-(-bits_left // most), 1)
    digit = -(-bits_left // passes)
    mask = word((1 << digit) - 1)
    for number in range(passes):
        for value in range(1 << digit):
            counters[number, value] = 0
    for at in range(found):
        key = word(word(keys[at] - smallest) >> shift)
        keys[at] = key
        for number in range(passes):
            counters[number, key & mask] += np.uint32(1)
            key = word(key >> word(digit))
    for number in range(passes):
        begins = counters[number]
        total = np.uint32(0)
        for value in range(1 << digit):
            here = begins[value]
            begins[value] = total
            total += here
        down = word(number * digit)
        if number == passes - 1:
            for at in range(found):
                value = word(keys[at] >> down) & mask
                order[begins[value]] = places[at]
                begins[value] += np.uint32(1)
        else:
            for at in range(found):
                key = keys[at]
                value = word(key >> down) & mask
                to = begins[value]
                begins[value] = to + np.uint32(1)
                other_keys[to], other_places[to] = key, places[at]
            keys, other_keys = other_keys, keys
            places, other_places = other_places, places
    return found


@njit(nogil=True, cache=True, inline="always")
def _insert(keys: Array, places: Array, found: int, order: Array) -> None:
    for at in range(found):
        key, place, to = keys[at], places[at], at
        while to > 0 and keys[to - 1] > key:
            keys[to], order[to] = keys[to - 1], order[to - 1]
            to -= 1
        keys[to], order[to] = key, place


@njit(nogil=True, cache=True)
def _widen(values: Array, start: int, padded: int, is_float16: bool, row: Array) -> None:
    for at in range(0, padded, GROUP):
        if is_float16:
            widen_half_group(values, start + at, row, row, at)
        else:
            widen_group(values, start + at, row, row, at)


@njit(nogil=True, cache=True)
def _subtract(values: Array, start: int, padded: int, is_float16: bool, base: Array, row: Array) -> None:
    for at in range(0, padded, GROUP):
        if is_float16:
            subtract_half_group(values, start + at, base, row, at)
        else:
            subtract_group(values, start + at, base, row, at)
