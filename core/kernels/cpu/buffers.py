"""The memory of one chunk on the CPU: inputs as they are stored, the same in the merge dtype, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.cpu.convert import WORDS, convert_words
from core.kernels.cpu.loops import count_nonfinite
from core.kernels.interface import MapJob

__all__ = ["ChunkBuffers"]

Array = NDArray[Any]


class ChunkBuffers:
    """Memory that is used again for every chunk: fresh pages cost time.

    Attributes:
        elements: of the chunk.
        dtypes: of the inputs, the base last.
        rows: the bytes of each input, one behind the other in one block of memory.
        stored: the same as words of each input's own width.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._outputs: list[Array] = []
        self._used_outputs = 0
        self._views: list[memoryview] = []
        self.elements = 0
        self.dtypes: tuple[DType, ...] = ()
        self.rows: list[Array] = []
        self.stored: list[Array] = []

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        """Room for a chunk, the same list as long as it is as large; what was in it is no longer valid."""
        self._used_outputs = 0
        if (elements, tuple(dtypes)) != (self.elements, self.dtypes):
            self.elements, self.dtypes = elements, tuple(dtypes)
            sizes = [elements * dtype.itemsize for dtype in dtypes]
            if self._memory.size < sum(sizes):
                self._memory = np.empty(sum(sizes), np.uint8)
            ends = np.cumsum(sizes)
            self.rows = [self._memory[end - size : end] for size, end in zip(sizes, ends, strict=True)]
            self.stored = [
                row.view(WORDS[dtype.itemsize]) for row, dtype in zip(self.rows, dtypes, strict=True)
            ]
            self._views = [row.data for row in self.rows]
        return self._views

    def models(self, job: MapJob) -> Array:
        """The sub-models as words of the merge dtype. [K, elements]"""
        width = job.merge_dtype.itemsize
        if all(dtype == job.merge_dtype for dtype in job.model_dtypes):
            words = self._memory[: job.models * self.elements * width].view(WORDS[width])
            matrix: Array = words.reshape(job.models, self.elements)
            return matrix
        converted = np.empty((job.models, self.elements), WORDS[width])
        for row, words, dtype in zip(converted, self.stored, job.model_dtypes, strict=False):
            row[:] = convert_words(words, dtype, job.merge_dtype)
        return converted

    def base(self, job: MapJob) -> Array:
        """The base as words of the merge dtype. [elements]"""
        if job.base_dtype is None:
            raise ValueError(f"{job.method} reads no base")
        return convert_words(self.stored[job.models], job.base_dtype, job.merge_dtype)

    def output(self, elements: int, dtype: np.dtype[Any]) -> Array:
        """Memory for so many merged words; of its own for every output of one filling."""
        size = elements * dtype.itemsize
        if self._used_outputs == len(self._outputs):
            self._outputs.append(np.empty(0, np.uint8))
        if self._outputs[self._used_outputs].size < size:
            self._outputs[self._used_outputs] = np.empty(size, np.uint8)
        self._used_outputs += 1
        words: Array = self._outputs[self._used_outputs - 1][:size].view(dtype)
        return words

    def nonfinite(self, at: int) -> int:
        """NaN and infinite elements of input `at` as it is stored."""
        dtype, words = self.dtypes[at], self.stored[at]
        word = words.dtype.type
        return int(count_nonfinite(words, word(dtype.magnitude_mask), word(dtype.first_nonfinite)))
