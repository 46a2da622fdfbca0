"""Methods on the CPU that look at every element's changes by themselves: ram, ramplus_tl, nearswap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.buffers import ChunkBuffers, scratch_rows
from core.kernels.cpu.change_loops import add_changes, count_changes, swap_near
from core.kernels.cpu.floats import Nonfinite, Result, computing_type, values_of
from core.kernels.interface import Counts, MapJob

__all__ = ["changed", "counted_changes", "swapped"]

Array = NDArray[Any]


def changed(buffers: ChunkBuffers, job: MapJob, first_element: int) -> tuple[Array, Counts]:
    """A core.kernels.cpu.workspace.MapKernel: core.methods.ram.add_changes."""
    kind, result, counts = computing_type(job), Result(buffers, job), Counts.zeros(job)
    nonfinite = Nonfinite(buffers, job, counts)
    add_changes(
        *values_of(buffers, job),
        buffers.elements,
        kind(job.parameters["epsilon"]),
        np.array(job.found.get("factors", ()), np.float64).astype(kind),
        scratch_rows(job.models + 3, BLOCK, kind),
        *result.parts,
        *nonfinite.asked,
    )
    nonfinite.count_others()
    return result.words(), counts


def counted_changes(buffers: ChunkBuffers, job: MapJob, first_element: int, asked: Any = None) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: what the fold of `ramplus_tl` reads."""
    kind, counts = computing_type(job), np.zeros((1, 2, job.models), np.int64)
    count_changes(
        *values_of(buffers, job),
        buffers.elements,
        kind(job.parameters["epsilon"]),
        scratch_rows(job.models + 3, BLOCK, kind),
        counts[0],
    )
    return counts


def swapped(buffers: ChunkBuffers, job: MapJob, first_element: int, nearest: float) -> tuple[Array, Counts]:
    """What a core.kernels.cpu.workspace.MapKernel gives: core.methods.nearswap.swap_near."""
    kind, result, counts = computing_type(job), Result(buffers, job), Counts.zeros(job)
    nonfinite = Nonfinite(buffers, job, counts)
    swap_near(
        *values_of(buffers, job),
        buffers.elements,
        kind(job.parameters["t"]),
        kind(nearest),
        scratch_rows(3, BLOCK, kind),
        *result.parts,
        *nonfinite.asked,
    )
    nonfinite.count_others()
    return result.words(), counts
