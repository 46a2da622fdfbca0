"""The buffers and the arithmetic of one worker on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.interface import Counts, Fallback, MapJob, Merged, with_inner

__all__ = ["CpuWorkspace", "FoldKernel", "FoldKernels", "MapKernel"]

Array = NDArray[Any]

MapKernel = Callable[[ChunkBuffers, MapJob, int], "tuple[Array, Counts] | None"]
"""A map on the CPU: (buffers, job, first_element) -> (merged words, counts), or None where it has no loops.

Of a job with `inner` the words are those of all rows, of which only the wanted ones need be right, and the
counts those of the wanted elements.
"""

FoldKernel = Callable[[ChunkBuffers, MapJob, int, Any], "Array | None"]
"""A fold on the CPU: (buffers, job, first_element, what it asks) -> what its reading gives, or None."""

FoldKernels = Callable[[MapJob, int], tuple[FoldKernel, Any] | None]
"""From a job and the number of its fold to the kernel and what the fold asks of the job; None for no
kernel."""


def _no_kernels(job: MapJob, number: int) -> None:
    """For workspaces without kernels."""


class CpuWorkspace:
    """A core.kernels.interface.Workspace whose buffers are ordinary memory.

    Bit for bit what the fallback computes, which does what there is no kernel for.
    """

    def __init__(
        self,
        maps: Mapping[str, MapKernel],
        fallback: Fallback,
        folds: FoldKernels = _no_kernels,
    ) -> None:
        """Nothing is allocated yet.

        Args:
            maps: kernels by the method's name.
            fallback: for all others.
            folds: kernels of folds.
        """
        self._maps, self._folds, self._fallback = maps, folds, fallback
        self._buffers = ChunkBuffers()

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        return self._buffers.begin(dtypes, elements)

    def fold(self, job: MapJob, number: int, first_element: int, inner: slice | None = None) -> Array:
        found = self._folds(job, number)
        rows = None
        if found is not None:
            kernel, asked = found
            rows = kernel(self._buffers, with_inner(job, inner), first_element, asked)
        if rows is None:
            rows = self._fallback.fold(job, number, first_element, self._buffers.rows, inner)
        return rows

    def run(self, job: MapJob, first_element: int, inner: slice | None = None) -> Merged:
        kernel = self._maps.get(job.method)
        made = None if kernel is None else kernel(self._buffers, with_inner(job, inner), first_element)
        if made is None:
            merged, counts = self._fallback.merge(job, first_element, self._buffers.rows, inner)
        else:
            merged, counts = made
            merged = merged if inner is None else merged[inner]
        return Merged(merged.view(np.uint8).data, counts)
