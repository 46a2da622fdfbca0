"""Reads blocks of the tensors of a plan and measures their deltas, group by group."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from core.cancel import CancelToken
from core.deltas.block_sums import SumsOfBlocks
from core.deltas.statistics import PREDICTED_DRAWS, DeltaStatistics
from core.kernels.deltas.sums import DeltaSums
from core.plan.chunking import MEMORY_BUDGET_BYTES, default_threads, usable_threads
from core.plan.merge_plan import MergePlan, TensorPlan
from core.progress import Progress
from core.run.executors.threads import ThreadExecutor, allow_open_files
from core.run.work import IteratedWork
from core.sources.ahead import ReadAhead
from core.sources.files import Inputs, OpenInputs, ScatteredInputs
from core.weights import shares

if TYPE_CHECKING:
    from core.kernels.deltas.workspace import DeltaWorkspace

__all__ = ["WHOLE_BLOCK", "Survey"]

WHOLE_BLOCK = 131_072
"""Elements of a block where everything is read: large enough for the disk, small enough for the cache."""

_MOST_SORTED = 200_000
"""Blocks of a sample that are held in memory to be read in the order of the files."""

Look = Callable[["DeltaWorkspace"], Any]
BlockCallback = Callable[[int, Any], None]


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
        look: Look | None = None,
        on_block: BlockCallback | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            plan, groups: what there is to be read.
            details: whether to measure more than counts.
            threads: workers; None for as many as get the most done, up to one a core.
            block: elements of a block.
            sampling: whether some blocks are left out.
            look: looks at a block beside measuring it; called in a worker's thread with the workspace that
                has just measured it.
            on_block: called in the caller's thread with a block's first element in its tensor, and with what
                `look` returned.
        """
        self.plan = plan
        self._look, self._on_block = look, on_block
        self.groups = tuple(_Group(group, block) for group in groups)
        self._details, self._sampling, self._ahead = details, sampling, ReadAhead()
        self._draws = 0 if plan.draws_equally else PREDICTED_DRAWS
        self._threads = usable_threads(plan, threads or default_threads(), MEMORY_BUDGET_BYTES)
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
        ThreadExecutor().run(_Reading(self, iter(blocks)), slots=self._threads, token=token, poll=poll)

    def finished(self) -> list[int]:
        """The groups of which all chosen blocks were read since the last call."""
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

    def add(self, done: _Measured) -> None:
        """Take what came of a block; called in the caller's thread."""
        block = done.block
        found = self._found[block.group]
        found.add(block.position, done.sums)
        self._last = block.tensor.output.name
        self._bytes_read += sum(source.bytes_of(block.elements) for source in block.tensor.inputs)
        if self._on_block is not None:
            self._on_block(block.first, done.seen)
        if found.complete:
            self._finished.append(block.group)

    def new_slot(self) -> _Slot:
        """Buffers and files for one block at a time."""
        headers = self.plan.headers
        inputs = ScatteredInputs(headers) if self._sampling else OpenInputs(headers, ahead=self._ahead)
        return _Slot(inputs, self.plan, self._details, self._draws, self._look)


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
    stored = block.tensor.inputs[-1].stored[0]
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


@dataclass(frozen=True, eq=False)
class _Measured:
    """What came of a block: its sums, and what `look` saw."""

    block: _Block
    sums: DeltaSums
    seen: Any


class _Reading(IteratedWork[_Block, _Measured]):
    """The reading of chosen blocks: a core.run.work.Work."""

    def __init__(self, survey: Survey, blocks: Iterator[_Block]) -> None:
        super().__init__(blocks)
        self._survey = survey

    def slot(self) -> _Slot:
        return self._survey.new_slot()

    def collect(self, done: _Measured) -> None:
        self._survey.add(done)


class _Slot:
    """Buffers and files for one block at a time: a core.run.work.Slot."""

    def __init__(self, inputs: Inputs, plan: MergePlan, details: bool, draws: int, look: Look | None) -> None:
        self._inputs, self._plan, self._look = inputs, plan, look
        self._details, self._draws = details, draws
        self._workspaces: dict[tuple[float, ...], DeltaWorkspace] = {}  # by the weights
        self._workspace: DeltaWorkspace | None = None
        self._sums: DeltaSums | None = None

    def fill(self, block: _Block) -> None:
        from core.kernels.deltas.workspace import DeltaWorkspace

        job, weights = block.tensor.job, self._plan.draw_weights(block.tensor)
        assert job is not None
        chances = shares(weights) if self._draws and weights is not None else ()
        if chances not in self._workspaces:
            self._workspaces[chances] = DeltaWorkspace(
                details=self._details, shares=chances, draws=self._draws
            )
        self._workspace = self._workspaces[chances]
        buffers = self._workspace.begin(job, block.elements)
        self._inputs.read(block.tensor.inputs, block.first, buffers)

    def compute(self, block: _Block) -> None:
        assert self._workspace is not None
        self._sums = self._workspace.run()

    def finish(self, block: _Block) -> _Measured:
        assert self._workspace is not None and self._sums is not None
        seen = None if self._look is None else self._look(self._workspace)
        return _Measured(block, self._sums, seen)

    def close(self) -> None:
        self._inputs.close()
