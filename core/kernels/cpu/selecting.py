"""The loop of parameter selection over the blocks of a chunk.

What is compiled calls nothing that is compiled from other files; see core.kernels.cpu.instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.instructions import GROUP
from core.kernels.cpu.vectors import (
    LISTED,
    apply_group,
    count_bytes,
    draw_listed,
    draw_picks,
    draw_words,
    lowest_bit,
    mark_group,
    mark_group_exactly,
    odd_of_group,
    overlap_of_group,
    pending_of_group,
    picks_by_limits,
    take_group,
)

__all__ = ["mark_beyond", "philox_block", "select"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""

_QUADS = BLOCK // 4

_FEW = 64
"""Up to so many sub-models a look at the block in each is faster than a look-up an element."""


_FEW_PENDING = 512
"""Up to so many elements of a block a draw for each is faster than one for all."""


@njit(nogil=True, cache=True)
def select(
    models: Array,
    base: Array,
    elements: int,
    magnitude_mask: Any,
    infinity: Any,
    first_nonfinite: Any,
    premarked: bool,
    mask: Array,
    merged: Array,
    first_block: int,
    k0: Any,
    k1: Any,
    equal: bool,
    limits: Array,
    always: int,
    nonfinite: Array,
    zero_delta: Array,
    changed_by: Array,
    zero_after_draw: Array,
    selected: Array,
) -> None:
    """Parameter selection of a chunk: mark, count, draw, take, block by block.

    Args:
        models: [K, stride] words, a multiple of GROUP, zeros behind the chunk's own. base: [stride].
        elements: of the chunk.
        magnitude_mask, infinity, first_nonfinite: of the type, as words; see DType.
        premarked: whether `mask` holds the marks of the whole chunk. [masks, stride], or [masks, 0]
        merged: [stride] words, is filled.
        first_block: the number of the chunk's first block in the tensor.
        k0, k1: the Philox key.
        equal: whether all weights are. limits, always: the thresholds otherwise; see `_limits`.
        nonfinite, zero_delta, changed_by, zero_after_draw, selected: are added to; see Counts.
    """
    count, draws = models.shape[0], zero_after_draw.size
    marks = mask if premarked else np.empty((mask.shape[0], BLOCK), np.uint16)
    changed = np.empty(count, np.int64)
    seen = np.empty(GROUP, models.dtype)
    overlap = np.empty(BLOCK, np.uint8)
    words = np.empty(BLOCK, np.uint32)
    places = np.zeros(_FEW_PENDING + LISTED, np.uint16)
    picks = np.empty(BLOCK, np.uint16)
    chosen = np.empty(BLOCK, np.uint16)
    pending = np.empty(BLOCK, np.uint16)
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        padded = -(-size // GROUP) * GROUP
        mask_start = start if premarked else 0
        if not premarked:
            _mark_block(
                models,
                base,
                start,
                padded,
                magnitude_mask,
                infinity,
                first_nonfinite,
                marks,
                changed,
                seen,
                nonfinite,
            )
            for model in range(count):
                zero_delta[model] += size - changed[model]
        touched_by_none = changed_by[0]
        _count_overlap(marks, mask_start, padded, overlap, changed_by)
        touched_by_none = changed_by[0] - touched_by_none
        changed_by[0] -= padded - size
        for at in range(padded):
            pending[at] = 0xFFFF
        draw: Any = np.int64(0)  # a literal would have two versions of what is called compiled
        beyond = padded - size
        left, listed = padded, -1
        while draw < draws:
            block = first_block + start // BLOCK
            finds_none = touched_by_none if draw < draws - 1 else 0  # these are left to the last draw
            if left - finds_none <= _FEW_PENDING:
                if listed < 0 or finds_none == 0:
                    listed = _list_pending(marks, mask_start, padded, pending, finds_none == 0, places)
                _draw_listed(block, draw, k0, k1, equal, count, limits, always, listed, places, words)
                listed = _apply_listed(marks, mask_start, listed, places, words, chosen, pending)
                left = listed + finds_none
            else:
                _draw_block(block, draw, k0, k1, equal, count, limits, always, padded, words, picks)
                left = 0
                for at in range(0, padded, GROUP):
                    left += apply_group(marks, mask_start + at, at, picks, chosen, pending)
            zero_after_draw[draw] += left - beyond
            draw += 1
            if left == beyond:
                break  # of the chunk's own none is left
            if left == touched_by_none and draw < draws:  # nothing to find: the last draw decides
                for between in range(draw, draws - 1):
                    zero_after_draw[between] += left - beyond
                draw = np.int64(draws - 1)
        _take(models, start, size, padded, chosen, merged, selected)


@njit(nogil=True, cache=True)
def _mark_block(
    models: Array,
    base: Array,
    start: int,
    size: int,
    magnitude_mask: Any,
    infinity: Any,
    first_nonfinite: Any,
    mask: Array,
    changed: Array,
    seen: Array,
    nonfinite: Array,
) -> None:
    """Set bit i where sub-model i differs from the base as a number, and count where it does.

    On raw words: changed = (a != b and ((a | b) & magnitude) != 0) or isnan(a) or isnan(b). That is a != b
    where the base has no zero and none is a NaN, which is nearly always so.
    """
    count = models.shape[0]
    exactly = False
    for at in range(start, start + size, GROUP):
        exactly |= odd_of_group(base, at, magnitude_mask, first_nonfinite) != 0
    if not exactly:
        _mark_groups(False, models, base, start, size, magnitude_mask, infinity, mask, changed, seen)
    else:
        _mark_groups(True, models, base, start, size, magnitude_mask, infinity, mask, changed, seen)
        nonfinite[count] += _count_nonfinite(base[start : start + size], magnitude_mask, first_nonfinite)
    for lane in range(1, GROUP):
        seen[0] |= seen[lane]
    if (seen[0] & magnitude_mask) >= first_nonfinite:  # there may be one
        found = 0
        for model in range(count):
            block = models[model, start : start + size]
            here = _count_nonfinite(block, magnitude_mask, first_nonfinite)
            nonfinite[model] += here
            found += here
        if found and not exactly:
            _mark_groups(True, models, base, start, size, magnitude_mask, infinity, mask, changed, seen)


@njit(nogil=True, cache=True)
def _mark_groups(
    exactly: bool,
    models: Array,
    base: Array,
    start: int,
    size: int,
    magnitude_mask: Any,
    infinity: Any,
    mask: Array,
    changed: Array,
    seen: Array,
) -> None:
    changed[:] = 0
    seen[:] = 0
    for number in range(mask.shape[0]):
        first, row = 16 * number, mask[number]
        count = min(16, models.shape[0] - first)
        for at in range(0, size, GROUP):
            if exactly:
                mark_group_exactly(
                    models, first, count, base, start + at, magnitude_mask, infinity, row, at, changed, seen
                )
            else:
                mark_group(
                    models, first, count, base, start + at, magnitude_mask, infinity, row, at, changed, seen
                )


@njit(nogil=True, cache=True)
def _count_nonfinite(words: Array, magnitude_mask: Any, first_nonfinite: Any) -> Any:
    found = np.uint16(0)  # at most BLOCK; a narrow sum keeps the loop narrow, and so fast
    for at in range(words.size):
        found = np.uint16(found + np.uint16((words[at] & magnitude_mask) >= first_nonfinite))
    return np.int64(found)


@njit(nogil=True, cache=True)
def mark_beyond(
    values: Array, base: Array, tolerance: Any, model: int, mask: Array, zero_delta: Array
) -> None:
    """As _mark_block for a chunk of one sub-model, with deltas up to `tolerance` counted as zero."""
    bit = np.uint16(np.uint16(1) << np.uint16(model & 15))
    row = mask[model >> 4]
    for at in range(values.size):
        zero = values[at] == base[at] or abs(values[at] - base[at]) <= tolerance
        if zero:
            zero_delta[model] += 1
        else:
            row[at] |= bit


@njit(nogil=True, cache=True)
def _count_overlap(mask: Array, mask_start: int, size: int, overlap: Array, changed_by: Array) -> None:
    """Add to the histogram of the number of bits set, over one block."""
    if changed_by.size > 256:
        for at in range(mask_start, mask_start + size):
            bits = 0
            for number in range(mask.shape[0]):
                for bit in range(16):
                    bits += (mask[number, at] >> bit) & 1
            changed_by[bits] += 1
        return
    overlap[:size] = 0
    for number in range(mask.shape[0]):
        for at in range(0, size, GROUP):
            overlap_of_group(mask, number, mask_start + at, overlap, at)
    for bits in range(changed_by.size):
        changed_by[bits] += count_bytes(overlap, size, bits)


@njit(nogil=True, cache=True)
def philox_block(block: int, draw: int, k0: Any, k1: Any, words: Array) -> None:
    """The words of draw `draw` of the elements of block `block`, by element. [BLOCK] uint32"""
    first = np.uint64(block) * np.uint64(_QUADS)
    for at in range(0, _QUADS, GROUP // 2):
        draw_words(first, at, draw, k0, k1, words)


@njit(nogil=True, cache=True)
def _draw_block(
    block: int,
    draw: int,
    k0: Any,
    k1: Any,
    equal: bool,
    models: int,
    limits: Array,
    always: int,
    size: int,
    words: Array,
    picks: Array,
) -> None:
    """The drawn sub-models of a block."""
    if equal:
        first = np.uint64(block) * np.uint64(_QUADS)
        for at in range(0, min(_QUADS, size), GROUP):
            draw_picks(first, at, draw, k0, k1, models, picks)
    else:
        philox_block(block, draw, k0, k1, words)
        for at in range(0, size, GROUP):
            picks_by_limits(words, at, limits, always, picks)


@njit(nogil=True, cache=True)
def _list_pending(
    mask: Array, mask_start: int, size: int, pending: Array, untouched: bool, elements: Array
) -> int:
    """List the pending elements of a block, those that no sub-model changed only where `untouched`.

    Returns how many they are.
    """
    listed = 0
    for at in range(0, size, GROUP):
        bits = pending_of_group(mask, mask_start + at, at, pending, np.int64(untouched))
        while bits:
            elements[listed] = at + lowest_bit(bits)
            listed += 1
            bits &= bits - np.uint64(1)
    return listed


@njit(nogil=True, cache=True)
def _draw_listed(
    block: int,
    draw: int,
    k0: Any,
    k1: Any,
    equal: bool,
    models: int,
    limits: Array,
    always: int,
    listed: int,
    elements: Array,
    words: Array,
) -> None:
    """The drawn sub-models of the listed elements, into `words`."""
    first = np.uint64(block) * np.uint64(_QUADS)
    for at in range(0, listed, LISTED):
        draw_listed(first, elements, at, draw, k0, k1, words)
    if equal:
        for at in range(listed):
            words[at] = (np.uint64(words[at]) * np.uint64(models)) >> np.uint64(32)
    else:
        for at in range(listed):
            pick = always
            for limit in limits:
                pick += words[at] > limit
            words[at] = pick


@njit(nogil=True, cache=True)
def _apply_listed(
    mask: Array, mask_start: int, listed: int, elements: Array, picks: Array, chosen: Array, pending: Array
) -> Any:
    """As apply_group for listed elements: those that stay pending stay in the list. Returns their number."""
    left = np.int64(0)
    for at in range(listed):
        element, pick = elements[at], picks[at]
        bits = mask[pick >> np.uint32(4), np.uint64(mask_start) + np.uint64(element)]
        changed = np.uint16((bits >> np.uint16(pick & np.uint32(15))) & np.uint16(1))
        chosen[element] = pick
        pending[element] = np.uint16(changed - np.uint16(1))
        elements[left] = element
        left += 1 - np.int64(changed)
    return left


@njit(nogil=True, cache=True)
def _take(
    models: Array, start: int, size: int, padded: int, chosen: Array, merged: Array, selected: Array
) -> None:
    """Copy each element of a block from its chosen sub-model, and count the choices."""
    if models.shape[0] <= _FEW:
        for at in range(0, padded, GROUP):
            lanes = ~np.uint64(0)
            if at + GROUP > size:
                lanes >>= np.uint64(at + GROUP - size)
            take_group(models, start + at, chosen, at, lanes, merged, selected)
    else:
        for at in range(size):
            merged[start + at] = models[chosen[at], start + at]
            selected[chosen[at]] += 1
