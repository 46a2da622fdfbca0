"""The loops that measure the deltas of a chunk; see core.kernels.deltas.

numba's disk cache goes by the age of the caller's file alone: after a change of what is imported from
core.kernels.loops, this file has to change too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.delta_sums import LOWEST_EXPONENT, MAGNITUDE_BINS
from core.kernels.loops import count_overlap, float32_of_bits, mark_block

__all__ = ["TILE", "measure_deltas"]

Array = NDArray[Any]

TILE = 4
"""The rows that are multiplied with one another have to be a multiple of so many."""

_ANY_ORDER = {"reassoc", "contract", "nsz"}
"""Lets a sum be taken in several parts at once. One machine always takes the same parts."""


@intrinsic
def count_ones(typing_context: Any, word: Any) -> Any:
    """How many bits of the uint64 `word` are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def bits_of_64(typing_context: Any, codes: Any, at: Any, mask: Any) -> Any:
    """Of the 64 uint16 from codes[at] on, which have a bit in common with `mask`: bit i is codes[at + i].

    Loops over single elements are not compiled to the one comparison that this is.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        numbers = ir.VectorType(ir.IntType(16), 64)
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), numbers.as_pointer())
        one = builder.insert_element(ir.Constant(numbers, ir.Undefined), arguments[2], ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        masks = builder.shuffle_vector(one, one, lanes)
        masked = builder.and_(builder.load(pointer, align=2), masks)
        return builder.bitcast(builder.icmp_unsigned("!=", masked, numbers([0] * 64)), ir.IntType(64))

    return types.uint64(codes, types.intp, types.uint16), generate


@njit(nogil=True, cache=True)
def measure_deltas(
    models: Array,
    base: Array,
    magnitude_mask: Any,
    infinity: Any,
    first_nonfinite: Any,
    values: Array,
    base_values: Array,
    is_float16: bool,
    deltas: Array,
    shares: Array,
    detailed: bool,
    nonfinite: Array,
    zero_delta: Array,
    changed_by: Array,
    unchanged_powers: Array,
    left_out: Array,
    magnitudes: Array,
    largest: Array,
    histogram: Array,
    products: Array,
    both_changed: Array,
    signs_differ: Array,
) -> None:
    """The counts and sums of the deltas of a chunk, block by block; see core.kernels.deltas.

    Args:
        models: [K, elements] words. base: [elements].
        magnitude_mask, infinity, first_nonfinite: of the type, as words; see DType.
        values, base_values: the same in the computing type, or the words again for bfloat16 and, where
            `is_float16`, float16. Only looked at where `detailed`.
        deltas: [rows, BLOCK] scratch space of the computing type, all zeros beyond the first K + 1 rows.
        shares: [K] of the weights; [0] where they are equal or do not matter.
        detailed: whether to fill more than nonfinite, zero_delta, changed_by and unchanged_powers.
        nonfinite, zero_delta, changed_by, unchanged_powers, left_out, magnitudes, histogram, both_changed,
            signs_differ: are added to; see DeltaSums.
        largest: [K] raised to the largest |delta|.
        products: [rows, rows] zeros, added to: of the K deltas and the base behind them, with rows up to a
            multiple of TILE.
    """
    count = models.shape[0]
    is_bfloat16 = values.itemsize == 2 and not is_float16
    mask = np.empty((-(-count // 16), BLOCK), np.uint16)
    scratch = np.empty(BLOCK, np.uint16)
    unchanged = np.empty(BLOCK if shares.size else 0, np.float64)
    powers = np.empty_like(unchanged)
    codes = np.zeros(BLOCK, np.uint16)
    changed_bits = np.empty((count, BLOCK // 64), np.uint64)
    sign_bits = np.empty((count, BLOCK // 64), np.uint64)
    for start in range(0, base.size, BLOCK):
        stop = min(start + BLOCK, base.size)
        size = stop - start
        mark_block(
            models, base, start, stop, magnitude_mask, infinity, first_nonfinite, mask, zero_delta, nonfinite
        )
        count_overlap(mask, 0, size, scratch, changed_by)
        if shares.size:
            _add_unchanged_powers(mask, size, shares, unchanged, powers, unchanged_powers)
        if not detailed:
            continue
        deltas[:, size:] = 0
        codes[size:] = 0
        base_row = deltas[count]
        _load(base_values[start:stop], is_bfloat16, is_float16, base_row)
        for model in range(count):
            row = deltas[model]
            _subtract(values[model, start:stop], is_bfloat16, is_float16, base_row, row)
            not_zero, not_finite, most = _encode(row, size, codes)
            left_out[model] += not_finite
            largest[model] = max(largest[model], most)
            magnitudes[model] += _sum_of_magnitudes(row)
            _count_exponents(codes, not_zero, _exponent_of(row, most), histogram[model])
            _pack(codes, changed_bits[model], sign_bits[model])
        _encode(base_row, size, codes)
        _add_products(deltas, products)
        _compare_signs(changed_bits, sign_bits, both_changed, signs_differ)
    for matrix in (both_changed, signs_differ):
        _mirror(matrix)
    _mirror(products)


@njit(nogil=True, cache=True)
def _mirror(matrix: Array) -> None:
    """Copy the upper triangle to the lower one."""
    for i in range(matrix.shape[0]):
        for j in range(i):
            matrix[i, j] = matrix[j, i]


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _add_unchanged_powers(
    mask: Array, size: int, shares: Array, unchanged: Array, powers: Array, sums: Array
) -> None:
    """Add sum of u**(d + 1) to sums[d]; u is the share of the weights that an element's zero deltas have."""
    unchanged[:size] = 0
    for model in range(shares.size):
        row = mask[model >> 4, :size]
        bit = np.uint16(model & 15)
        share = shares[model]
        for at in range(size):
            unchanged[at] += share * (1.0 - np.float64(np.uint16(row[at] >> bit) & np.uint16(1)))
    powers[:size] = 1
    for draw in range(sums.size):
        total = 0.0
        for at in range(size):
            powers[at] *= unchanged[at]
            total += powers[at]
        sums[draw] += total


@njit(nogil=True, cache=True, inline="always")
def _float32_of_float16(word: Any) -> Any:
    """Exact, but for NaNs, which become any NaN."""
    bits = np.uint32(word & np.uint16(0x7FFF)) << np.uint32(13)
    bits |= np.uint32(word & np.uint16(0x8000)) << np.uint32(16)
    value = float32_of_bits(bits) * np.float32(2.0**112)  # type: ignore[call-arg]
    beyond = float32_of_bits(bits | np.uint32(0x7F800000))
    return value if (word & np.uint16(0x7C00)) != np.uint16(0x7C00) else beyond


@njit(nogil=True, cache=True)
def _load(values: Array, is_bfloat16: bool, is_float16: bool, row: Array) -> None:
    """The numbers of `values` into `row`."""
    if is_bfloat16:
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
def _subtract(values: Array, is_bfloat16: bool, is_float16: bool, base: Array, row: Array) -> None:
    """row = values - base, rounded once."""
    if is_bfloat16:
        for at in range(values.size):
            bits = np.uint32(np.uint32(values[at]) << np.uint32(16))
            row[at] = float32_of_bits(bits) - base[at]  # type: ignore[call-arg]
    elif is_float16:
        for at in range(values.size):
            row[at] = _float32_of_float16(np.uint16(values[at])) - base[at]
    else:
        for at in range(values.size):
            row[at] = values[at] - base[at]


@njit(nogil=True, cache=True)
def _encode(row: Array, size: int, codes: Array) -> Any:
    """Zero what is not finite in `row`, and write the sign and exponent of each number to `codes`.

    A code has the bits of a bfloat16: sign, exponent (clamped to its range), and some bit set below
    where the number is not zero.

    Returns:
        How many numbers are not zero, how many were not finite, and the bits of the largest magnitude.
    """
    if row.itemsize == 4:
        return _encode_32(row.view(np.uint32), size, codes)
    return _encode_64(row.view(np.uint64), size, codes)


@njit(nogil=True, cache=True)
def _encode_32(bits: Array, size: int, codes: Array) -> Any:
    u16, u32 = np.uint16, np.uint32
    not_finite = 0
    most = _largest_magnitude(bits[:size])
    if most >= u32(0x7F800000):
        for at in range(size):
            if (bits[at] & u32(0x7FFFFFFF)) >= u32(0x7F800000):
                bits[at] = 0
                not_finite += 1
        most = _largest_magnitude(bits[:size])
    not_zero = u16(0)
    for at in range(size):
        flag = u16((bits[at] & u32(0x7FFFFFFF)) != u32(0))
        codes[at] = u16(bits[at] >> u32(16)) | flag
        not_zero = u16(not_zero + flag)
    return np.int64(not_zero), not_finite, np.uint64(most)


@njit(nogil=True, cache=True)
def _largest_magnitude(bits: Array) -> Any:
    most = np.uint32(0)
    for at in range(bits.size):
        most = max(most, bits[at] & np.uint32(0x7FFFFFFF))
    return most


@njit(nogil=True, cache=True)
def _encode_64(bits: Array, size: int, codes: Array) -> Any:
    not_zero = not_finite = np.int64(0)
    most = np.uint64(0)
    for at in range(size):
        word = bits[at]
        if (word & np.uint64(0x7FFFFFFFFFFFFFFF)) >= np.uint64(0x7FF0000000000000):
            word = np.uint64(0)
            not_finite += 1
        magnitude = word & np.uint64(0x7FFFFFFFFFFFFFFF)
        not_zero += magnitude != 0
        most = max(most, magnitude)
        bits[at] = word
        exponent = np.uint16(_exponent_of_64(magnitude))
        sign = np.uint16(word >> np.uint64(63)) << np.uint16(15)
        codes[at] = sign | (exponent << np.uint16(7)) | np.uint16(magnitude != 0)
    return not_zero, not_finite, most


@njit(nogil=True, cache=True)
def _exponent_of(row: Array, magnitude: Any) -> Any:
    """The exponent of a code of the magnitude with these bits."""
    if row.itemsize == 4:
        return np.int64(magnitude >> np.uint64(23))
    return _exponent_of_64(magnitude)


@njit(nogil=True, cache=True)
def _exponent_of_64(magnitude: Any) -> Any:
    return min(max(np.int64(magnitude >> np.uint64(52)) - 1023 + 127, 0), 254)


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _sum_of_magnitudes(row: Array) -> Any:
    total = 0.0
    for at in range(row.size):
        total += np.float64(abs(row[at]))
    return total


@njit(nogil=True, cache=True)
def _count_exponents(codes: Array, not_zero: int, exponent: int, histogram: Array) -> None:
    """Count the codes that are not zero by exponent, from `exponent` downwards until all are found.

    Deltas lie within a few powers of two, so that comparing with each costs less than a look-up an element.
    """
    u16 = np.uint16
    first = 127 + LOWEST_EXPONENT
    while not_zero > 0 and exponent > first:
        a, b, c, d = u16(0), u16(0), u16(0), u16(0)
        for at in range(codes.size):
            found = u16(u16(codes[at] >> u16(7)) & u16(0xFF))
            a = u16(a + u16(found == u16(exponent)))
            b = u16(b + u16(found == u16(exponent - 1)))
            c = u16(c + u16(found == u16(exponent - 2)))
            d = u16(d + u16(found == u16(exponent - 3)))
        for step, count in enumerate((a, b, c, d)):
            if exponent - step > first:
                histogram[min(exponent - step - first, MAGNITUDE_BINS - 1)] += count
                not_zero -= int(count)
        exponent -= 4
    histogram[0] += not_zero


@njit(nogil=True, cache=True)
def _pack(codes: Array, changed_bits: Array, sign_bits: Array) -> None:
    """One bit a number: whether it is not zero, and whether it is negative."""
    for at in range(changed_bits.size):
        changed_bits[at] = bits_of_64(codes, 64 * at, np.uint16(0x7FFF))  # type: ignore[call-arg]
        sign_bits[at] = bits_of_64(codes, 64 * at, np.uint16(0x8000))


@njit(nogil=True, cache=True)
def _compare_signs(changed_bits: Array, sign_bits: Array, both_changed: Array, signs_differ: Array) -> None:
    for i in range(changed_bits.shape[0]):
        for j in range(i, changed_bits.shape[0]):
            both = differ = np.uint64(0)
            for at in range(changed_bits.shape[1]):
                word = changed_bits[i, at] & changed_bits[j, at]
                both += count_ones(word)  # type: ignore[call-arg]
                differ += count_ones(word & (sign_bits[i, at] ^ sign_bits[j, at]))
            both_changed[i, j] += np.int64(both)
            signs_differ[i, j] += np.int64(differ)


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _add_products(rows: Array, products: Array) -> None:
    """products[i, j] += sum of rows[i] * rows[j], for i <= j.

    In float64, where the product of two float32 is exact. Four rows by four at a time: their sixteen
    sums stay in registers, and each number is loaded once for four products.
    """
    for i in range(0, rows.shape[0], TILE):
        for j in range(i, rows.shape[0], TILE):
            _add_tile(rows[i : i + TILE], rows[j : j + TILE], products[i : i + TILE, j : j + TILE])


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _add_tile(rows: Array, columns: Array, products: Array) -> None:
    row0, row1, row2, row3 = rows[0], rows[1], rows[2], rows[3]
    column0, column1, column2, column3 = columns[0], columns[1], columns[2], columns[3]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
    for at in range(row0.size):
        a0, a1 = np.float64(row0[at]), np.float64(row1[at])
        a2, a3 = np.float64(row2[at]), np.float64(row3[at])
        b0, b1 = np.float64(column0[at]), np.float64(column1[at])
        b2, b3 = np.float64(column2[at]), np.float64(column3[at])
        s00 += a0 * b0
        s01 += a0 * b1
        s02 += a0 * b2
        s03 += a0 * b3
        s10 += a1 * b0
        s11 += a1 * b1
        s12 += a1 * b2
        s13 += a1 * b3
        s20 += a2 * b0
        s21 += a2 * b1
        s22 += a2 * b2
        s23 += a2 * b3
        s30 += a3 * b0
        s31 += a3 * b1
        s32 += a3 * b2
        s33 += a3 * b3
    sums = ((s00, s01, s02, s03), (s10, s11, s12, s13), (s20, s21, s22, s23), (s30, s31, s32, s33))
    for p in range(TILE):
        for q in range(TILE):
            products[p, q] += sums[p][q]
