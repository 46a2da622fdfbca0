"""Dot products of all inputs with one another on the CPU, and the combination of inputs that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.buffers import ChunkBuffers, scratch_rows
from core.kernels.cpu.floats import Nonfinite, Result, computing_type, values_of
from core.kernels.cpu.span_loops import PART, combine_vectors, multiply_all
from core.kernels.interface import Counts, MapJob

__all__ = ["Combination", "combined", "dot_products", "task_dot_products"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Combination:
    """scale * ((first + c_1 X_1 + c_2 X_2 + …) / divisor) + of_base * base.

    Attributes:
        coefficients: of the sub-models. All numbers are float64, and are rounded to the computing type.
        of_task_vectors: whether the X are the task vectors, and not the values.
        first: +0; -0 for nothing: it leaves zeros their signs.
        divisor, scale: 1 for none.
        of_base: None where no base is added.
    """

    coefficients: Sequence[float]
    of_task_vectors: bool = False
    first: float = 0.0
    divisor: float = 1.0
    scale: float = 1.0
    of_base: float | None = None


def dot_products(buffers: ChunkBuffers, job: MapJob, first_element: int, asked: Any = None) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: what `core.methods.folds.gram` reads."""
    return _products(buffers, job, of_task_vectors=False)


def task_dot_products(buffers: ChunkBuffers, job: MapJob, first_element: int, asked: Any = None) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: the fold "task_gram" of core.methods.spans."""
    return _products(buffers, job, of_task_vectors=True)


def _products(buffers: ChunkBuffers, job: MapJob, *, of_task_vectors: bool) -> Array:
    models, base, is_float16 = values_of(buffers, job)
    with_base = job.base_dtype is not None and not of_task_vectors
    inputs = job.models + with_base
    rows = scratch_rows(inputs + inputs % 2, PART, np.float64)
    rows[:] = 0
    sums = np.empty((-(-buffers.elements // BLOCK), inputs * (inputs + 1) // 2))
    multiply_all(
        models,
        base,
        is_float16,
        buffers.elements,
        with_base,
        of_task_vectors,
        scratch_rows(2, PART, computing_type(job)),
        rows,
        sums,
    )
    return sums


def combined(buffers: ChunkBuffers, job: MapJob, what: Combination) -> tuple[Array, Counts]:
    """What a core.kernels.cpu.workspace.MapKernel gives, of one combination for the whole tensor."""
    kind, result, counts = computing_type(job), Result(buffers, job), Counts.zeros(job)
    nonfinite = Nonfinite(buffers, job, counts)
    combine_vectors(
        *values_of(buffers, job),
        buffers.elements,
        np.array(what.coefficients, np.float64).astype(kind),
        what.of_task_vectors,
        kind(what.first),
        kind(what.divisor),
        kind(what.scale),
        what.of_base is not None,
        kind(what.of_base or 0.0),
        scratch_rows(4, BLOCK, kind),
        *result.parts,
        *nonfinite.asked,
    )
    nonfinite.count_others()
    return result.words(), counts
