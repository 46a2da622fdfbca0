"""Tensors of any shape merged chunk by chunk by a method's own torch arithmetic, without disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.dtypes import DTYPES
from core.kernels.interface import Counts, Values
from core.methods import METHODS
from core.methods.folds import found_by
from core.methods.reference import Reference
from core.table import trial_job

__all__ = ["TorchMerge", "torch_merge"]

_NAMES = {getattr(torch, dtype.torch_name): dtype.name for dtype in DTYPES.values()}


class TorchMerge(NamedTuple):
    """What comes of a merge."""

    values: Tensor
    counts: Counts
    found: Values


def torch_merge(
    method: str,
    models: Sequence[Tensor],
    base: Tensor,
    *,
    chunk: int | None = None,
    out: str | None = None,
    **parameters: Any,
) -> TorchMerge:
    """`models` and `base` merged as a merge does: each fold over all chunks, then the map over all chunks.

    Args:
        method: its name.
        models, base: tensors of one shape and type, which is the merge dtype.
        chunk: elements of a chunk, a multiple of core.kernels.interface.SEGMENT; all where it is None.
        out: the output's type; that of the inputs where it is None.
        parameters: the method's; those of a sub-model as a list.
    """
    spec, reference = METHODS[method], Reference()
    dtype = DTYPES[_NAMES[base.dtype]]
    job = trial_job(spec, dtype, len(models), parameters, out_dtype=DTYPES[out or dtype.name])
    row = base.shape[-1] if base.dim() and spec.goes_by_rows(job.parameters) else 1
    job = replace(job, row=row, elements=base.numel())
    flat = [tensor.reshape(-1).view(torch.uint8).numpy() for tensor in (*models, base)]

    def chunks() -> Iterator[tuple[int, list[Any], slice | None]]:
        """First element, bytes of each input, and what is wanted of them where that is not all."""
        for start in range(0, base.numel(), chunk or base.numel()):
            stop = min(start + (chunk or base.numel()), base.numel())
            first, end = start // row * row, -(-stop // row) * row
            inner = None if (first, end) == (start, stop) else slice(start - first, stop - first)
            yield first, [part[first * dtype.itemsize : end * dtype.itemsize] for part in flat], inner

    def read(job: Any, number: int) -> Iterator[Any]:
        return (reference.fold(job, number, first, rows, inner) for first, rows, inner in chunks())

    job = found_by(spec.folds_of(job), job, read)
    counts, merged = Counts.zeros(job), []
    for first, rows, inner in chunks():
        part, counted = reference.merge(job, first, rows, inner)
        merged.append(part)
        counts.add(counted)
    words = torch.from_numpy(np.concatenate(merged))
    return TorchMerge(
        words.view(getattr(torch, job.out_dtype.torch_name)).view(base.shape), counts, job.found
    )
