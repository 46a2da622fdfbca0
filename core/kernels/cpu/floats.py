"""Inputs and outputs of the loops that compute in floating point, of whatever type they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DTYPES
from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.cpu.convert import convert_words, from_computing
from core.kernels.interface import Counts, MapJob

__all__ = ["Nonfinite", "Result", "computing_type", "values_of"]

Array = NDArray[Any]


def computing_type(job: MapJob) -> Any:
    """numpy's name of the type in which `job` computes."""
    return np.float32 if job.computing.name == "F32" else np.float64


def values_of(buffers: ChunkBuffers, job: MapJob) -> tuple[Array, Array, bool]:
    """The sub-models, [K, stride], and the base, [stride], or [0] without one, and whether as float16.

    They are floating-point numbers, or words of bfloat16 or float16; 8-bit types are those of bfloat16, which
    has all their values.
    """
    models, merge = buffers.models(job), job.merge_dtype
    base = np.empty(0, models.dtype) if job.base_dtype is None else buffers.base(job)
    if merge.itemsize == 1:
        wide = DTYPES["BF16"]
        return (
            np.stack([convert_words(row, merge, wide) for row in models]),
            convert_words(base, merge, wide),
            False,
        )
    if merge.itemsize > 2:
        kind = np.dtype(f"f{merge.itemsize}")
        return models.view(kind), base.view(kind), False
    return models, base, merge.name == "F16"


class Nonfinite:
    """Counts of NaN and infinite elements as they are stored: by the loops, where nothing was converted.

    Attributes:
        asked: magnitude mask and first word that is not finite, and what loops count into; [0] for nothing.
    """

    def __init__(self, buffers: ChunkBuffers, job: MapJob, counts: Counts) -> None:
        self._buffers, self._job, self._counts = buffers, job, counts
        merge = job.merge_dtype
        self._by_loops = job.input_dtypes.count(merge) == len(job.input_dtypes) and merge.itemsize > 1
        self.asked = (
            np.array([merge.magnitude_mask, merge.first_nonfinite], np.uint64),
            counts.nonfinite if self._by_loops else np.empty(0, np.int64),
        )

    def count_others(self) -> None:
        """What loops could not count."""
        if not self._by_loops:
            begin, stop = self._job.inner or (0, None)
            self._counts.nonfinite[:] = [
                self._buffers.nonfinite(at, begin, stop) for at in range(len(self._job.input_dtypes))
            ]


class Result:
    """Where loops leave what they compute.

    Attributes:
        parts: whether it is rounded to words of bfloat16 there, these words, and else the numbers of the
            computing type; both [wanted elements], or [0] where it is the other.
    """

    def __init__(self, buffers: ChunkBuffers, job: MapJob, begin: int = 0, stop: int | None = None) -> None:
        kind = computing_type(job)
        self._job, self._as_bfloat16 = job, job.out_dtype.name == "BF16" and kind is np.float32
        self._merged = buffers.output(np.dtype(np.uint16 if self._as_bfloat16 else kind))[: buffers.elements]
        wanted = self._merged[begin:stop]
        self.parts = (
            self._as_bfloat16,
            wanted if self._as_bfloat16 else np.empty(0, np.uint16),
            np.empty(0, kind) if self._as_bfloat16 else wanted,
        )

    def words(self) -> Array:
        """The words of the output, of all elements of the chunk: what was not wanted is anything."""
        if self._as_bfloat16:
            return self._merged
        with np.errstate(all="ignore"):
            return from_computing(self._merged, self._job.out_dtype)
