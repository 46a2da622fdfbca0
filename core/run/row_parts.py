"""Chunks of a tensor of which not all inputs have all rows: each part is merged by a job of its own.

The rows of a part may be anywhere, one by one between those of others, and a kernel takes consecutive
elements from a block of draws on. So a part's job gets a stretch of the chunk with fillers between the part's
own rows, of which is known what a job counts in them: that is taken off again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.kernels.interface import SEGMENT, Counts, Int64s, MapJob, Merged, Workspace, with_inner
from core.methods import METHODS
from core.plan.merge_plan import TensorPlan
from core.plan.row_part import RowPart
from core.run.fillers import Fillers, words_of
from core.run.passes import TensorPasses
from core.run.work import Chunk
from core.sources.files import Inputs
from core.sources.source import Absent, Source
from core.sources.token_rows import Rows

__all__ = ["merge_parts", "refuse_nonfinite", "zero_left_out"]

_GAP = 1 << 16
"""Elements between two rows of a part that are worth a call of the kernel of their own."""


def merge_parts(
    tensor: TensorPasses, chunk: Chunk, inputs: Inputs, workspace: Workspace, *, refuses: Sequence[bool]
) -> tuple[list[Merged], int]:
    """Read and merge a chunk; what it became in each output, and the bytes that were read.

    Args:
        tensor: with parts.
        chunk: of its map.
        inputs, workspace: a worker's.
        refuses: of each output, whether NaN and infinite values stop the merge.

    Raises:
        CheckpointError: a file cannot be read, or holds what stops the merge.
    """
    outputs = [np.empty((chunk.elements, plan.output.dtype.itemsize), np.uint8) for plan in tensor.plans]
    totals = [Counts.zeros(plan.job) for plan in tensor.plans if plan.job is not None]
    found, read = tensor.jobs(chunk.found), 0
    for number in range(len(tensor.plans[0].parts)):
        parts = [plan.parts[number] for plan in tensor.plans]
        jobs = [
            replace(part.job, found=job.found, elements=job.elements) if part.is_whole else part.job
            for part, job in zip(parts, found, strict=True)
        ]
        most = max(parts, key=lambda part: len(part.inputs))
        for stretch in _stretches(most, chunk, tensor.row, closed=any(map(_counts_more, jobs))):
            read += sum(source.bytes_of(stretch.own) for source in most.inputs)
            made = _merge(jobs, most, stretch, inputs, workspace)
            for at, (plan, part, (data, counts)) in enumerate(zip(tensor.plans, parts, made, strict=True)):
                if refuses[at]:
                    refuse_nonfinite(part.inputs, counts)
                totals[at].add(_spread(plan, part, stretch.own, counts))
                rows = outputs[at][stretch.begin - chunk.first : stretch.end - chunk.first]
                rows[stretch.inside] = data[stretch.inside]
    merged = [Merged(data.reshape(-1).data, counts) for data, counts in zip(outputs, totals, strict=True)]
    return merged, read


def zero_left_out(
    plan: TensorPlan, first: int, elements: int, sources: Sequence[Source], buffers: Sequence[memoryview]
) -> None:
    """Zeros in the place of rows that a fold leaves out: they change no sum.

    Args:
        plan: of a tensor with parts.
        first, elements: what the buffers hold of it.
        sources, buffers: the inputs.
    """
    for part in plan.parts:
        if not part.is_whole:
            inside = _inside(part.within(first, first + elements), first, elements)
            for source, buffer in zip(sources, buffers, strict=True):
                words_of(buffer, source.dtype)[inside] = 0


def refuse_nonfinite(sources: Sequence[Source], counts: Counts) -> None:
    """Raises CheckpointError where an input holds NaN or infinite values."""
    for at in counts.nonfinite.nonzero()[0].tolist():
        stored = sources[at].stored[0]
        files = list(dict.fromkeys(one.path for one in sources[at].stored))  # of an adapter its base's first
        raise CheckpointError(
            f"tensor {stored.name!r} of {' with '.join(map(str, files))} holds NaN or infinite values, "
            "and the recipe forbids them",
            hint="repair that model, or set nonfinite: pass",
            path=files[-1],
            tensor=stored.name,
            field="nonfinite",
        )


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Elements of a chunk with rows of a part.

    Attributes:
        start, stop: what is read and computed: from a block of draws or a row on, and whole rows.
        begin, end: what of that lies in the chunk.
        runs: the part's own in it. [runs, 2]
    """

    start: int
    stop: int
    begin: int
    end: int
    runs: NDArray[np.int64]

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Which elements from `begin` to `end` are the part's."""
        return _inside(self.runs, self.begin, self.end - self.begin)

    @cached_property
    def own(self) -> int:
        """How many are."""
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())


def _counts_more(job: MapJob) -> bool:
    """Whether a method counts something else than what draws copy: fillers say nothing of that then."""
    return bool(job.counts) and METHODS[job.method].weight != "share"


def _stretches(part: RowPart, chunk: Chunk, row: int, *, closed: bool) -> Iterator[_Stretch]:
    """What of a chunk is a part's; `closed` where no rows of others may lie in between."""
    runs = part.within(chunk.first, chunk.first + chunk.elements)
    cuts = np.nonzero(runs[1:, 0] - runs[:-1, 1] > (0 if closed else _GAP))[0] + 1
    for some in np.split(runs, cuts):
        if not len(some):
            continue
        begin, end = int(some[0, 0]), int(some[-1, 1])
        if row > 1:
            yield _Stretch(begin // row * row, -(-end // row) * row, begin, end, some)
        else:
            start = begin // SEGMENT * SEGMENT
            yield _Stretch(start, end, begin if closed else start, end, some)


def _inside(runs: NDArray[np.int64], first: int, elements: int) -> NDArray[np.bool_]:
    """Which of so many elements from `first` on lie in `runs`."""
    steps = np.zeros(elements + 1, np.int8)
    np.add.at(steps, runs[:, 0] - first, 1)
    np.add.at(steps, runs[:, 1] - first, -1)
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def _merge(
    jobs: Sequence[MapJob], part: RowPart, stretch: _Stretch, inputs: Inputs, workspace: Workspace
) -> list[tuple[NDArray[np.uint8], Counts]]:
    """What each job makes of a stretch, [elements, itemsize], and what it counted in the part's own rows."""
    dtypes = [source.dtype for source in part.inputs]
    buffers = workspace.begin(dtypes, stretch.stop - stretch.start)
    elements = stretch.stop - stretch.start
    sources = [
        source.straight(stretch.start, elements) if isinstance(source, Rows) else source
        for source in part.inputs
    ]
    inputs.read(sources, stretch.start, buffers, part.numbers)
    own = slice(stretch.begin - stretch.start, stretch.end - stretch.start)
    inner = None if own == slice(0, elements) else own
    # What lies before the stretch of its segment or row is the part's own too: of equal numbers it has the
    # first ones, and a row is one with what another chunk has of it.
    own_runs = part.within(stretch.start, stretch.stop)
    gaps = ~_inside(own_runs, stretch.start, elements)
    fillers = Fillers([with_inner(job, inner) for job in jobs], dtypes, gaps)
    fillers.fill(buffers)
    made = []
    for merged, job in [(workspace.run(job, stretch.start, inner), job) for job in jobs]:
        data = np.frombuffer(merged.data, np.uint8).reshape(-1, job.out_dtype.itemsize)
        made.append((data.copy() if fillers.rounds > 1 else data, merged.counts))
    for (data, counts), job in zip(made, jobs, strict=True):
        fillers.take_off(job, counts, data, fillers.again(workspace, job, stretch.start))
        if job.base_dtype is not None and isinstance(part.inputs[-1], Absent):
            counts.nonfinite[-1] = 0  # nothing was read there
    return made


def _spread(plan: TensorPlan, part: RowPart, elements: int, counts: Counts) -> Counts:
    """The counts of so many elements of a part as counts of all that have the tensor."""
    job = plan.job
    assert job is not None
    spread = Counts.zeros(job)
    everyone = plan.present if plan.present is not None else tuple(range(job.models))
    if not part.present:  # the base's own, or zeros: nothing was selected, and none changed it
        if job.base_dtype is not None:
            spread.nonfinite[-1] = counts.nonfinite[0]
        if spread.changed_by is not None:
            spread.changed_by[0] = elements
        return spread
    at = [everyone.index(model) for model in part.present]
    spread.nonfinite[at] = counts.nonfinite[: len(at)]
    if len(counts.nonfinite) > len(at) and job.base_dtype is not None:
        spread.nonfinite[-1] = counts.nonfinite[-1]
    for name in job.counts:
        found: Int64s | None = getattr(counts, name)
        if found is None:
            continue
        if name in ("zero_delta", "selected", "dropped", "elected_against"):
            getattr(spread, name)[at] = found
        else:
            getattr(spread, name)[: len(found)] = found
    return spread
