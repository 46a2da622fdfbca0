"""Passthrough on the CPU: the bits themselves, or one product an element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.cpu.convert import convert_words, from_computing, to_computing
from core.kernels.interface import Counts, MapJob

__all__ = ["passing"]

Array = NDArray[Any]


def passing(buffers: ChunkBuffers, job: MapJob, first_element: int) -> tuple[Array, Counts]:
    """A core.kernels.cpu.workspace.MapKernel."""
    counts = Counts.zeros(job)
    counts.nonfinite[0] = buffers.nonfinite(0)
    (scale,) = job.parameters["scale"]
    words = buffers.models(job)[0, : buffers.elements]
    if scale == 1:
        return convert_words(words, job.merge_dtype, job.out_dtype), counts
    kind = np.float64 if job.computing.name == "F64" else np.float32
    with np.errstate(all="ignore"):  # infinities and NaNs are ordinary results here
        values: Array = to_computing(words, job.merge_dtype).astype(kind, copy=False)
        return from_computing(values * kind(scale), job.out_dtype), counts
