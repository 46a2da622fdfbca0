"""The loops of sources that are made while they are read, in one file: numba's disk cache goes by its age."""

from __future__ import annotations

from typing import Any

from core import numba_cache  # noqa: F401  before numba is imported  # isort: skip
import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "add_low_rank_to_values",
    "add_low_rank_to_words",
    "dequantise",
    "round_to_halves",
    "round_to_words",
    "set_lengths",
    "widen_halves",
]

Array = NDArray[Any]

_PIECE = 2048
"""Elements that are multiplied before they are rounded: their products stay in the fastest cache."""


@njit(nogil=True, cache=True)
def _multiply(codes: Array, values: Array, scale: Any, products: Array) -> None:
    for at in range(codes.size):
        products[at] = values[codes[at]] * scale


@njit(nogil=True, cache=True)
def _round(products: Array, words: Array) -> None:
    """The bits of float32 numbers to those of bfloat16, to nearest even."""
    for at in range(words.size):
        bits = products[at]
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        words[at] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)


@njit(nogil=True, cache=True)
def dequantise(
    codes: Array,
    words: Array,
    values: Array,
    scales: Array,
    first_element: int,
    first_scale_row: int,
    rows: int,
    columns: int,
    block_rows: int,
    block_columns: int,
) -> None:
    """Turn FP8 codes into bfloat16 words.

    Args:
        codes: [elements] uint8; may lie in the second half of the memory of `words`, of which nothing is
            written before it was read.
        words: [elements] uint16.
        values: [256] of the codes, float32.
        scales: [rows of blocks, blocks in a row] float32, from row `first_scale_row` of all on.
        first_element: of the tensor, that the first code is.
        rows, columns: of a matrix.
        block_rows, block_columns: of a block.
    """
    products = np.empty(_PIECE, np.float32)
    bits = products.view(np.uint32)
    scale_rows = (rows + block_rows - 1) // block_rows
    done = held = 0  # products up to `done`, of which so many are held and not yet rounded
    while done < codes.size:
        row = (first_element + done) // columns
        column = (first_element + done) % columns
        scale_row = row // rows * scale_rows + row % rows // block_rows - first_scale_row
        scale = scales[scale_row, column // block_columns]
        run = min(columns - column, block_columns - column % block_columns)
        size = min(run, codes.size - done, _PIECE - held)
        _multiply(codes[done : done + size], values, scale, products[held : held + size])
        done += size
        held += size
        if held == _PIECE or done == codes.size:
            _round(bits[:held], words[done - held : done])
            held = 0


_COLUMNS = 1024
"""Of the right factor that are worked on at a time for all rows: with sixty-four terms 256 KiB. With the sums
of four rows, four of its rows take 32 KiB; with fewer columns the calls take longer than the loops save."""

_ROWS = 4
"""That are worked on together: each number of the right factor is loaded once for all of them."""


@njit(nogil=True, cache=True)
def _add_term(sums: Array, l0: Any, r0: Array) -> None:
    for at in range(sums.size):
        sums[at] = sums[at] + l0 * r0[at]


@njit(nogil=True, cache=True)
def _add_four_terms_to_four(
    sums: Array, is_first: bool, left: Array, term: int, r0: Array, r1: Array, r2: Array, r3: Array
) -> None:
    """Four terms, one after the other, to the sums of four rows, [4, run]; the first ones to zeros."""
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    a0, a1, a2, a3 = left[0, term], left[0, term + 1], left[0, term + 2], left[0, term + 3]
    b0, b1, b2, b3 = left[1, term], left[1, term + 1], left[1, term + 2], left[1, term + 3]
    c0, c1, c2, c3 = left[2, term], left[2, term + 1], left[2, term + 2], left[2, term + 3]
    d0, d1, d2, d3 = left[3, term], left[3, term + 1], left[3, term + 2], left[3, term + 3]
    if is_first:
        zero = np.float32(0)  # a sum of a zero and a product is not always that product: −0 becomes +0
        for at in range(r0.size):
            w, x, y, z = r0[at], r1[at], r2[at], r3[at]
            s0[at] = (((zero + a0 * w) + a1 * x) + a2 * y) + a3 * z
            s1[at] = (((zero + b0 * w) + b1 * x) + b2 * y) + b3 * z
            s2[at] = (((zero + c0 * w) + c1 * x) + c2 * y) + c3 * z
            s3[at] = (((zero + d0 * w) + d1 * x) + d2 * y) + d3 * z
        return
    for at in range(r0.size):
        w, x, y, z = r0[at], r1[at], r2[at], r3[at]
        s0[at] = (((s0[at] + a0 * w) + a1 * x) + a2 * y) + a3 * z
        s1[at] = (((s1[at] + b0 * w) + b1 * x) + b2 * y) + b3 * z
        s2[at] = (((s2[at] + c0 * w) + c1 * x) + c2 * y) + c3 * z
        s3[at] = (((s3[at] + d0 * w) + d1 * x) + d2 * y) + d3 * z


@njit(nogil=True, cache=True)
def _sum_terms(
    sums: Array, left: Array, right: Array, columns: int, column: int, size: int, begin: int, end: int
) -> None:
    """The sums of a part's terms for a run of columns of four rows.

    Args:
        sums: [4, size or more].
        left: [4, all terms] of these rows.
        right: [all terms * columns].
        columns: of the right factor.
        column, size: the first of the run, and how many.
        begin, end: the part's terms.
    """
    if begin + 4 > end:
        sums[:, :size] = 0
    term = begin
    while term + 4 <= end:
        at = term * columns + column
        _add_four_terms_to_four(
            sums,
            term == begin,
            left,
            term,
            right[at : at + size],
            right[at + columns : at + columns + size],
            right[at + 2 * columns : at + 2 * columns + size],
            right[at + 3 * columns : at + 3 * columns + size],
        )
        term += 4
    while term < end:
        at = term * columns + column
        for row in range(_ROWS):
            _add_term(sums[row, :size], left[row, term], right[at : at + size])
        term += 1


@njit(nogil=True, cache=True)
def _sum_parts(
    sums: Array,
    deltas: Array,
    left: Array,
    right: Array,
    columns: int,
    column: int,
    size: int,
    ends: Array,
    scales: Array,
) -> None:
    """The sums of the last part's terms, and the deltas of those before it, where there are any."""
    begin = 0
    for part in range(ends.size):
        _sum_terms(sums, left, right, columns, column, size, begin, ends[part])
        begin = ends[part]
        if part < ends.size - 1:
            for row in range(_ROWS):
                _scale(sums[row, :size], scales[part], deltas[row, :size], part == 0)


@njit(nogil=True, cache=True)
def _scale(sums: Array, scale: Any, deltas: Array, is_first: bool) -> None:
    if is_first:
        for at in range(sums.size):
            deltas[at] = sums[at] * scale
    else:
        for at in range(sums.size):
            deltas[at] = deltas[at] + sums[at] * scale


@njit(nogil=True, cache=True)
def _add_scaled(values: Array, sums: Array, scale: Any, deltas: Array, is_alone: bool) -> None:
    """The last part to those before it, and all of it to the values."""
    if is_alone:
        for at in range(values.size):
            values[at] = values[at] + sums[at] * scale
    else:
        for at in range(values.size):
            values[at] = values[at] + (deltas[at] + sums[at] * scale)


@njit(nogil=True, cache=True)
def _widen(words: Array, bits: Array) -> None:
    for at in range(words.size):
        bits[at] = np.uint32(words[at]) << np.uint32(16)


@njit(nogil=True, cache=True)
def add_low_rank_to_words(
    words: Array, first: int, columns: int, left: Array, right: Array, ends: Array, scales: Array
) -> None:
    """Add scaled products of two factors to bfloat16 words: bf16(fl32(word + Δ)).

    Δ = Δ_1 + Δ_2 + … over the parts, in their order; Δ_p = s_p · (… (0 + l_0 · r_0) + l_1 · r_1 …), each step
    rounded to float32 (docs/design.md, 2.1).

    Args:
        words: [elements] uint16, a run of whole or broken rows.
        first: the column of the first word.
        columns: of a row.
        left: [rows of the run, and some to be whole fours, all terms] float32.
        right: [all terms, columns] float32.
        ends: [parts] int64, behind which term each part ends.
        scales: [parts] float32.
    """
    flat, last = right.reshape(-1), scales.size - 1
    sums, deltas = np.empty((_ROWS, _COLUMNS), np.float32), np.empty((_ROWS, _COLUMNS), np.float32)
    values = np.empty(_COLUMNS, np.float32)
    bits = values.view(np.uint32)
    for column in range(0, columns, _COLUMNS):
        size = min(_COLUMNS, columns - column)
        for row in range(0, left.shape[0], _ROWS):
            begin = row * columns + column - first
            if begin >= words.size or begin + (_ROWS - 1) * columns + size <= 0:
                continue
            _sum_parts(sums, deltas, left[row : row + _ROWS], flat, columns, column, size, ends, scales)
            for at in range(_ROWS):
                start = begin + at * columns
                lowest, highest = max(start, 0), min(start + size, words.size)
                if lowest < highest:
                    run, own = words[lowest:highest], slice(lowest - start, highest - start)
                    _widen(run, bits)
                    _add_scaled(values[: run.size], sums[at, own], scales[last], deltas[at, own], last == 0)
                    _round(bits, run)


@njit(nogil=True, cache=True)
def add_low_rank_to_values(
    values: Array, first: int, columns: int, left: Array, right: Array, ends: Array, scales: Array
) -> None:
    """The same for `values` [elements] in float32 or float64, the type of the factors and scales."""
    flat, last = right.reshape(-1), scales.size - 1
    sums, deltas = np.empty((_ROWS, _COLUMNS), values.dtype), np.empty((_ROWS, _COLUMNS), values.dtype)
    for column in range(0, columns, _COLUMNS):
        size = min(_COLUMNS, columns - column)
        for row in range(0, left.shape[0], _ROWS):
            begin = row * columns + column - first
            if begin >= values.size or begin + (_ROWS - 1) * columns + size <= 0:
                continue
            _sum_parts(sums, deltas, left[row : row + _ROWS], flat, columns, column, size, ends, scales)
            for at in range(_ROWS):
                start = begin + at * columns
                lowest, highest = max(start, 0), min(start + size, values.size)
                if lowest < highest:
                    own = slice(lowest - start, highest - start)
                    _add_scaled(
                        values[lowest:highest], sums[at, own], scales[last], deltas[at, own], last == 0
                    )


@njit(nogil=True, cache=True)
def _sum_of_squares(row: Array) -> float:
    """In float64, in the order of sums across elements (docs/design.md, 2.1)."""
    lanes = np.empty(64, np.float64)
    total = 0.0
    for block in range(0, row.size, 4096):
        lanes[:] = 0.0
        for start in range(block, min(block + 4096, row.size), 64):
            for lane in range(min(64, row.size - start)):
                value = np.float64(row[start + lane])
                lanes[lane] = lanes[lane] + value * value
        width = 32
        while width:
            for lane in range(width):
                lanes[lane] = lanes[lane] + lanes[lane + width]
            width //= 2
        total = total + lanes[0]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def set_lengths(values: Array, columns: int, lengths: Array) -> None:
    """Give each row a length of its own: fl(fl(m / n) · t), n the row's length, rounded to its type.

    A row of zeros becomes one of NaN, as it has no direction.

    Args:
        values: [rows * columns] t, float32 or float64; changed in place.
        columns: of a row.
        lengths: [rows] m, of the same type.
    """
    n = np.empty(1, values.dtype)
    for row in range(lengths.size):
        part = values[row * columns : (row + 1) * columns]
        n[0] = np.sqrt(_sum_of_squares(part))
        n[0] = lengths[row] / n[0]
        factor = n[0]
        for at in range(part.size):
            part[at] = factor * part[at]


@njit(nogil=True, cache=True)
def round_to_words(values: Array, words: Array) -> None:
    """[elements] float32 to bfloat16 words, to nearest even."""
    _round(values.view(np.uint32), words)


@njit(nogil=True, cache=True)
def widen_halves(words: Array, values: Array) -> None:
    """[elements] float16 words to float32 numbers; numpy takes several times as long."""
    bits = values.view(np.uint32)
    for at in range(words.size):
        magnitude = np.uint32(words[at] & np.uint16(0x7FFF)) << np.uint32(13)
        bits[at] = magnitude if magnitude < np.uint32(0x0F800000) else magnitude | np.uint32(0x70000000)
    for at in range(words.size):  # the exponent's bias is another; infinities and NaN stay what they are
        values[at] = values[at] * np.float32(2.0**112)
    for at in range(words.size):
        bits[at] = bits[at] | np.uint32(words[at] & np.uint16(0x8000)) << np.uint32(16)


@njit(nogil=True, cache=True)
def round_to_halves(values: Array, words: Array) -> None:
    """[elements] float32 to float16 words, to nearest even; every NaN to the one of the contract."""
    bits, shifted = values.view(np.uint32), np.empty(_PIECE, np.float32)
    for first in range(0, words.size, _PIECE):
        own, out = bits[first : first + _PIECE], words[first : first + _PIECE]
        small = shifted[: own.size].view(np.uint32)
        for at in range(own.size):
            small[at] = min(own[at] & np.uint32(0x7FFFFFFF), np.uint32(0x38800000))
        for at in range(own.size):  # a sum that has the subnormals' last place as its own rounds to it
            shifted[at] = shifted[at] + np.float32(0.5)
        for at in range(own.size):
            magnitude = own[at] & np.uint32(0x7FFFFFFF)
            rounded = magnitude + np.uint32(0xC8000FFF) + ((magnitude >> np.uint32(13)) & np.uint32(1))
            word = rounded >> np.uint32(13)
            if magnitude < np.uint32(0x38800000):
                word = small[at] - np.uint32(0x3F000000)
            if magnitude >= np.uint32(0x47800000):
                word = np.uint32(0x7C00)
            word = word | (own[at] >> np.uint32(16)) & np.uint32(0x8000)
            out[at] = np.uint16(0x7E00) if magnitude > np.uint32(0x7F800000) else np.uint16(word)
