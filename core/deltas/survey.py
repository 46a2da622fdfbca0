"""Reads blocks of the tensors of a plan and measures their deltas, group by group."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from core.cancel import CancelToken
from core.deltas.block_sums import SumsOfBlocks
from core.deltas.sampling import ScatteredInputs
from core.deltas.statistics import PREDICTED_DRAWS, DeltaStatistics
from core.kernels.deltas.sums import DeltaSums
from core.plan.merge_plan import MEMORY_BUDGET_BYTES, MergePlan, TensorPlan, usable_threads
from core.progress import Progress
from core.run.executors.threads import allow_open_files, default_threads, run_workers
from core.sources.stored import OpenInputs
from core.weights import normalised

if TYPE_CHECKING:
    from core.kernels.deltas.workspace import DeltaWorkspace

__all__ = ["WHOLE_BLOCK", "Survey"]

WHOLE_BLOCK = 131_072
"""Elements of a block where everything is read: large enough for the disk, small enough for the cache."""

_MOST_SORTED = 200_000
"""Blocks of a sample that are held in memory to be read in the order of the files."""

BlockCallback = Callable[["DeltaWorkspace", int], None]


class Survey:
    """The deltas of a plan's tensors, as far as blocks of them were read.

    A group is one tensor or several, whose blocks are numbered one after the other; it is a stratum of
    the sample. The sums do not depend on the threads.

    Attributes:
        plan: of a method that reads the base.
        groups: the tensors of each group.
    """

    def __init__(
        self,
        plan: MergePlan,
        groups: Sequence[Sequence[TensorPlan]],
        *,
        details: bool,
        threads: int | None,
        block: int,
        sampling: bool,
        on_block: BlockCallback | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            plan, groups: what there is to be read.
            details: whether to measure more than counts.
            threads: workers; None for one a core.
            block: elements of a block.
            sampling: whether some blocks are left out.
            on_block: called in the worker's thread with the workspace that has just measured a block, and
                with the block's first element in its tensor.
        """
        self.plan, self.on_block = plan, on_block
        self.groups = tuple(_Group(group, block) for group in groups)
        self._details, self._sampling = details, sampling
        self._draws = 0 if plan.equal_weights else PREDICTED_DRAWS
        self._threads = usable_threads(plan, threads or default_threads(), MEMORY_BUDGET_BYTES)
        self._lock = threading.Lock()
        models = len(plan.models)
        self._found = [
            _InOrder(SumsOfBlocks(models, details=details, draws=self._draws, sampling=sampling))
            for _ in self.groups
        ]
        self._finished: list[int] = []
        self._bytes_read = 0
        self._last = ""

    def read(self, chosen: Sequence[Sequence[int]], token: CancelToken, poll: Callable[[], None]) -> None:
        """Read the chosen blocks of each group, by their numbers, and add them up.

        Raises:
            Cancelled: after `token.cancel()`.
            CheckpointError: a file cannot be read, or has changed since it was planned with.
        """
        allow_open_files(self._threads * (len(self.plan.models) + 1) + 256)
        work = []
        for number, (found, chosen_blocks) in enumerate(zip(self._found, chosen, strict=True)):
            work.append((number, found.wanted, chosen_blocks))
            found.wanted += len(chosen_blocks)
            if found.complete:
                self._finished.append(number)
        blocks: Iterable[_Block] = (
            _Block(number, position, *self.groups[number].find(index))
            for number, begun, chosen_blocks in work
            for position, index in enumerate(chosen_blocks, begun)
        )
        if self._sampling and sum(len(chosen_blocks) for *_, chosen_blocks in work) <= _MOST_SORTED:
            blocks = sorted(blocks, key=_place_on_disk)  # so that each file is opened once
        run_workers(
            iter(blocks),
            lambda: _Worker(self, self._inputs(), self._details, self._draws),
            threads=self._threads,
            token=token,
            poll=poll,
        )

    def finished(self) -> list[int]:
        """The groups of which all chosen blocks were read since the last call."""
        with self._lock:
            numbers, self._finished = self._finished, []
        return numbers

    def sums(self, group: int) -> SumsOfBlocks:
        return self._found[group].sums

    def statistics(self, group: int) -> DeltaStatistics:
        """What the blocks that were read say of the whole group."""
        of = self.groups[group]
        return self._found[group].sums.statistics(of.parameters, of.blocks, tensors=len(of.tensors))

    def progress(self, bytes_total: int, groups_done: int, elapsed_s: float) -> Progress:
        done = min(self._bytes_read, bytes_total)
        return Progress(done, bytes_total, groups_done, len(self.groups), elapsed_s, self._last)

    def add(self, block: _Block, sums: DeltaSums) -> None:
        """Take what a worker found; called from any thread."""
        with self._lock:
            found = self._found[block.group]
            found.add(block.position, sums)
            self._last = block.tensor.output.name
            self._bytes_read += block.elements * sum(s.dtype.itemsize for s in block.tensor.inputs)
            if found.complete:
                self._finished.append(block.group)

    def _inputs(self) -> OpenInputs | ScatteredInputs:
        return ScatteredInputs(self.plan.headers) if self._sampling else OpenInputs(self.plan.headers)


class _Group:
    """Tensors whose blocks are numbered one after the other.

    Attributes:
        tensors: the tensors.
        parameters: their elements.
        blocks: how many they have.
    """

    def __init__(self, tensors: Sequence[TensorPlan], block: int) -> None:
        self.tensors = tuple(tensors)
        self._block = block
        self._ends = list(accumulate(-(-tensor.elements // block) for tensor in tensors))
        self.parameters = sum(tensor.elements for tensor in tensors)
        self.blocks = self._ends[-1] if self._ends else 0

    def find(self, index: int) -> tuple[TensorPlan, int, int]:
        """The tensor of a block, its first element and how many it has."""
        at = bisect_right(self._ends, index)
        tensor = self.tensors[at]
        first = (index - (self._ends[at - 1] if at else 0)) * self._block
        return tensor, first, min(self._block, tensor.elements - first)


@dataclass(frozen=True)
class _Block:
    """A run of elements of a tensor, the `position`-th of those that are read of its group."""

    group: int
    position: int
    tensor: TensorPlan
    first: int
    elements: int


def _place_on_disk(block: _Block) -> tuple[str, int]:
    stored = block.tensor.inputs[-1]
    return str(stored.path), stored.offset + block.first * stored.dtype.itemsize


class _InOrder:
    """The sums of one group. Blocks come in any order and are added in that of their positions, so that
    the sums do not depend on the threads.

    Attributes:
        sums: of the blocks that were added.
        wanted: how many there will be.
    """

    def __init__(self, sums: SumsOfBlocks) -> None:
        self.sums = sums
        self.wanted = 0
        self._early: dict[int, DeltaSums] = {}

    @property
    def complete(self) -> bool:
        return self.sums.blocks == self.wanted

    def add(self, position: int, block: DeltaSums) -> None:
        self._early[position] = block
        while self.sums.blocks in self._early:
            self.sums.add(self._early.pop(self.sums.blocks))


class _Worker:
    def __init__(
        self, survey: Survey, inputs: OpenInputs | ScatteredInputs, details: bool, draws: int
    ) -> None:
        from core.kernels.deltas.workspace import DeltaWorkspace

        self._survey, self._inputs = survey, inputs
        self._draws = draws
        self._workspaces: dict[tuple[float, ...], DeltaWorkspace] = {}  # by the weights

        def make(shares: tuple[float, ...]) -> DeltaWorkspace:
            return DeltaWorkspace(details=details, shares=shares, draws=draws)

        self._make = make

    def handle(self, block: _Block) -> None:
        job = block.tensor.job
        assert job is not None
        shares = tuple(normalised(job.weights)) if self._draws else ()
        if shares not in self._workspaces:
            self._workspaces[shares] = self._make(shares)
        workspace = self._workspaces[shares]
        buffers = workspace.begin(job, block.elements)
        self._inputs.read(block.tensor.inputs, block.first, buffers)
        sums = workspace.run()
        if self._survey.on_block is not None:
            self._survey.on_block(workspace, block.first)
        self._survey.add(block, sums)

    def close(self) -> None:
        self._inputs.close()
