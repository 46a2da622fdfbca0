"""The loops of sources that are made while they are read, in one file: numba's disk cache goes by its age."""

from __future__ import annotations

from typing import Any

from core import numba_cache  # noqa: F401  before numba is imported  # isort: skip
import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["dequantise"]

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
