"""The loops of sources that are made while they are read, in one file: numba's disk cache goes by its age."""

from __future__ import annotations

from typing import Any

from core import numba_cache  # noqa: F401  before numba is imported  # isort: skip
import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["dequantise"]

Array = NDArray[Any]

_PIECE = 1024
"""Elements that are converted at once, from memory of their own, so that the loop is vectorised."""


@njit(nogil=True, cache=True)
def dequantise(
    data: Array,
    values: Array,
    scales: Array,
    first_element: int,
    first_scale_row: int,
    rows: int,
    columns: int,
    block_rows: int,
    block_columns: int,
) -> None:
    """Turn the codes in the second half of `data` into bfloat16 words that fill it all.

    Args:
        data: [2 · elements] bytes.
        values: [256] of the codes, float32.
        scales: [rows of blocks, blocks in a row] float32, from row `first_scale_row` of all on.
        first_element: of the tensor, that the first code is.
        rows, columns: of a matrix.
        block_rows, block_columns: of a block.
    """
    elements = data.size // 2
    codes = np.empty(_PIECE, np.uint8)
    bits = np.empty(_PIECE, np.float32)
    words = np.empty(_PIECE, np.uint16)
    scale_rows = (rows + block_rows - 1) // block_rows
    at = 0
    while at < elements:
        row = (first_element + at) // columns
        column = (first_element + at) % columns
        scale_row = row // rows * scale_rows + row % rows // block_rows - first_scale_row
        scale = scales[scale_row, column // block_columns]
        size = min(_PIECE, elements - at, columns - column, block_columns - column % block_columns)
        codes[:size] = data[elements + at : elements + at + size]
        for number in range(size):
            bits[number] = values[codes[number]] * scale
        products = bits.view(np.uint32)
        for number in range(size):
            product = products[number]
            rounded = product + np.uint32(0x7FFF) + ((product >> np.uint32(16)) & np.uint32(1))
            is_nan = (product & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
            words[number] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded >> np.uint32(16))
        data[2 * at : 2 * (at + size)] = words[:size].view(np.uint8)
        at += size
