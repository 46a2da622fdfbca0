"""Chunks of a tensor of which not all inputs have all rows: each run of rows is merged by a job of its own.

A run may begin anywhere, and kernels begin at a block of draws. So a job gets the block's elements before the
run too, as zeros, and what it counts in these alone is taken off again: it is a pure function of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from core.draws import BLOCK
from core.errors import CheckpointError
from core.kernels.interface import COUNTS, Counts, Int64s, MapJob, Merged, Workspace
from core.plan.merge_plan import TensorPlan
from core.plan.row_part import RowPart
from core.run.passes import TensorPasses
from core.run.work import Chunk
from core.sources.files import Inputs
from core.sources.source import Absent, Source

__all__ = ["merge_parts", "refuse_nonfinite", "zero_left_out"]


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
    outputs = [bytearray(chunk.elements * plan.output.dtype.itemsize) for plan in tensor.plans]
    totals = [Counts.zeros(plan.job) for plan in tensor.plans if plan.job is not None]
    found, read = tensor.jobs(chunk.found), 0
    for number, begin, end in _overlaps(tensor.plans[0].parts, chunk):
        parts = [plan.parts[number] for plan in tensor.plans]
        jobs = [
            replace(part.job, found=job.found) if part.is_whole else part.job
            for part, job in zip(parts, found, strict=True)
        ]
        most = max(parts, key=lambda part: len(part.inputs))
        sources = most.inputs
        made = _merge(jobs, most, tensor.row, begin, end, inputs, workspace)
        read += sum(source.bytes_of(end - begin) for source in sources)
        for at, (plan, part, (data, counts)) in enumerate(zip(tensor.plans, parts, made, strict=True)):
            if part.job.base_dtype is not None and isinstance(part.inputs[-1], Absent):
                counts.nonfinite[-1] = 0  # nothing was read there
            if refuses[at]:
                refuse_nonfinite(part.inputs, counts)
            totals[at].add(_spread(plan, part, counts))
            first = (begin - chunk.first) * plan.output.dtype.itemsize
            outputs[at][first : first + len(data)] = data
    merged = [Merged(memoryview(data), counts) for data, counts in zip(outputs, totals, strict=True)]
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
        begin, end = max(first, part.first) - first, min(first + elements, part.first + part.elements) - first
        if part.is_whole or begin >= end:
            continue
        for source, buffer in zip(sources, buffers, strict=True):
            size = source.dtype.itemsize
            buffer[begin * size : end * size] = bytes((end - begin) * size)


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


def _overlaps(parts: Sequence[RowPart], chunk: Chunk) -> Iterator[tuple[int, int, int]]:
    """The parts that a chunk touches, by number, and from and to which element it does."""
    firsts = [part.first for part in parts]
    number = int(np.searchsorted(firsts, chunk.first, side="right")) - 1
    end = chunk.first + chunk.elements
    while number < len(parts) and parts[number].first < end:
        part = parts[number]
        yield number, max(part.first, chunk.first), min(part.first + part.elements, end)
        number += 1


def _merge(
    jobs: Sequence[MapJob],
    part: RowPart,
    row: int,
    begin: int,
    end: int,
    inputs: Inputs,
    workspace: Workspace,
) -> list[tuple[bytes, Counts]]:
    """What elements `begin` to `end` become by each job, and what was counted of them."""
    start = begin // row * row if row > 1 else begin // BLOCK * BLOCK
    stop = -(-end // row) * row
    ahead = begin - start if row == 1 else 0
    dtypes = [source.dtype for source in part.inputs]
    buffers = workspace.begin(dtypes, stop - start)
    for buffer, dtype in zip(buffers, dtypes, strict=True):
        buffer[: ahead * dtype.itemsize] = bytes(ahead * dtype.itemsize)
    rest = [buffer[ahead * dtype.itemsize :] for buffer, dtype in zip(buffers, dtypes, strict=True)]
    inputs.read(part.inputs, start + ahead, rest, part.numbers)
    inner = None if row == 1 else slice(begin - start, end - start)
    made = []
    for merged, job in [(workspace.run(job, start, inner), job) for job in jobs]:
        data = merged.data[ahead * job.out_dtype.itemsize :]
        made.append((bytes(data), merged.counts))
    if ahead and any(job.counts for job in jobs):
        for buffer in workspace.begin(dtypes, ahead):
            buffer[:] = bytes(len(buffer))
        for (_, counts), job in zip(made, jobs, strict=True):
            _take_off(counts, workspace.run(job, start).counts)
    return made


def _take_off(counts: Counts, ahead: Counts) -> None:
    for name in ("nonfinite", *COUNTS):
        mine, theirs = getattr(counts, name), getattr(ahead, name)
        if mine is not None:
            mine -= theirs


def _spread(plan: TensorPlan, part: RowPart, counts: Counts) -> Counts:
    """The counts of a part as counts of all that have the tensor."""
    job = plan.job
    assert job is not None
    spread = Counts.zeros(job)
    everyone = plan.present if plan.present is not None else tuple(range(job.models))
    if not part.present:  # the base's own, or zeros: nothing was selected
        if job.base_dtype is not None:
            spread.nonfinite[-1] = counts.nonfinite[0]
        return spread
    at = [everyone.index(model) for model in part.present]
    spread.nonfinite[at] = counts.nonfinite[: len(at)]
    if len(counts.nonfinite) > len(at) and job.base_dtype is not None:
        spread.nonfinite[-1] = counts.nonfinite[-1]
    for name in job.counts:
        found: Int64s | None = getattr(counts, name)
        if found is None:
            continue
        if name in ("zero_delta", "selected"):
            getattr(spread, name)[at] = found
        else:
            getattr(spread, name)[: len(found)] = found
    return spread
