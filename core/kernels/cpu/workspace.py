"""The buffers and the arithmetic of one worker on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.interface import Counts, Fallback, MapJob, Merged

__all__ = ["CpuWorkspace", "FoldKernel", "MapKernel"]

Array = NDArray[Any]

MapKernel = Callable[[ChunkBuffers, MapJob, int], tuple[Array, Counts]]
"""A map on the CPU: (buffers, job, first_element) -> (merged words, counts)."""

FoldKernel = Callable[[ChunkBuffers, MapJob], Array]
"""A fold on the CPU: (buffers, job) -> [blocks, ...]."""


class CpuWorkspace:
    """A core.kernels.interface.Workspace whose buffers are ordinary memory.

    Bit for bit what the fallback computes, which does what there is no kernel for.
    """

    def __init__(
        self,
        maps: Mapping[str, MapKernel],
        folds: Mapping[tuple[str, int], FoldKernel],
        fallback: Fallback,
    ) -> None:
        """Nothing is allocated yet.

        Args:
            maps: kernels by the method's name.
            folds: kernels by the method's name and the number of its fold.
            fallback: for all others.
        """
        self._maps, self._folds, self._fallback = maps, folds, fallback
        self._buffers = ChunkBuffers()

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        return self._buffers.begin(dtypes, elements)

    def fold(self, job: MapJob, number: int, first_element: int) -> Array:
        kernel = self._folds.get((job.method, number))
        if kernel is None:
            return self._fallback.fold(job, number, first_element, self._buffers.rows)
        return kernel(self._buffers, job)

    def run(self, job: MapJob, first_element: int, inner: slice | None = None) -> Merged:
        kernel = self._maps.get(job.method)
        if kernel is None or inner is not None:
            merged, counts = self._fallback.merge(job, first_element, self._buffers.rows, inner)
        else:
            merged, counts = kernel(self._buffers, job, first_element)
        return Merged(merged.view(np.uint8).data, counts)
