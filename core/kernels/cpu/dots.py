"""Dot products of all inputs with one another on the CPU, in the one order of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.cpu.convert import to_computing
from core.kernels.cpu.loops import block_products
from core.kernels.interface import MapJob

__all__ = ["dot_products"]

Array = NDArray[Any]


def dot_products(buffers: ChunkBuffers, job: MapJob, first_element: int, asked: Any = None) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: what `core.methods.folds.gram` reads."""
    rows = [*buffers.models(job), *([] if job.base_dtype is None else [buffers.base(job)])]
    wide = [to_computing(row[: buffers.elements], job.merge_dtype) for row in rows]
    pairs = [(i, j) for i in range(len(wide)) for j in range(i, len(wide))]
    sums = np.zeros((-(-buffers.elements // BLOCK), len(pairs)))
    for at, (i, j) in enumerate(pairs):
        block_products(wide[i], wide[j], sums[:, at])
    return sums
