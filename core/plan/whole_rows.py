"""What of a plan says something of every sub-model: rows that some lack are left out of statistics.

Those that the base lacks have no delta to measure; a method that counts counts them as changed all the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from core.plan.merge_plan import MergePlan, TensorPlan
from core.sources.source import Absent, Source
from core.sources.token_rows import RowPicks, Rows

__all__ = ["changed_without_delta", "measured_tensors", "whole_rows"]


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


def changed_without_delta(tensor: TensorPlan) -> Counter[int]:
    """Elements of rows that the base lacks, by the number of sub-models that have them: all changed these."""
    found: Counter[int] = Counter()
    for part in tensor.parts:
        if part.present and part.job.counts and isinstance(part.inputs[-1], Absent):
            found[len(part.present)] += part.elements
    return found


def _of_rows(source: Source, rows: NDArray[np.int64], width: int) -> Source:
    if isinstance(source, Rows):
        picked = source.picks.table[rows]
        return Rows(source.sources, RowPicks.of(picked[:, 0], picked[:, 1]), width)
    return Rows((source,), RowPicks.of(np.zeros_like(rows), rows), width)
