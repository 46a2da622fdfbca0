"""FP8 weights with their scales as the bfloat16 numbers that they stand for, made while they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.headers import StoredTensor
from core.dtypes import DTYPES, DType
from core.sources.elements import values_of_codes
from core.sources.source import AnyRun, ReadStored

__all__ = ["Dequantised"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Dequantised(AnyRun):
    """A tensor of FP8 codes, each to be multiplied by the scale of its block.

    The value of an element is bf16(fl32(float32(code) · float32(scale))): rounded twice, to nearest even, as
    DeepSeek's own conversion and plain torch do it. No subnormal is flushed, and a NaN is 7FC0.

    The codes are seen as `matrices` of rows and columns, of which each is cut into blocks, the last ones of a
    row and of a column being smaller. The scales are one number a block, in the order of the blocks.

    Attributes:
        codes: the weights, F8_E4M3 or F8_E5M2.
        scale: F32, BF16, F16, F8_E8M0, or U8 that holds the same bits as F8_E8M0.
        rows, columns: of a matrix.
        block: rows and columns of a block.
    """

    codes: StoredTensor
    scale: StoredTensor
    rows: int
    columns: int
    block: tuple[int, int]

    @property
    def scaled_by(self) -> str:
        """What has a scale of its own: "tensor", "row" or "block"."""
        if self.block == (1, self.columns):
            return "tensor" if self.rows * self.columns == self.codes.size_bytes == self.columns else "row"
        return "block"

    @property
    def dtype(self) -> DType:
        return DTYPES["BF16"]

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return self.codes, self.scale

    @property
    def bytes_to_read(self) -> int:
        return self.codes.size_bytes + self.scale.size_bytes

    def bytes_of(self, elements: int) -> int:
        """Their codes, and as much of the scales as is theirs on average, rounded down."""
        return elements + elements * self.scale.size_bytes // max(1, self.codes.size_bytes)

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        elements = len(buffer) // 2
        if not elements:
            return
        from core.sources.loops import dequantise

        first_row, end_row = self._scale_row(first_element), self._scale_row(first_element + elements - 1) + 1
        width = -(-self.columns // self.block[1])
        scales = bytearray((end_row - first_row) * width * self.scale.dtype.itemsize)
        read(self.scale, first_row * width, memoryview(scales))
        # The codes come into the second half of the buffer: going forwards, a word of two bytes never
        # covers a code that is still to be read.
        read(self.codes, first_element, buffer[elements:])
        dequantise(
            np.frombuffer(buffer, np.uint8)[elements:],
            np.frombuffer(buffer, np.uint16),
            values_of_codes(self.codes.dtype),
            _values_of_scales(scales, self.scale.dtype).reshape(-1, width),
            first_element,
            first_row,
            self.rows,
            self.columns,
            *self.block,
        )

    def _scale_row(self, element: int) -> int:
        """Of the row of blocks that an element is in, counted through all matrices."""
        row = element // self.columns
        blocks = -(-self.rows // self.block[0])
        return row // self.rows * blocks + row % self.rows // self.block[0]


def _values_of_scales(data: bytearray, dtype: DType) -> Array:
    """The scales in float32: exact. [scales]"""
    if dtype.name == "F32":
        return np.frombuffer(data, np.float32)
    if dtype.name == "F16":
        return np.frombuffer(data, np.float16).astype(np.float32)
    if dtype.name == "BF16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    exponents = np.frombuffer(data, np.uint8).astype(np.int32)
    return np.where(exponents == 255, np.nan, np.ldexp(1.0, exponents - 127)).astype(np.float32)
