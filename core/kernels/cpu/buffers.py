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

__all__ = ["ChunkBuffers", "aligned", "scratch_rows"]

Array = NDArray[Any]

_GROUP = 64
"""The loops look at so many elements at a time, and so beyond the chunk's own."""


class ChunkBuffers:
    """Memory that is used again for every chunk: fresh pages cost time.

    Attributes:
        elements: of the chunk.
        stride: from one input to the next: a group of elements more than is needed. Rows a power of two apart
            would crowd into a few lines of the caches.
        dtypes: of the inputs, the base last.
        rows: the bytes of each input; zeros lie behind them, and behind those the next.
        stored: the same as words of each input's own width.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._outputs: list[Array] = []
        self._used_outputs = 0
        self._views: list[memoryview] = []
        self._padded: list[Array] = []
        self.elements = 0
        self.stride = 0
        self.dtypes: tuple[DType, ...] = ()
        self.rows: list[Array] = []
        self.stored: list[Array] = []

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        """Room for a chunk, the same list as long as it is as large; what was in it is no longer valid."""
        self._used_outputs = 0
        if (elements, tuple(dtypes)) != (self.elements, self.dtypes):
            self.elements, self.dtypes = elements, tuple(dtypes)
            self.stride = _GROUP * (-(-elements // _GROUP) + 1)
            ends = np.cumsum([self.stride * dtype.itemsize for dtype in dtypes]).tolist()
            if self._memory.size < ends[-1]:
                self._memory = aligned(ends[-1])
            self._padded = [
                self._memory[start:end].view(WORDS[dtype.itemsize])
                for start, end, dtype in zip([0, *ends], ends, dtypes, strict=False)
            ]
            for words in self._padded:
                words[elements:] = 0
            self.stored = [words[:elements] for words in self._padded]
            self.rows = [words.view(np.uint8) for words in self.stored]
            self._views = [row.data for row in self.rows]
        return self._views

    def models(self, job: MapJob) -> Array:
        """The sub-models as words of the merge dtype. [K, stride]"""
        width = job.merge_dtype.itemsize
        if job.model_dtypes.count(job.merge_dtype) == job.models:
            words = self._memory[: job.models * self.stride * width].view(WORDS[width])
            matrix: Array = words.reshape(job.models, self.stride)
            return matrix
        converted = np.empty((job.models, self.stride), WORDS[width])
        for row, words, dtype in zip(converted, self._padded, job.model_dtypes, strict=False):
            row[:] = convert_words(words, dtype, job.merge_dtype)
        return converted

    def base(self, job: MapJob) -> Array:
        """The base as words of the merge dtype. [stride]"""
        if job.base_dtype is None:
            raise ValueError(f"{job.method} reads no base")
        return convert_words(self._padded[job.models], job.base_dtype, job.merge_dtype)

    def output(self, dtype: np.dtype[Any]) -> Array:
        """Memory for the merged words; of its own for every output of one filling. [stride]"""
        size = self.stride * dtype.itemsize
        if self._used_outputs == len(self._outputs):
            self._outputs.append(np.empty(0, np.uint8))
        if self._outputs[self._used_outputs].size < size:
            self._outputs[self._used_outputs] = aligned(size)
        self._used_outputs += 1
        words: Array = self._outputs[self._used_outputs - 1][:size].view(dtype)
        return words

    def nonfinite(self, at: int, begin: int = 0, stop: int | None = None) -> int:
        """NaN and infinite elements of input `at` as it is stored, of those from `begin` to before `stop`."""
        dtype, words = self.dtypes[at], self.stored[at][begin:stop]
        word = words.dtype.type
        return int(count_nonfinite(words, word(dtype.magnitude_mask), word(dtype.first_nonfinite)))


def scratch_rows(rows: int, elements: int, kind: Any) -> Array:
    """Room for blocks of a computing type; see ChunkBuffers.stride. [rows, elements and a group more]"""
    width = elements + 5 * _GROUP
    memory: Array = aligned(rows * width * np.dtype(kind).itemsize).view(kind).reshape(rows, width)
    return memory


def aligned(size_bytes: int) -> Array:
    """Memory that begins with a cache line: what lies across two takes longer to load. [size_bytes]"""
    memory = np.empty(size_bytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size_bytes]
