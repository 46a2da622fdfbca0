"""The loops that measure the deltas of a chunk; see core.kernels.deltas.workspace.

Which elements a sub-model changed is one bit an element: bit i of word w is element 64 w + i. Counting 64
of them takes one instruction, whether over sub-models or over places. So arrays of elements hold a
multiple of 64 of them, zeros behind the chunk's own.

What is compiled calls nothing that is compiled from other files; see core.kernels.cpu.instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.instructions import GROUP as WORD
from core.kernels.cpu.instructions import bits_of, float32_of_bits, ones_of
from core.kernels.deltas.instructions import above_of_64, changed_of_64
from core.kernels.deltas.sums import LOWEST_EXPONENT, MAGNITUDE_BINS

__all__ = ["STEP", "TILE", "WORD", "count_tiles", "mark_deltas", "measure_deltas"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""

TILE = 3
"""So many rows are multiplied with so many others at a time; their number has to be a multiple of it."""

STEP = 256
"""Elements that are converted to float64 at a time: eleven rows of them stay in the nearest cache."""

_ANY_ORDER = {"reassoc", "contract", "nsz"}
"""Lets a sum be taken in several parts at once. One machine always takes the same parts."""


# -- which deltas are zero -----------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def mark_deltas(
    models: Array,
    base: Array,
    elements: int,
    magnitude_mask: Any,
    infinity: Any,
    last_finite: Any,
    shares: Array,
    with_tolerance: bool,
    tolerance: Any,
    values: Array,
    base_values: Array,
    is_float16: bool,
    rows: Array,
    words: Array,
    row_mask: Any,
    marks: Array,
    nonfinite: Array,
    zero_delta: Array,
    changed_by: Array,
    unchanged_powers: Array,
) -> None:
    """Mark and count the deltas of a chunk that are not zero, block by block.

    Args:
        models: [K, stride] words, zeros behind the chunk's own. base: [stride].
        elements: of the chunk.
        magnitude_mask, infinity, last_finite: of the words' type; see DType.
        shares: [K] of the weights; [0] where they are equal or do not matter.
        with_tolerance: whether there is one. tolerance: its bits in the computing type.
        values, base_values, is_float16, rows, words, row_mask: as for measure_deltas; only looked at where
            there is a tolerance.
        marks: [K, stride / WORD] set.
        nonfinite, zero_delta, changed_by, unchanged_powers: are added to; see DeltaSums.
    """
    count, padded = models.shape[0], -(-elements // WORD) * WORD
    sums = np.empty((count + 3, BLOCK // WORD), np.uint64)
    unchanged = np.empty((2, BLOCK if shares.size else 0))
    codes = np.empty(BLOCK, np.uint16)
    for start in range(0, padded, BLOCK):
        stop = min(start + BLOCK, padded)
        first, last = start // WORD, stop // WORD
        size = min(stop, elements) - start
        base_block = base[start:stop]
        if _largest(base_block, magnitude_mask) > last_finite:
            nonfinite[count] += _count_above(base_block, magnitude_mask, last_finite)
        if with_tolerance:
            _widen(base_values[start:stop], is_float16, rows[0])
        for model in range(count):
            block, bits = models[model, start:stop], marks[model, first:last]
            for at in range(bits.size):
                bits[at] = changed_of_64(block, base_block, WORD * at, magnitude_mask)
            largest = _largest(block, magnitude_mask)
            if largest > last_finite:
                nonfinite[model] += _count_above(block, magnitude_mask, last_finite)
            if largest > infinity:  # a NaN differs from everything, itself included
                for at in range(bits.size):
                    bits[at] |= above_of_64(block, WORD * at, magnitude_mask, infinity)
            if with_tolerance:  # the bits of a NaN are above those of any number
                _subtract(values[model, start:stop], is_float16, rows[0], rows[1], codes)
                for at in range(bits.size):
                    bits[at] &= above_of_64(words[1], WORD * at, row_mask, tolerance)
            zero_delta[model] += size - _count(bits)
        _count_overlap(marks, first, last, sums, changed_by)
        changed_by[0] -= stop - start - size
        if shares.size:
            _add_unchanged_powers(marks, first, size, shares, unchanged, unchanged_powers)


@njit(nogil=True, cache=True)
def _largest(words: Array, mask: Any) -> Any:
    """The largest of the bits of `mask`."""
    largest = words.dtype.type(0)
    for at in range(words.size):
        masked = words.dtype.type(words[at] & mask)
        largest = masked if masked > largest else largest  # max() would widen it
    return largest


@njit(nogil=True, cache=True)
def _count_above(words: Array, mask: Any, limit: Any) -> Any:
    total = np.uint64(0)
    for at in range(0, words.size, WORD):
        total += ones_of(above_of_64(words, at, mask, limit))
    return np.int64(total)


@njit(nogil=True, cache=True)
def _count(bits: Array) -> Any:
    total = np.uint64(0)
    for at in range(bits.size):
        total += ones_of(bits[at])
    return np.int64(total)


@njit(nogil=True, cache=True)
def _count_overlap(marks: Array, first: int, last: int, sums: Array, changed_by: Array) -> None:
    """Count elements by how many marks they have, from word `first` to before word `last`.

    The marks of all elements of a word are added up at once: bit i of row d of `sums` is binary digit d of
    the number for element i.

    Args:
        marks: [K, all words].
        sums: [K + 3, words of a block] scratch space.
        changed_by: [K + 1] added to.
    """
    count, words = marks.shape[0], last - first
    digits = 0
    carry, found = sums[count + 1], sums[count + 2]
    for model in range(count):
        if (model + 1) >> digits:  # the number can have one more digit
            sums[digits, :words] = 0
            digits += 1
        for at in range(words):  # an assignment of slices would take seconds to compile
            carry[at] = marks[model, first + at]
        for digit in range(digits):
            row = sums[digit]
            for at in range(words):
                both = row[at] & carry[at]
                row[at] ^= carry[at]
                carry[at] = both
    for number in range(count + 1):
        found[:words] = ~np.uint64(0)
        for digit in range(digits):
            row = sums[digit]
            flip = np.uint64((number >> digit) & 1) - np.uint64(1)  # all ones where the digit is to be 0
            for at in range(words):
                found[at] &= row[at] ^ flip
        changed_by[number] += _count(found[:words])


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _add_unchanged_powers(
    marks: Array, first: int, size: int, shares: Array, scratch: Array, sums: Array
) -> None:
    """Add sum of u**(d + 1) to sums[d]; u is the share of the weights that an element's zero deltas have.

    Over `size` elements from word `first` on.
    """
    unchanged, powers = scratch[0], scratch[1]
    unchanged[:] = 0
    for model in range(shares.size):
        share = shares[model]
        for word in range(-(-size // WORD)):
            bits = marks[model, first + word]
            part = unchanged[WORD * word : WORD * word + WORD]
            for lane in range(WORD):
                part[lane] += 0.0 if (bits >> np.uint64(lane)) & np.uint64(1) else share
    for start in range(0, size, STEP):
        part = unchanged[start : min(start + STEP, size)]
        powers[: part.size] = 1
        for draw in range(sums.size):
            total = 0.0
            for at in range(part.size):
                powers[at] *= part[at]
                total += powers[at]
            sums[draw] += total


@njit(nogil=True, cache=True)
def count_tiles(marks: Array, width: int, rows: int, bounds: Array, counts: Array) -> None:
    """Add up the marks of a matrix of `rows` rows of `width` elements by columns.

    Args:
        marks: [K, more than rows * width / WORD].
        bounds: [C + 1] ascending, within 0..width.
        counts: [K, C] added to.
    """
    before = np.empty(marks.shape[1], np.int64)  # marks before each word
    for model in range(marks.shape[0]):
        bits, found = marks[model], counts[model]
        total = np.int64(0)
        for word in range(bits.size):
            before[word] = total
            total += np.int64(ones_of(bits[word]))
        for row in range(rows):
            left = _marks_before(bits, before, row * width + bounds[0])
            for tile in range(found.size):
                right = _marks_before(bits, before, row * width + bounds[tile + 1])
                found[tile] += right - left
                left = right


@njit(nogil=True, cache=True, inline="always")
def _marks_before(bits: Array, before: Array, element: int) -> Any:
    word = np.uint64(element) >> np.uint64(6)
    lower = (np.uint64(1) << (np.uint64(element) & np.uint64(63))) - np.uint64(1)
    return before[word] + np.int64(ones_of(bits[word] & lower))


# -- how large they are --------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def measure_deltas(
    values: Array,
    base_values: Array,
    elements: int,
    is_float16: bool,
    marks: Array,
    all_marked: bool,
    rows: Array,
    words: Array,
    magnitude_mask: Any,
    infinity: Any,
    wide: Array,
    left_out: Array,
    magnitudes: Array,
    largest: Array,
    histogram: Array,
    products: Array,
    both_changed: Array,
    signs_differ: Array,
) -> None:
    """The sums of the deltas of a chunk, block by block.

    Args:
        values, base_values: [K, stride] and [stride] in the computing type, or the words of bfloat16 and,
            where `is_float16`, float16; zeros behind the chunk's own.
        elements: of the chunk.
        marks: [K, stride / WORD].
        all_marked: whether all deltas that are not zero have a mark, and no others.
        rows: [K + 1 or more, BLOCK] scratch space of the computing type, as many rows as a multiple of TILE.
        words: the same memory as bits.
        magnitude_mask, infinity: of the computing type, as words; see DType.
        wide: [as many rows, STEP] scratch space.
        left_out, magnitudes, histogram, both_changed, signs_differ: are added to; see DeltaSums. The
            magnitudes have the base's behind them.
        largest: [K] raised to the bits of the largest |delta|.
        products: [as many, as many] added to: of the K deltas and the base behind them.
    """
    count, padded = values.shape[0], -(-elements // WORD) * WORD
    zero = words.dtype.type(0)
    present = np.empty(count + 1, np.int64)  # whose rows there are: the base's and those of sub-models
    codes = np.empty(BLOCK, np.uint16)
    moved = np.empty((count + 1, BLOCK // WORD), np.uint64)
    negative = np.empty((count + 1, BLOCK // WORD), np.uint64)
    sums = np.empty((len(products) + 1, len(products)))
    for start in range(0, padded, BLOCK):
        stop = min(start + BLOCK, padded)
        first, last, size = start // WORD, stop // WORD, stop - start
        base_row, base_words = rows[0, :size], words[0, :size]
        _widen(base_values[start:stop], is_float16, base_row)
        base_is_finite = _largest(base_words, magnitude_mask) < infinity
        present[0], used = count, 1
        for model in range(count):
            if all_marked and base_is_finite and _count(marks[model, first:last]) == 0:
                continue
            row, row_words = rows[used, :size], words[used, :size]
            bits, signs = moved[used, : last - first], negative[used, : last - first]
            most = _subtract(values[model, start:stop], is_float16, base_row, row, codes)
            if all_marked and most < infinity:
                for at in range(bits.size):
                    bits[at] = marks[model, first + at]
            else:
                left_out[model] += _clear_not_finite(row_words, magnitude_mask, infinity)
                most = _encode(row, codes)
                for at in range(bits.size):
                    bits[at] = above_of_64(row_words, WORD * at, magnitude_mask, zero)
            not_zero = _count(bits)
            if not_zero == 0:
                continue
            largest[model] = max(largest[model], most)
            exponent: Any = np.int64(_code_of(most) >> np.uint16(7))
            _count_exponents(codes, bits, not_zero, exponent, histogram[model])
            for at in range(signs.size):
                signs[at] = above_of_64(codes, WORD * at, np.uint16(0x8000), np.uint16(0))
            both_changed[model, model] += not_zero
            present[used] = model
            used += 1
        if not base_is_finite:
            _clear_not_finite(base_words, magnitude_mask, infinity)
        _compare_signs(moved, negative, last - first, present[:used], both_changed, signs_differ)
        _add_products(rows, size, present[:used], wide, sums, magnitudes, products)


@njit(nogil=True, cache=True, inline="always")
def _float32_of_float16(word: Any) -> Any:
    """Exact, but for NaNs, which become any NaN."""
    bits = np.uint32(word & np.uint16(0x7FFF)) << np.uint32(13)
    bits |= np.uint32(word & np.uint16(0x8000)) << np.uint32(16)
    value = float32_of_bits(bits) * np.float32(2.0**112)  # type: ignore[call-arg]
    beyond = float32_of_bits(bits | np.uint32(0x7F800000))
    return value if (word & np.uint16(0x7C00)) != np.uint16(0x7C00) else beyond


@njit(nogil=True, cache=True)
def _widen(values: Array, is_float16: bool, row: Array) -> None:
    """The numbers of `values` into `row`."""
    if values.itemsize == 2 and not is_float16:
        for at in range(values.size):
            bits = np.uint32(np.uint32(values[at]) << np.uint32(16))
            row[at] = float32_of_bits(bits)  # type: ignore[call-arg]
    elif is_float16:
        for at in range(values.size):
            row[at] = _float32_of_float16(np.uint16(values[at]))
    else:
        for at in range(values.size):
            row[at] = values[at]


@njit(nogil=True, cache=True)
def _subtract(values: Array, is_float16: bool, base: Array, row: Array, codes: Array) -> Any:
    """row = values - base, rounded once, and the code of each difference.

    A code has the sign and the exponent (clamped to its range) of a bfloat16; its lower bits mean nothing.

    Returns:
        The bits of the largest magnitude; those of a NaN are larger than those of infinity.
    """
    most = bits_of(row.dtype.type(0))
    if values.itemsize == 2 and not is_float16:
        for at in range(values.size):
            bits = np.uint32(np.uint32(values[at]) << np.uint32(16))
            value = row.dtype.type(float32_of_bits(bits) - base[at])  # type: ignore[call-arg]
            most = _put(value, at, row, codes, most)
    elif is_float16:
        for at in range(values.size):
            value = row.dtype.type(_float32_of_float16(np.uint16(values[at])) - base[at])
            most = _put(value, at, row, codes, most)
    else:
        for at in range(values.size):
            value = row.dtype.type(values[at] - base[at])
            most = _put(value, at, row, codes, most)
    return most


@njit(nogil=True, cache=True)
def _encode(row: Array, codes: Array) -> Any:
    """The code of each number, and the bits of the largest magnitude; see _subtract."""
    most = bits_of(row.dtype.type(0))
    for at in range(row.size):
        most = _put(row[at], at, row, codes, most)
    return most


@njit(nogil=True, cache=True, inline="always")
def _put(value: Any, at: int, row: Array, codes: Array, most: Any) -> Any:
    row[at] = value
    codes[at] = _code_of(bits_of(value))
    magnitude = bits_of(abs(value))
    return magnitude if magnitude > most else most


def _code_of(bits: Any) -> Any:
    """The code of the number with these bits; see _subtract."""


@overload(_code_of, inline="always")
def _code_of_type(bits: Any) -> Any:
    def code_of_32(bits: Any) -> Any:
        return np.uint16(bits >> np.uint32(16))

    def code_of_64(bits: Any) -> Any:
        sign = np.uint16(bits >> np.uint64(63)) << np.uint16(15)
        exponent: Any = np.int64((bits >> np.uint64(52)) & np.uint64(0x7FF)) - 1023 + 127
        return np.uint16(sign | (np.uint16(min(max(exponent, 0), 254)) << np.uint16(7)))

    return code_of_32 if bits == types.uint32 else code_of_64


@njit(nogil=True, cache=True)
def _clear_not_finite(words: Array, magnitude_mask: Any, infinity: Any) -> Any:
    """Make zeros of the infinite numbers and NaNs; returns how many there were."""
    cleared = 0
    for at in range(words.size):
        if (words[at] & magnitude_mask) >= infinity:
            words[at] = 0
            cleared += 1
    return cleared


_FEW = 128
"""Up to so many elements of a block a look at each is faster than a pass over all."""


@njit(nogil=True, cache=True)
def _count_exponents(codes: Array, marks: Array, not_zero: int, exponent: int, histogram: Array) -> None:
    """Count the marked codes by exponent, from `exponent` downwards until all are found.

    Deltas lie within a few powers of two, so that comparing with each costs less than a look-up an element.
    """
    u16 = np.uint16
    first = 127 + LOWEST_EXPONENT
    size = WORD * marks.size
    while not_zero > _FEW and exponent > first:
        a, b, c, d, e, f, g, h = u16(0), u16(0), u16(0), u16(0), u16(0), u16(0), u16(0), u16(0)
        top, one = u16(exponent << 7), u16(1 << 7)
        for at in range(size):
            code = u16(codes[at] & u16(0x7F80))
            a = u16(a + u16(code == top))
            b = u16(b + u16(code == u16(top - one)))
            c = u16(c + u16(code == u16(top - u16(2) * one)))
            d = u16(d + u16(code == u16(top - u16(3) * one)))
            e = u16(e + u16(code == u16(top - u16(4) * one)))
            f = u16(f + u16(code == u16(top - u16(5) * one)))
            g = u16(g + u16(code == u16(top - u16(6) * one)))
            h = u16(h + u16(code == u16(top - u16(7) * one)))
        for step, found in enumerate((a, b, c, d, e, f, g, h)):
            if exponent - step > first:
                histogram[min(exponent - step - first, MAGNITUDE_BINS - 1)] += found
                not_zero -= int(found)
        exponent -= 8
    if exponent <= first:
        histogram[0] += not_zero
        return
    limit = u16(u16(exponent) << u16(7) | u16(0x7F))
    for at in range(marks.size):
        left = marks[at] & ~above_of_64(codes, WORD * at, u16(0x7FFF), limit)
        while left:
            lane = np.int64(ones_of((left & (~left + np.uint64(1))) - np.uint64(1)))  # of its lowest bit
            power: Any = np.int64((codes[WORD * at + lane] >> u16(7)) & u16(0xFF)) - first
            histogram[min(max(power, 0), MAGNITUDE_BINS - 1)] += 1
            left &= left - np.uint64(1)


@njit(nogil=True, cache=True)
def _compare_signs(
    moved: Array, negative: Array, words: int, present: Array, both_changed: Array, signs_differ: Array
) -> None:
    """Add to [K, K]; row r of the bits belongs to sub-model present[r], row 0 to none."""
    for r in range(1, present.size):
        for q in range(r + 1, present.size):
            both = differ = np.uint64(0)
            for at in range(words):
                word = moved[r, at] & moved[q, at]
                both += ones_of(word)
                differ += ones_of(word & (negative[r, at] ^ negative[q, at]))
            _add(both_changed, present[r], present[q], np.int64(both))
            _add(signs_differ, present[r], present[q], np.int64(differ))


@njit(nogil=True, cache=True)
def _add(matrix: Array, i: int, j: int, number: Any) -> None:
    """Add to a symmetric matrix."""
    matrix[i, j] += number
    if i != j:
        matrix[j, i] += number


@njit(nogil=True, cache=True)
def _add_products(
    rows: Array, size: int, present: Array, wide: Array, sums: Array, magnitudes: Array, products: Array
) -> None:
    """magnitudes[i] += sum of |row|, products[i, j] += sum of row * row, for i and j among `present`.

    In float64, where the product of two float32 is exact. Three rows by three at a time: their nine sums
    stay in registers, and each number is loaded once for three products. Where rows are missing to a
    multiple of three, whatever is there is multiplied too, and not looked at.
    """
    used = present.size
    tiled = -(-used // TILE) * TILE
    sums[: tiled + 1, :tiled] = 0
    for start in range(0, size, STEP):
        stop = min(start + STEP, size)
        for r in range(0, tiled, TILE):
            _widen_tile(rows, r, start, stop, wide, sums, sums[tiled])
        for r in range(0, tiled, TILE):
            for q in range(r + TILE, tiled, TILE):
                _add_tile(wide, r, q, stop - start, sums)
    for r in range(used):
        magnitudes[present[r]] += sums[tiled, r]
        for q in range(r, used):
            _add(products, present[r], present[q], sums[r, q])


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _widen_tile(
    rows: Array, r: int, start: int, stop: int, wide: Array, sums: Array, magnitudes: Array
) -> None:
    """Copy a part of three rows to `wide`; add up their magnitudes, and their products with one another."""
    row0, row1, row2 = rows[r, start:stop], rows[r + 1, start:stop], rows[r + 2, start:stop]
    wide0, wide1, wide2 = wide[r], wide[r + 1], wide[r + 2]
    m0 = m1 = m2 = s00 = s01 = s02 = s11 = s12 = s22 = 0.0
    for at in range(stop - start):
        a0, a1, a2 = np.float64(row0[at]), np.float64(row1[at]), np.float64(row2[at])
        wide0[at] = a0
        wide1[at] = a1
        wide2[at] = a2
        m0 += abs(a0)
        m1 += abs(a1)
        m2 += abs(a2)
        s00 += a0 * a0
        s01 += a0 * a1
        s02 += a0 * a2
        s11 += a1 * a1
        s12 += a1 * a2
        s22 += a2 * a2
    magnitudes[r] += m0
    magnitudes[r + 1] += m1
    magnitudes[r + 2] += m2
    sums[r, r] += s00
    sums[r, r + 1] += s01
    sums[r, r + 2] += s02
    sums[r + 1, r + 1] += s11
    sums[r + 1, r + 2] += s12
    sums[r + 2, r + 2] += s22


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _add_tile(rows: Array, i: int, j: int, size: int, sums: Array) -> None:
    """Add up the products of three rows with three others."""
    a_0, a_1, a_2 = rows[i], rows[i + 1], rows[i + 2]
    b_0, b_1, b_2 = rows[j], rows[j + 1], rows[j + 2]
    s00 = s01 = s02 = s10 = s11 = s12 = s20 = s21 = s22 = 0.0
    for at in range(size):
        a0, a1, a2 = a_0[at], a_1[at], a_2[at]
        b0, b1, b2 = b_0[at], b_1[at], b_2[at]
        s00 += a0 * b0
        s01 += a0 * b1
        s02 += a0 * b2
        s10 += a1 * b0
        s11 += a1 * b1
        s12 += a1 * b2
        s20 += a2 * b0
        s21 += a2 * b1
        s22 += a2 * b2
    sums[i, j] += s00
    sums[i, j + 1] += s01
    sums[i, j + 2] += s02
    sums[i + 1, j] += s10
    sums[i + 1, j + 1] += s11
    sums[i + 1, j + 2] += s12
    sums[i + 2, j] += s20
    sums[i + 2, j + 1] += s21
    sums[i + 2, j + 2] += s22
