"""The weighted average on the CPU: the map without a Python step an element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    computing_type = np.float64 if job.computing.name == "F64" else np.float32
    terms = average_terms(job.parameters["weight"], job.parameters["normalize"], job.computing)
    models = np.array(terms.models, np.int64)
    weighted = terms.factors is not None
    factors = np.array(terms.factors if terms.factors is not None else (), computing_type)
    divisor = computing_type(1.0 if terms.divisor is None else terms.divisor)
    words = buffers.models(job)
    if {dtype.name for dtype in (*job.model_dtypes, job.merge_dtype, job.out_dtype)} == {"BF16"}:
        merged = buffers.output(buffers.elements, words.dtype)
        average_bfloat16(words, models, weighted, factors, divisor, merged, counts.nonfinite)
        for at in set(range(job.models)) - set(terms.models):  # not seen by the sum
            counts.nonfinite[at] = buffers.nonfinite(at)
        return merged, counts
    counts.nonfinite[:] = [buffers.nonfinite(at) for at in range(job.models)]
    accumulator = np.empty(buffers.elements, computing_type)
    if job.merge_dtype.name in {"F32", "F64"}:
        values = words.view(f"f{job.merge_dtype.itemsize}")
        average(values, models, weighted, factors, divisor, accumulator)
    else:
        accumulator[:] = 0
        for position, at in enumerate(terms.models):
            factor = factors[position] if weighted else computing_type(1)
            add_values(to_computing(words[at], job.merge_dtype), weighted, factor, accumulator)
        divide(accumulator, divisor)
    return from_computing(accumulator, job.out_dtype), counts
