"""Statistics of task vectors without a merge: one streaming read, or one of a sample of blocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.checkpoint.inputs import OpenInputs
from core.draws import SAMPLING_STREAM, philox4x32, philox_key
from core.errors import MergeError
from core.jobs import CancelToken, Progress, ProgressCallback
from core.kernels.chunk import Counts, MapJob, Workspace
from core.merge_plan import MEMORY_BUDGET_BYTES, MergePlan, TensorPlan, usable_threads
from core.plan import plan_merge
from core.recipe import parse_recipe
from core.workers import allow_open_files, default_threads, run_workers

__all__ = ["SAMPLE_BLOCK", "Inspection", "TensorInspection", "inspect_models", "sampled_blocks"]

SAMPLE_BLOCK = 65_536
"""Elements of a block: the unit of reading here, and what a sample is made of."""


@dataclass(frozen=True)
class TensorInspection:
    """What was counted in one floating-point tensor.

    Attributes:
        name, shape: of the tensor.
        parameters: its elements.
        elements: those that were looked at; all without sampling.
        zero_delta: [K] elements of each sub-model with zero delta.
        changed_by: [K+1] elements changed by exactly m sub-models, m = 0..K.
        nonfinite: [K+1] NaN and infinite elements as stored, the base last.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    elements: int
    zero_delta: tuple[int, ...]
    changed_by: tuple[int, ...]
    nonfinite: tuple[int, ...]


@dataclass(frozen=True)
class Inspection:
    """The statistics of K sub-models beside their base.

    Attributes:
        models: the names of the sub-models. [K]
        base: the name of the base.
        sample: the fraction of blocks that was read.
        tensors: in the order of the base.
    """

    models: tuple[str, ...]
    base: str
    sample: float
    tensors: tuple[TensorInspection, ...]


@dataclass(frozen=True)
class _Block:
    tensor: int
    first: int
    elements: int


class _InspectWorker:
    def __init__(
        self,
        plan: MergePlan,
        jobs: Sequence[MapJob | None],
        totals: dict[int, tuple[int, Counts]],
        lock: threading.Lock,
    ) -> None:
        from core.kernels.cpu import CpuWorkspace

        self._plan, self._jobs, self._totals, self._lock = plan, jobs, totals, lock
        self._inputs = OpenInputs(plan.headers)
        self._workspace: Workspace = CpuWorkspace()

    def handle(self, block: _Block) -> None:
        job = self._jobs[block.tensor]
        assert job is not None
        buffers = self._workspace.begin(job, block.elements)
        self._inputs.read(self._plan.tensors[block.tensor].inputs, block.first, buffers)
        counts = self._workspace.run(block.first)
        with self._lock:
            elements, total = self._totals.get(block.tensor, (0, None))
            if total is not None:
                total.add(counts)
            self._totals[block.tensor] = (elements + block.elements, total or counts)

    def close(self) -> None:
        self._inputs.close()


def inspect_models(
    base: str | Path,
    models: Sequence[str | Path],
    *,
    sample: float = 1.0,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
) -> Inspection:
    """Count the zero deltas of `models` beside `base`, and how they overlap.

    Args:
        base: the base's folder.
        models: the sub-models' folders.
        sample: the fraction of blocks to read, 0 < sample <= 1; the same blocks of every model, and
            at least one of each tensor.
        threads: workers; None for one a core.
        cancel: looked at between blocks.
        progress: called about ten times a second in this thread.

    Raises:
        MergeError: the models cannot be read or do not belong together.
    """
    if not 0 < sample <= 1:
        raise MergeError(f"the sample of {sample:g} is not a fraction", hint="give a number above 0, up to 1")
    recipe = parse_recipe(
        {
            "merge_method": "parameter_selection",
            "base_model": str(Path(base).absolute()),
            "models": [{"model": str(Path(model).absolute())} for model in models],
            "parameters": {"resamples": 0},
        },
        Path(),
    )
    plan = plan_merge(recipe)
    jobs = [replace(tensor.job, method="count_deltas") if tensor.job else None for tensor in plan.tensors]
    workers = usable_threads(plan, threads or default_threads(), MEMORY_BUDGET_BYTES)
    allow_open_files(workers * (len(plan.models) + 1) + 256)
    totals: dict[int, tuple[int, Counts]] = {}
    lock = threading.Lock()
    started = time.perf_counter()
    bytes_total = round(sample * plan.bytes_to_read)

    def report() -> None:
        if progress is None:
            return
        with lock:
            seen = {number: elements for number, (elements, _) in totals.items()}
        done = sum(elements * _bytes_per_element(plan.tensors[number]) for number, elements in seen.items())
        whole = sum(elements == plan.tensors[number].elements for number, elements in seen.items())
        last = plan.tensors[max(seen)].output.name if seen else ""
        elapsed = time.perf_counter() - started
        progress(Progress(min(done, bytes_total), bytes_total, whole, len(plan.tensors), elapsed, last))

    run_workers(
        _blocks(plan, sample),
        lambda: _InspectWorker(plan, jobs, totals, lock),
        threads=workers,
        token=cancel or CancelToken(),
        poll=report,
    )
    assert plan.base is not None
    return Inspection(
        models=tuple(model.name for model in plan.models),
        base=plan.base.name,
        sample=sample,
        tensors=tuple(
            _inspection(tensor, *totals[number])
            for number, tensor in enumerate(plan.tensors)
            if number in totals
        ),
    )


def sampled_blocks(name: str, elements: int, sample: float) -> list[int]:
    """The numbers of the blocks of tensor `name` that a sample holds; the same on every machine."""
    blocks = -(-elements // SAMPLE_BLOCK)
    if sample >= 1:
        return list(range(blocks))
    key = philox_key(0, name)
    numbers = np.arange(blocks, dtype=np.uint64)
    zeros = np.zeros_like(numbers)
    words = philox4x32((numbers & 0xFFFFFFFF, numbers >> 32, zeros, zeros + SAMPLING_STREAM), key)[0]
    chosen: list[int] = np.flatnonzero(words < sample * 2**32).tolist()
    return chosen or [int(words.argmin())] if blocks else []


def _blocks(plan: MergePlan, sample: float) -> Iterator[_Block]:
    for number, tensor in enumerate(plan.tensors):
        if tensor.job is None:
            continue
        for block in sampled_blocks(tensor.output.name, tensor.elements, sample):
            first = block * SAMPLE_BLOCK
            yield _Block(number, first, min(SAMPLE_BLOCK, tensor.elements - first))


def _bytes_per_element(tensor: TensorPlan) -> int:
    return sum(stored.dtype.itemsize for stored in tensor.inputs)


def _inspection(tensor: TensorPlan, elements: int, counts: Counts) -> TensorInspection:
    assert counts.zero_delta is not None and counts.changed_by is not None
    return TensorInspection(
        name=tensor.output.name,
        shape=tensor.output.shape,
        parameters=tensor.elements,
        elements=elements,
        zero_delta=tuple(counts.zero_delta.tolist()),
        changed_by=tuple(counts.changed_by.tolist()),
        nonfinite=tuple(counts.nonfinite.tolist()),
    )
