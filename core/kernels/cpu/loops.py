"""The loops of merges, in one file: numba's disk cache goes by the age of the caller's file alone.

Branch-free where it counts, and kept to narrow integers, so that LLVM vectorises them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from core.draws import BLOCK, SELECTION_STREAM

__all__ = [
    "add_values",
    "average",
    "average_bfloat16",
    "block_products",
    "canonicalise",
    "count_nonfinite",
    "divide",
    "float32_of_bits",
    "mark_beyond",
    "philox_block",
    "round_bits",
    "round_to_bfloat16",
    "select",
    "widen_bfloat16",
]

Array = NDArray[Any]

_QUADS = BLOCK // 4
_LANES = 64
_FEW = 32
"""Up to so many sub-models a pass over the block for each is faster than a look-up an element."""


@intrinsic
def float32_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 whose bits are the uint32 `bits`; unlike a view, it leaves a loop vectorised."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


@njit(nogil=True, cache=True)
def widen_bfloat16(words: Array, bits: Array) -> None:
    for at in range(words.size):
        bits[at] = np.uint32(words[at]) << np.uint32(16)


@njit(nogil=True, cache=True)
def round_to_bfloat16(bits: Array, words: Array) -> None:
    """The bits of float32 values to those of bfloat16, to nearest even, into `words`."""
    for at in range(bits.size):
        value = bits[at]
        rounded = (value + np.uint32(0x7FFF) + ((value >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (value & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        words[at] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)


@njit(nogil=True, cache=True)
def canonicalise(words: Array, magnitude_mask: Any, infinity: Any, nan: Any) -> None:
    for at in range(words.size):
        if (words[at] & magnitude_mask) > infinity:
            words[at] = nan


@njit(nogil=True, cache=True)
def round_bits(
    bits: Array,
    words: Array,
    exponent_bits: int,
    mantissa_bits: int,
    largest: int,
    nan: int,
    sign_shift: int,
) -> None:
    """float64 bits to a narrower type, one rounding to nearest even.

    A magnitude that rounds beyond `largest` becomes it: infinity, or the largest number of a type
    that has no infinity, as torch does it.
    """
    one = np.uint64(1)
    bias = (1 << (exponent_bits - 1)) - 1
    for at in range(bits.size):
        sign = (bits[at] >> np.uint64(63)) << np.uint64(sign_shift)
        magnitude = bits[at] & np.uint64(0x7FFFFFFFFFFFFFFF)
        if magnitude > np.uint64(0x7FF0000000000000):
            words[at] = nan
            continue
        exponent = np.int64(magnitude >> np.uint64(52)) - 1023 + bias
        mantissa = magnitude & np.uint64(0xFFFFFFFFFFFFF)
        shift = np.int64(52 - mantissa_bits)
        if exponent >= 1:
            exact = (np.uint64(exponent) << np.uint64(52)) | mantissa
        else:  # a subnormal of the target; those of float64 are far below half of the smallest
            exact = mantissa | np.uint64(0x10000000000000)
            shift = min(shift + 1 - exponent, np.int64(62))
        half = (one << np.uint64(shift - 1)) - one
        rounded = (exact + half + ((exact >> np.uint64(shift)) & one)) >> np.uint64(shift)
        words[at] = min(rounded, np.uint64(largest)) | sign


@njit(nogil=True, cache=True)
def count_nonfinite(words: Array, magnitude_mask: Any, first_nonfinite: Any) -> Any:
    total = np.int64(0)
    for start in range(0, words.size, BLOCK):
        block = words[start : min(start + BLOCK, words.size)]
        found = np.uint16(0)
        for at in range(block.size):
            found = np.uint16(found + np.uint16((block[at] & magnitude_mask) >= first_nonfinite))
        total += found
    return total


@njit(nogil=True, cache=True)
def select(
    models: Array,
    base: Array,
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
    draws: int,
    nonfinite: Array,
    zero_delta: Array,
    changed_by: Array,
    zero_after_draw: Array,
    selected: Array,
) -> None:
    """Parameter selection of a chunk: mark, count, draw, take, block by block.

    Args:
        models: [K, elements] words. base: [elements].
        magnitude_mask, infinity, first_nonfinite: of the type, as words; see DType.
        premarked: whether `mask` holds the marks of the whole chunk; otherwise it is scratch space of
            one block. [masks, elements] or [masks, BLOCK]
        merged: [elements] words, is filled.
        first_block: the number of the chunk's first block in the tensor.
        k0, k1: the Philox key.
        equal: whether all weights are. limits, always: the thresholds otherwise; see `_limits`.
        draws: n + 1.
        nonfinite, zero_delta, changed_by, zero_after_draw, selected: are added to; see Counts.
    """
    elements = base.size
    scratch = np.empty(BLOCK, np.uint16)
    words = np.empty(BLOCK, np.uint32)
    picks = np.empty(BLOCK, np.uint16)
    chosen = np.empty(BLOCK, np.uint16)
    pending = np.empty(BLOCK, np.uint16)
    for start in range(0, elements, BLOCK):
        stop = min(start + BLOCK, elements)
        size = stop - start
        mask_start = start if premarked else 0
        if not premarked:
            _mark_block(
                models,
                base,
                start,
                stop,
                magnitude_mask,
                infinity,
                first_nonfinite,
                mask,
                zero_delta,
                nonfinite,
            )
        untouched_before = changed_by[0]
        _count_overlap(mask, mask_start, size, scratch, changed_by)
        chosen[:] = 0
        pending[:] = 1
        first_draw = 0
        if changed_by[0] - untouched_before == size:  # nothing to find: the last draw decides
            first_draw = draws - 1
            for draw in range(first_draw):  # an array's += would have numba compile messages about shapes
                zero_after_draw[draw] += size
        for draw in range(first_draw, draws):
            if equal:
                _pick_equal(first_block + start // BLOCK, draw, k0, k1, models.shape[0], picks)
            else:
                philox_block(first_block + start // BLOCK, draw, k0, k1, words)
                _pick_by_limits(words, limits, always, picks)
            left = _apply_draw(mask, mask_start, size, picks, chosen, pending, scratch)
            zero_after_draw[draw] += left
            if left == 0:
                break
        _take(models, start, stop, chosen, merged, selected)


@njit(nogil=True, cache=True)
def _mark_block(
    models: Array,
    base: Array,
    start: int,
    stop: int,
    magnitude_mask: Any,
    infinity: Any,
    first_nonfinite: Any,
    mask: Array,
    zero_delta: Array,
    nonfinite: Array,
) -> None:
    """Set bit i where sub-model i differs from the base as a number, and count where it does not.

    On raw words: changed = (a != b and ((a | b) & magnitude) != 0) or isnan(a) or isnan(b). The
    first loop leaves NaNs out, which the second one sees to where there is anything not finite.
    """
    word = models.dtype.type
    size = stop - start
    base_block = base[start:stop]
    base_nonfinite = count_nonfinite(base_block, magnitude_mask, first_nonfinite)
    nonfinite[models.shape[0]] += base_nonfinite
    mask[:, :size] = 0
    for model in range(models.shape[0]):
        block = models[model, start:stop]
        row = mask[model >> 4, :size]
        bit = np.uint16(np.uint16(1) << np.uint16(model & 15))
        changed = np.uint16(0)  # at most BLOCK; narrow sums keep the loop narrow, and so fast
        found = np.uint16(0)
        for at in range(size):
            a = block[at]
            b = base_block[at]
            flag = np.uint16((a != b) & (word(word(a | b) & magnitude_mask) != word(0)))
            found = np.uint16(found + np.uint16(word(a & magnitude_mask) >= first_nonfinite))
            row[at] = np.uint16(row[at] | np.uint16(flag * bit))
            changed = np.uint16(changed + flag)
        if found or base_nonfinite:
            changed = np.uint16(0)
            for at in range(size):
                a_is_nan = word(block[at] & magnitude_mask) > infinity
                b_is_nan = word(base_block[at] & magnitude_mask) > infinity
                if a_is_nan or b_is_nan:
                    row[at] |= bit
                changed += np.uint16((row[at] & bit) != 0)
        zero_delta[model] += size - changed
        nonfinite[model] += found


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
def _count_overlap(mask: Array, mask_start: int, size: int, scratch: Array, changed_by: Array) -> None:
    """Add to the histogram of the number of bits set, over one block."""
    u16 = np.uint16
    scratch[:size] = 0
    for number in range(mask.shape[0]):
        row = mask[number, mask_start : mask_start + size]
        for at in range(size):
            bits = row[at]
            bits = u16(bits - u16(u16(bits >> u16(1)) & u16(0x5555)))
            bits = u16(u16(bits & u16(0x3333)) + u16(u16(bits >> u16(2)) & u16(0x3333)))
            bits = u16(u16(bits + u16(bits >> u16(4))) & u16(0x0F0F))
            scratch[at] = u16(scratch[at] + u16(u16(bits * u16(0x0101)) >> u16(8)))
    if changed_by.size <= _FEW + 1:
        for changed in range(changed_by.size):
            found = u16(0)
            for at in range(size):
                found = u16(found + u16(scratch[at] == u16(changed)))
            changed_by[changed] += found
    else:
        for at in range(size):
            changed_by[scratch[at]] += 1


@njit(nogil=True, cache=True, inline="always")
def _philox_rounds(quad: Any, draw: int, k0: Any, k1: Any) -> Any:
    """The four words of one Philox call, in the low halves of uint64."""
    low = np.uint64(0xFFFFFFFF)
    c0 = quad & low
    c1 = quad >> np.uint64(32)
    c2 = np.uint64(draw)
    c3 = np.uint64(SELECTION_STREAM)
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * c0
        product1 = np.uint64(0xCD9E8D57) * c2
        c0 = (product1 >> np.uint64(32)) ^ c1 ^ k0
        c1 = product1 & low
        c2 = (product0 >> np.uint64(32)) ^ c3 ^ k1
        c3 = product0 & low
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


@njit(nogil=True, cache=True)
def philox_block(block: int, draw: int, k0: Any, k1: Any, words: Array) -> None:
    """The words of draw `draw` of the elements of block `block`, by element."""
    first_quad = np.uint64(block) * np.uint64(_QUADS)
    for at in range(_QUADS):
        c0, c1, c2, c3 = _philox_rounds(first_quad | np.uint64(at), draw, k0, k1)
        words[at] = c0
        words[_QUADS + at] = c1
        words[2 * _QUADS + at] = c2
        words[3 * _QUADS + at] = c3


@njit(nogil=True, cache=True)
def _pick_equal(block: int, draw: int, k0: Any, k1: Any, models: int, picks: Array) -> None:
    """The drawn sub-models of a block for equal weights: (word * K) >> 32."""
    first_quad = np.uint64(block) * np.uint64(_QUADS)
    count = np.uint64(models)
    for at in range(_QUADS):
        c0, c1, c2, c3 = _philox_rounds(first_quad | np.uint64(at), draw, k0, k1)
        picks[at] = (c0 * count) >> np.uint64(32)
        picks[_QUADS + at] = (c1 * count) >> np.uint64(32)
        picks[2 * _QUADS + at] = (c2 * count) >> np.uint64(32)
        picks[3 * _QUADS + at] = (c3 * count) >> np.uint64(32)


@njit(nogil=True, cache=True)
def _pick_by_limits(words: Array, limits: Array, always: int, picks: Array) -> None:
    """The drawn sub-models of a block for unequal weights: the number of thresholds <= word."""
    picks[:] = always
    for limit in limits:
        for at in range(BLOCK):
            picks[at] = np.uint16(picks[at] + np.uint16(words[at] > limit))


@njit(nogil=True, cache=True)
def _apply_draw(
    mask: Array, mask_start: int, size: int, picks: Array, chosen: Array, pending: Array, scratch: Array
) -> Any:
    """Let pending elements take their picks; they stay pending where the mask bit is clear.

    Returns how many of the block's first `size` elements are still pending. Without branches: a
    value of all ones or of zeros lets one or the other through.
    """
    u16 = np.uint16
    for at in range(size):
        old = chosen[at]
        chosen[at] = u16(old ^ u16(u16(old ^ picks[at]) & u16(-pending[at])))
    if mask.shape[0] == 1:
        bits = mask[0, mask_start : mask_start + size]
    else:
        bits = scratch[:size]
        bits[:] = 0
        for number in range(mask.shape[0]):
            row = mask[number, mask_start : mask_start + size]
            for at in range(size):
                through = u16(-u16(u16(chosen[at] >> u16(4)) == u16(number)))
                bits[at] = u16(bits[at] | u16(row[at] & through))
    left = u16(0)
    for at in range(size):
        changed = u16(u16(bits[at] >> u16(chosen[at] & u16(15))) & u16(1))
        pending[at] = u16(pending[at] & u16(changed ^ u16(1)))
        left = u16(left + pending[at])
    return left


@njit(nogil=True, cache=True)
def _take(models: Array, start: int, stop: int, chosen: Array, merged: Array, selected: Array) -> None:
    """Copy each element of a block from its chosen sub-model, and count the choices."""
    size = stop - start
    word = models.dtype.type
    block = merged[start:stop]
    if models.shape[0] <= _FEW:
        for model in range(models.shape[0]):
            values = models[model, start:stop]
            found = np.uint16(0)
            for at in range(size):
                take = np.uint16(chosen[at] == np.uint16(model))
                old = block[at]
                through = word(-word(take))
                block[at] = word(old ^ word(word(old ^ values[at]) & through))
                found = np.uint16(found + take)
            selected[model] += found
    else:
        for at in range(size):
            block[at] = models[chosen[at], start + at]
            selected[chosen[at]] += 1


@njit(nogil=True, cache=True)
def add_values(values: Array, weighted: bool, factor: Any, accumulator: Array) -> None:
    """accumulator += values, or += factor * values with product and sum each rounded to its type."""
    kind = accumulator.dtype.type
    if weighted:
        for at in range(accumulator.size):
            product = kind(factor * kind(values[at]))
            accumulator[at] = accumulator[at] + product
    else:
        for at in range(accumulator.size):
            accumulator[at] = accumulator[at] + kind(values[at])


@njit(nogil=True, cache=True, error_model="numpy")
def divide(accumulator: Array, divisor: Any) -> None:
    """accumulator /= divisor, which is not 0, each quotient rounded to its type."""
    if divisor != 1:
        for at in range(accumulator.size):
            accumulator[at] = accumulator[at] / divisor


@njit(nogil=True, cache=True)
def average(
    values: Array, models: Array, weighted: bool, factors: Array, divisor: Any, accumulator: Array
) -> None:
    """The average of some of the rows of `values`, block by block; see core.weights.AverageTerms.

    Args:
        values: [K, elements].
        models: [terms] the rows that take part.
        weighted, factors: whether they are multiplied, and by what. [terms]
        divisor: 1 for no division.
        accumulator: [elements] of the computing type, is set.
    """
    for start in range(0, accumulator.size, BLOCK):
        stop = min(start + BLOCK, accumulator.size)
        block = accumulator[start:stop]
        block[:] = 0
        for term in range(models.size):
            factor = factors[term] if weighted else divisor
            add_values(values[models[term], start:stop], weighted, factor, block)
        divide(block, divisor)


@njit(nogil=True, cache=True)
def average_bfloat16(
    words: Array,
    models: Array,
    weighted: bool,
    factors: Array,
    divisor: Any,
    merged: Array,
    nonfinite: Array,
) -> None:
    """The same from and to the bits of bfloat16 values; the sums stay in the nearest cache.

    Adds to `nonfinite` [K] the NaN and infinite elements of each sub-model that takes part. They are looked
    for only where a sum is not finite: as no factor is 0, no sum gets rid of one.
    """
    magnitude, infinity = np.uint16(0x7FFF), np.uint16(0x7F80)
    accumulator = np.empty(BLOCK, np.float32)
    for start in range(0, merged.size, BLOCK):
        size = min(BLOCK, merged.size - start)
        accumulator[:] = 0
        for term in range(models.size):
            row = words[models[term], start : start + size]
            if weighted:
                factor = factors[term]
                for at in range(size):
                    bits = np.uint32(np.uint32(row[at]) << np.uint32(16))
                    product = factor * float32_of_bits(bits)  # type: ignore[call-arg]
                    accumulator[at] = accumulator[at] + product
            else:
                for at in range(size):
                    bits = np.uint32(np.uint32(row[at]) << np.uint32(16))
                    accumulator[at] = accumulator[at] + float32_of_bits(bits)  # type: ignore[call-arg]
        divide(accumulator, divisor)
        rounded = merged[start : start + size]
        round_to_bfloat16(accumulator.view(np.uint32)[:size], rounded)
        if count_nonfinite(rounded, magnitude, infinity):
            for term in range(models.size):
                row = words[models[term], start : start + size]
                nonfinite[models[term]] += count_nonfinite(row, magnitude, infinity)


@njit(nogil=True, cache=True)
def block_products(left: Array, right: Array, sums: Array) -> None:
    """The sums of left * right over each block, in the order of core.methods.arithmetic.ordered_sums.

    Args:
        left, right: [elements] float32 or float64; products and sums are rounded to float64.
        sums: [blocks] float64, is set.
    """
    lanes = np.empty(_LANES, np.float64)
    for block in range(sums.size):
        start = block * BLOCK
        stop = min(start + BLOCK, left.size)
        lanes[:] = 0
        for first in range(start, stop, _LANES):
            for lane in range(min(_LANES, stop - first)):
                product = np.float64(left[first + lane]) * np.float64(right[first + lane])
                lanes[lane] = lanes[lane] + product
        width = _LANES
        while width > 1:
            width //= 2
            for lane in range(width):
                lanes[lane] = lanes[lane] + lanes[lane + width]
        sums[block] = lanes[0]
