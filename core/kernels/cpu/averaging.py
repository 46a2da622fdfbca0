"""The weighted average on the CPU: the map without a Python step an element."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.cpu.convert import from_computing, to_computing
from core.kernels.cpu.loops import add_values, average, average_bfloat16, divide
from core.kernels.interface import Counts, MapJob
from core.weights import average_terms

__all__ = ["averaging"]

Array = NDArray[Any]


def averaging(buffers: ChunkBuffers, job: MapJob, first_element: int) -> tuple[Array, Counts]:
    """A core.kernels.cpu.workspace.MapKernel."""
    counts = Counts.zeros(job)
    models, weighted, factors, divisor, left_out = _terms(
        job.parameters["weight"], job.parameters["normalize"], job.computing
    )
    words = buffers.models(job)
    if {dtype.name for dtype in (*job.model_dtypes, job.merge_dtype, job.out_dtype)} == {"BF16"}:
        merged = buffers.output(words.dtype)[: buffers.elements]
        average_bfloat16(words, models, weighted, factors, divisor, merged, counts.nonfinite)
        for at in left_out:  # not seen by the sum
            counts.nonfinite[at] = buffers.nonfinite(at)
        return merged, counts
    counts.nonfinite[:] = [buffers.nonfinite(at) for at in range(job.models)]
    accumulator = np.empty(buffers.elements, factors.dtype)
    if job.merge_dtype.name in {"F32", "F64"}:
        values = words.view(f"f{job.merge_dtype.itemsize}")
        average(values, models, weighted, factors, divisor, accumulator)
    else:
        accumulator[:] = 0
        for position, at in enumerate(models):
            factor = factors[position] if weighted else divisor
            add_values(
                to_computing(words[at, : buffers.elements], job.merge_dtype), weighted, factor, accumulator
            )
        divide(accumulator, divisor)
    return from_computing(accumulator, job.out_dtype), counts


@lru_cache(maxsize=256)
def _terms(
    weights: tuple[float, ...], normalize: bool, computing: DType
) -> tuple[Array, bool, Array, Any, tuple[int, ...]]:
    """The terms of an average as the loops want them, and the sub-models that take no part; kept."""
    kind = np.float64 if computing.name == "F64" else np.float32
    terms = average_terms(weights, normalize, computing)
    left_out = tuple(at for at in range(len(weights)) if at not in terms.models)
    return (
        np.array(terms.models, np.int64),
        terms.factors is not None,
        np.array(terms.factors or (), kind),
        kind(1.0 if terms.divisor is None else terms.divisor),
        left_out,
    )
