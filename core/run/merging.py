"""Merging as work: the passes over each tensor, the steps of a chunk, and adding up what came of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.files import WriteFile
from core.digest import PIECE_BYTES, FileDigest, piece_digests
from core.helpers import Helpers
from core.kernels.interface import Merged, Values, Workspace
from core.plan.merge_plan import MergePlan, TensorPlan
from core.plan.work import pass_s
from core.progress import Progress, ProgressCallback
from core.run.passes import Done, Restored, TensorPasses
from core.run.record import TensorRecord
from core.run.row_parts import merge_parts, refuse_nonfinite, zero_left_out
from core.run.tally import Tally, Written, no_counts
from core.run.work import LATER, Chunk, Later
from core.sources.ahead import ColdPages, ReadAhead
from core.sources.files import OpenInputs
from core.sources.source import Absent

__all__ = ["MergeWork", "Target", "TensorCallback"]

TensorCallback = Callable[[TensorRecord], None]
"""Called with each finished tensor, in the thread that called the merge."""

_AHEAD_BYTES = 256 * 1024**2
"""Of tensors whose folds are read while those of the ones before are not finished: they stay in memory."""


_WRITTEN_BYTES = 4 * PIECE_BYTES
"""That one helper digests and writes at a time."""


@dataclass(frozen=True)
class Target:
    """One output: what is merged, and the files that it goes to.

    Attributes:
        plan: what is merged.
        shards: the files.
        digests: of the files, which grow with them; empty where nobody wants them.
    """

    plan: MergePlan
    shards: Sequence[WriteFile]
    digests: Sequence[FileDigest] = ()


class Keeper(Protocol):
    """Keeps what is finished, so that a merge can go on from there."""

    def part(self, done: Done, fraction: float) -> None:
        """Take what came of a chunk that was written; `fraction` of the merge is done with it."""
        ...

    def found(self, tensor: int, found: tuple[Values, ...]) -> None:
        """Take what all folds found in a tensor."""
        ...


class MergeWork:
    """A merge, or several of the same inputs: a core.run.work.Work of Chunk and Done.

    Attributes:
        helpers: threads that share out the reading and the writing of each chunk; see below.
        bytes_read: weights read so far.
        started: when the first weights were about to be read (time.perf_counter).
    """

    def __init__(
        self,
        targets: Sequence[Target],
        make_workspace: Callable[[], Workspace],
        *,
        slots: int,
        budget_bytes: int,
        chunk_bytes: int,
        cold_pages: ColdPages | None = None,
        restored: Restored | None = None,
        keeper: Keeper | None = None,
        helpers: Helpers | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            targets: the outputs; the sources of their tensors are the same.
            make_workspace: called for each slot.
            slots, budget_bytes, chunk_bytes: how chunks are cut; see core.plan.chunking.
            cold_pages: for a merge so large that it would push everything else out of the system's page
                cache, and so leaves it as it was; None for any other.
            restored: what is finished already; None for nothing.
            keeper: is told what is finished; None for nobody.
            helpers: threads among which the reading and the writing of each chunk is shared out, for chunks
                that are few and large; None where every slot's own thread does it.
        """
        self._targets = tuple(targets)
        self._make_workspace, self._cold_pages, self.helpers = make_workspace, cold_pages, helpers
        self._ahead = ReadAhead()
        self._tensors = [TensorPasses(tensors) for tensors in _side_by_side(targets)]
        self.eager = any(tensor.folds for tensor in self._tensors)
        self._cut = slots, budget_bytes, chunk_bytes
        self._numbers = iter(range(len(self._tensors)))
        """Of the tensors that are not begun."""
        self._current: Iterator[Chunk] = iter(())
        """The first pass over the one that was begun last."""
        self._ready: deque[Chunk] = deque()
        """Of later passes, whose folds are finished: the tensor is still in the page cache."""
        self._folding_bytes = 0
        self._element_s: dict[int, float] = {}
        """What an element of a tensor costs in each pass."""
        self._tallies = [
            [Tally(t, target.plan) for t, target in zip(tensor.plans, targets, strict=True)]
            for tensor in self._tensors
        ]
        self._finished: list[list[tuple[int, TensorRecord]]] = [[] for _ in targets]
        self._keeper = keeper
        self._restored = restored or Restored()
        self._gaps: dict[int, list[tuple[int, int]]] = {}
        """The elements that are not finished, from and to, of tensors of which some are."""
        self._reported = 0
        self.bytes_read = 0
        self._bytes_done = 0
        self._bytes_total = sum(tensor.bytes_to_read for tensor in self._tensors) + sum(
            tensor.output.size_bytes for target in targets for tensor in target.plan.tensors
        )
        self._in_hand = ""
        self._restore()
        self._bytes_before = self._bytes_done
        for number, tensor in enumerate(self._tensors):
            if not tensor.elements:
                self._finish(number)
        self.started = time.perf_counter()

    # -- what an executor calls

    def take(self) -> Chunk | Later | None:
        while True:
            chunk = self._ready.popleft() if self._ready else next(self._current, None)
            if chunk is not None:
                self._in_hand = self._tensors[chunk.tensor].name
                return chunk
            number = next(self._numbers, None) if self._folding_bytes <= _AHEAD_BYTES else None
            if number is None:
                return LATER if self._folding_bytes else None
            tensor = self._tensors[number]
            found = self._restored.found.get(number)
            if found is not None:
                self._current = self._chunks_of(number, tensor.folds, found)
                continue
            if tensor.folds and tensor.elements:
                self._folding_bytes += tensor.bytes_to_read
            self._current = self._pass_of(number, 0, (Values(),) * len(self._targets))

    def size(self, chunk: Chunk) -> float:
        """Seconds: an element that is copied is less than one that is drawn for, and the mix changes."""
        element_s = self._element_s.get(chunk.tensor)
        if element_s is None:
            element_s = self._element_s[chunk.tensor] = sum(map(pass_s, self._tensors[chunk.tensor].plans))
        return chunk.elements * element_s

    def slot(self) -> _MergeSlot:
        headers = self._targets[0].plan.headers
        inputs = OpenInputs(headers, self._cold_pages, self.helpers, self._ahead)
        return _MergeSlot(self._targets, self._tensors, inputs, self._make_workspace(), self.helpers)

    def collect(self, done: Done) -> None:
        number = done.chunk.tensor
        self.bytes_read += done.bytes_read
        self._bytes_done += done.bytes_read + sum(written.size_bytes for written in done.outputs)
        if done.rows:
            tensor = self._tensors[number]
            found = tensor.add(done)
            if found is None:
                return
            self._ready.extend(self._pass_of(number, done.chunk.step + 1, found))
            return
        for tally, written in zip(self._tallies[number], done.outputs, strict=True):
            tally.add(done.chunk, written)
        if self._keeper is not None:
            self._keeper.part(done, self._bytes_done / self._bytes_total)
        if self._tallies[number][0].left == 0:
            self._finish(number)

    # -- what the caller asks

    def report(self, progress: ProgressCallback | None, on_tensor: TensorCallback | None) -> None:
        """Tell the callbacks what is new since the last report."""
        finished = self._finished[0][self._reported :]
        self._reported += len(finished)
        if on_tensor is not None:
            for _, record in finished:
                on_tensor(record)
        if progress is not None:
            elapsed = time.perf_counter() - self.started
            progress(
                Progress(
                    self._bytes_done,
                    self._bytes_total,
                    self._reported,
                    len(self._tensors),
                    elapsed,
                    self._in_hand,
                    self._bytes_before,
                )
            )

    def records(self, target: int = 0) -> tuple[TensorRecord, ...]:
        """The finished tensors of one output in the plan's order."""
        return tuple(record for _, record in sorted(self._finished[target], key=lambda item: item[0]))

    # -- passes

    def _pass_of(self, number: int, step: int, found: tuple[Values, ...]) -> Iterator[Chunk]:
        """The chunks of the first pass from `step` on for which the tensor is read."""
        tensor = self._tensors[number]
        if tensor.copied or not tensor.elements:
            return self._chunks_of(number, tensor.folds, found)
        after = tensor.next_step(step, found)
        if after == tensor.folds:
            if tensor.folds:
                self._folding_bytes -= tensor.bytes_to_read
                if self._keeper is not None:
                    self._keeper.found(number, found)
        elif all(after >= len(plan.folds) or plan.folds[after].when for plan in tensor.plans):
            self._bytes_total += tensor.bytes_to_read // tensor.passes  # nobody counted on it
        return self._chunks_of(number, after, found)

    def _chunks_of(self, number: int, step: int, found: tuple[Values, ...]) -> Iterator[Chunk]:
        tensor = self._tensors[number]
        size = tensor.chunk_elements(*self._cut)
        gaps = [(0, tensor.elements)] if step < tensor.folds else self._gaps.get(number)
        for begin, end in gaps if gaps is not None else [(0, tensor.elements)]:
            for first in range(begin, end, size):
                yield Chunk(number, first, min(size, end - first), step, found)

    def _restore(self) -> None:
        """Take what is finished already."""
        whole: dict[int, int] = {}
        for part in self._restored.parts:
            chunk = part.chunk
            gaps = self._gaps.setdefault(chunk.tensor, [(0, self._tensors[chunk.tensor].elements)])
            begin, end = gaps.pop()
            gaps += [(begin, chunk.first)] if begin < chunk.first else []
            gaps += [(chunk.first + chunk.elements, end)] if chunk.first + chunk.elements < end else []
            if not gaps:
                gaps.append((end, end))
            for tally, written in zip(self._tallies[chunk.tensor], part.outputs, strict=True):
                tally.add(chunk, written)
                self._bytes_done += written.size_bytes
            self._bytes_done += part.bytes_read
            whole[chunk.tensor] = self._tallies[chunk.tensor][0].left
        for number in self._restored.found:
            tensor = self._tensors[number]
            self._bytes_done += (tensor.passes - 1) * (tensor.bytes_to_read // tensor.passes)
        for number, left in whole.items():
            if not left:
                self._finish(number)

    def _finish(self, number: int) -> None:
        for finished, tally in zip(self._finished, self._tallies[number], strict=True):
            finished.append((number, tally.record()))


class _MergeSlot:
    """Buffers and files for one chunk at a time: a core.run.work.Slot."""

    def __init__(
        self,
        targets: Sequence[Target],
        tensors: Sequence[TensorPasses],
        inputs: OpenInputs,
        workspace: Workspace,
        helpers: Helpers | None,
    ) -> None:
        self._targets, self._tensors = targets, tensors
        self._inputs, self._workspace, self._helpers = inputs, workspace, helpers
        self._copies: list[bytearray] = []
        self._merged: list[tuple[Merged, frozenset[int]]] = []
        self._parts: tuple[list[Merged], int] | None = None
        """What a chunk became whose rows not all inputs have, and what was read for it."""
        self._rows: list[NDArray[np.generic] | None] = []

    def fill(self, chunk: Chunk) -> None:
        tensor = self._tensors[chunk.tensor]
        self._parts = None
        if tensor.has_parts and chunk.step == tensor.folds:
            # Merged here, as each part needs the buffers for itself.
            refuses = [target.plan.recipe.nonfinite == "error" for target in self._targets]
            self._parts = merge_parts(tensor, chunk, self._inputs, self._workspace, refuses=refuses)
            return
        first, elements = tensor.span(chunk)
        dtypes = [source.dtype for source in tensor.inputs]
        if tensor.copied:
            self._copies = [bytearray(elements * dtype.itemsize) for dtype in dtypes]
            buffers = [memoryview(copy) for copy in self._copies]
        else:
            buffers = self._workspace.begin(dtypes, elements)
        self._inputs.read(tensor.inputs, first, buffers)
        if tensor.has_parts:
            zero_left_out(tensor.plans[0], first, elements, tensor.inputs, buffers)

    def compute(self, chunk: Chunk) -> None:
        tensor = self._tensors[chunk.tensor]
        self._merged, self._rows = [], []
        if self._parts is not None:
            self._merged = [(merged, frozenset()) for merged in self._parts[0]]
            return
        if tensor.copied:
            self._compare_copies(tensor)
            return
        jobs = tensor.jobs(chunk.found)
        first, elements = tensor.span(chunk)
        begin = chunk.first - first
        inner = None if elements == chunk.elements else slice(begin, begin + chunk.elements)
        if chunk.step < tensor.folds:
            self._rows = [
                self._workspace.fold(job, chunk.step, first, inner) if wanted else None
                for job, wanted in zip(jobs, tensor.wants(chunk.step, jobs), strict=True)
            ]
            return
        self._merged = [(self._workspace.run(job, first, inner), frozenset()) for job in jobs]

    def finish(self, chunk: Chunk) -> Done:
        tensor = self._tensors[chunk.tensor]
        read = sum(source.bytes_of(chunk.elements) for source in tensor.inputs)
        if self._parts is not None:
            read = self._parts[1]
        if self._rows:
            return Done(chunk, read, rows=tuple(self._rows))
        outputs = []
        for plan, target, (merged, differs) in zip(tensor.plans, self._targets, self._merged, strict=True):
            data, counts = merged.data, merged.counts  # a device is waited for here
            if isinstance(plan.base, Absent) and plan.job is not None and plan.job.base_dtype is not None:
                counts.nonfinite[-1] = 0  # nothing was read there
            if target.plan.recipe.nonfinite == "error":
                refuse_nonfinite(plan.inputs, counts)
            offset = chunk.first * plan.output.dtype.itemsize
            digests = self._write(plan, target, data, offset)
            outputs.append(Written(len(data), digests, counts, differs))
        return Done(chunk, read, outputs=tuple(outputs))

    def _write(self, plan: TensorPlan, target: Target, data: memoryview, first: int) -> bytes:
        """Digest and write `data`, from byte `first` of the tensor on; returns the digests of its pieces."""
        shard, begin = plan.placement.shard, plan.placement.offset + first

        def write(part: slice) -> bytes:
            written = data[part]
            digests = piece_digests(written)
            target.shards[shard].write_at(written, begin + part.start)
            if target.digests:
                target.digests[shard].add(written, begin + part.start)
            return digests

        if self._helpers is None:
            return write(slice(0, len(data)))
        starts = range(0, len(data), _WRITTEN_BYTES)
        return b"".join(self._helpers.each(write, [slice(at, at + _WRITTEN_BYTES) for at in starts]))

    def close(self) -> None:
        self._inputs.close()
        del self._workspace  # what is left of a worker that failed would keep its memory
        self._copies, self._merged, self._rows = [], [], []

    def _compare_copies(self, tensor: TensorPasses) -> None:
        copies, plan = self._copies, tensor.plans[0]
        source = copies[-1] if plan.base is not None else copies[0]
        differs = frozenset(at for at in range(len(plan.models)) if copies[at] != source)
        for _ in self._targets:
            counts = no_counts(plan)
            if plan.output.dtype.name == "C64":
                for at, copy in enumerate(copies):
                    numbers = np.frombuffer(copy, np.complex64)
                    counts.nonfinite[at] = np.count_nonzero(~np.isfinite(numbers))
            self._merged.append((Merged(memoryview(source), counts), differs))


def _side_by_side(targets: Sequence[Target]) -> Iterator[tuple[TensorPlan, ...]]:
    """The same tensor of every output. Raises ValueError where their sources are not the same."""
    for plans in zip(*(target.plan.tensors for target in targets), strict=True):
        sources = {
            (plan.output.name, plan.models, plan.base, plan.job.row if plan.job else 0) for plan in plans
        }
        if len(sources) != 1:
            raise ValueError(f"the outputs do not have the same sources of {plans[0].output.name}")
        yield plans
