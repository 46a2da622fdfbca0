"""What of a plan says something of every sub-model: rows that some lack are left out of statistics."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from core.plan.merge_plan import MergePlan, TensorPlan
from core.sources.source import Source
from core.sources.token_rows import RowPicks, Rows

__all__ = ["measured_tensors", "whole_rows"]


def measured_tensors(plan: MergePlan) -> tuple[TensorPlan, ...]:
    """The tensors whose deltas are measured, without the rows that some inputs lack."""
    return tuple(
        whole_rows(tensor)
        for tensor in plan.tensors
        if tensor.is_measured and (not tensor.parts or any(part.is_whole for part in tensor.parts))
    )


def whole_rows(tensor: TensorPlan) -> TensorPlan:
    """The tensor without the rows that some inputs lack: shorter, and without parts."""
    if not tensor.parts:
        return tensor
    width = prod(tensor.output.shape[1:])
    whole = [part for part in tensor.parts if part.is_whole]
    runs = [np.arange(first // width, end // width) for part in whole for first, end in part.runs.tolist()]
    rows = np.concatenate([np.empty(0, np.int64), *runs])
    return replace(
        tensor,
        output=replace(
            tensor.output,
            shape=(len(rows), *tensor.output.shape[1:]),
            size_bytes=len(rows) * width * tensor.output.dtype.itemsize,
        ),
        models=tuple(_of_rows(source, rows, width) for source in tensor.models),
        base=None if tensor.base is None else _of_rows(tensor.base, rows, width),
        parts=(),
    )


def _of_rows(source: Source, rows: NDArray[np.int64], width: int) -> Source:
    if isinstance(source, Rows):
        picked = source.picks.table[rows]
        return Rows(source.sources, RowPicks.of(picked[:, 0], picked[:, 1]), width)
    return Rows((source,), RowPicks.of(np.zeros_like(rows), rows), width)
