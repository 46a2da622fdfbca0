"""The passes over one tensor: folds that find things out of the whole of it, then the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.digest import PIECE_BYTES
from core.kernels.interface import MapJob, Values
from core.methods.folds import FoldTotal
from core.plan.chunking import chunk_elements
from core.plan.merge_plan import TensorPlan
from core.run.tally import Written
from core.run.work import Chunk

__all__ = ["Done", "Restored", "TensorPasses"]


@dataclass(frozen=True)
class Done:
    """What came of a chunk.

    Attributes:
        chunk: which one.
        bytes_read: of weights.
        outputs: what was written to each output; empty for a fold.
        rows: what the fold of each output's job found; None for a job without that fold. Empty for a map.
    """

    chunk: Chunk
    bytes_read: int
    outputs: tuple[Written, ...] = ()
    rows: tuple[NDArray[np.generic] | None, ...] = ()


@dataclass(frozen=True)
class Restored:
    """What of a merge is finished.

    Attributes:
        parts: of tensors, in the plan's and in the elements' order; none overlap.
        found: what the folds of a tensor found, by its number.
    """

    parts: tuple[Done, ...] = ()
    found: Mapping[int, tuple[Values, ...]] = field(default_factory=dict)


class TensorPasses:
    """One tensor of the inputs, what it becomes in each output, and its folds while they go on.

    Attributes:
        plans: of each output.
        name: of the tensor.
        elements: their number.
        folds: their number: as many as the output with the most has.
        passes: how often it is read, as a rule.
        row: elements that are read together; see `MapJob.row`.
        inputs: what is read: the sub-models, and the base where an output wants it.
        bytes_to_read: of all passes.
        has_parts: whether not all inputs have all of its rows.
    """

    def __init__(self, plans: Sequence[TensorPlan]) -> None:
        self.plans = tuple(plans)
        self.name = plans[0].output.name
        self.elements = plans[0].elements
        self.folds = max(len(plan.folds) for plan in plans)
        self.passes = 1 + sum(
            any(step < len(plan.folds) and plan.folds[step].when is None for plan in plans)
            for step in range(self.folds)
        )
        most = max(plans, key=lambda plan: len(plan.inputs))
        self.inputs = most.inputs
        whole = sum(source.bytes_to_read for source in most.inputs)
        self.bytes_to_read = (self.passes - 1) * whole + max(plan.bytes_of_a_pass for plan in plans)
        self.has_parts = bool(plans[0].parts)
        self.copied = plans[0].job is None
        self.row = 1 if plans[0].job is None else plans[0].job.row
        self._totals: list[FoldTotal | None] = []
        self._early: dict[int, Done] = {}
        self._next = 0

    def jobs(self, found: Sequence[Values]) -> list[MapJob]:
        """The job of each output with what was found so far."""
        return [
            replace(plan.job, found=values) if values else plan.job
            for plan, values in zip(self.plans, found, strict=True)
            if plan.job is not None
        ]

    def wants(self, step: int, jobs: Sequence[MapJob]) -> list[bool]:
        """Of each output, whether the tensor is read for its fold of that number."""
        folds = [plan.folds[step] if step < len(plan.folds) else None for plan in self.plans]
        return [
            fold is not None and (fold.when is None or fold.when(job))
            for fold, job in zip(folds, jobs, strict=True)
        ]

    def next_step(self, step: int, found: Sequence[Values]) -> int:
        """The first pass from `step` on for which it is read, with what was found so far."""
        jobs = self.jobs(found)
        while step < self.folds and not any(self.wants(step, jobs)):
            step += 1
        return step

    def span(self, chunk: Chunk) -> tuple[int, int]:
        """The first element that is read for a chunk, and how many: whole rows, up to the tensor's end."""
        first = chunk.first // self.row * self.row
        end = -(-(chunk.first + chunk.elements) // self.row) * self.row
        return first, min(end, self.elements) - first

    def chunk_elements(self, slots: int, budget_bytes: int, chunk_bytes: int) -> int:
        """Elements of a chunk that suits every output."""
        size = min(chunk_elements(plan, slots, budget_bytes, chunk_bytes) for plan in self.plans)
        piece = max(PIECE_BYTES // plan.output.dtype.itemsize for plan in self.plans)
        return size if size >= self.elements else max(piece, size // piece * piece)

    def add(self, done: Done) -> tuple[Values, ...] | None:
        """Take what folds found in a chunk; return what they found in all, when it was the last one."""
        if not self._totals:
            self._totals = [
                None if rows is None else FoldTotal(plan.folds[done.chunk.step])
                for plan, rows in zip(self.plans, done.rows, strict=True)
            ]
        self._early[done.chunk.first] = done
        while (due := self._early.pop(self._next, None)) is not None:  # in the tensor's order
            for total, rows in zip(self._totals, due.rows, strict=True):
                if total is not None and rows is not None:
                    total.add(rows)
            self._next += due.chunk.elements
        if self._next < self.elements:
            return None
        jobs = self.jobs(done.chunk.found)
        found = tuple(
            job.found if total is None else Values.from_mapping({**job.found, **total.finish(job)})
            for job, total in zip(jobs, self._totals, strict=True)
        )
        self._totals, self._next = [], 0
        return found
