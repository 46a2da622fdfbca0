"""What fine-tuning changed, without a merge: one streaming read, one of a sample, or a preview in rounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from core.checkpoint.inputs import OpenInputs
from core.delta_statistics import PREDICTED_DRAWS, DeltaStatistics, SumsOfBlocks, total_of
from core.errors import MergeError
from core.jobs import CancelToken, Progress, ProgressCallback
from core.kernels.delta_sums import DeltaSums
from core.merge_plan import MEMORY_BUDGET_BYTES, TensorPlan, usable_threads
from core.plan import plan_merge
from core.recipe import parse_recipe
from core.sampling import SAMPLE_BLOCK, ScatteredInputs, sampled_blocks, spread_blocks
from core.weights import normalised
from core.workers import allow_open_files, default_threads, run_workers

__all__ = [
    "PREVIEW_BLOCK",
    "PREVIEW_ROUNDS",
    "SAMPLE_BLOCK",
    "Inspection",
    "TensorInspection",
    "inspect_models",
    "preview_models",
    "sampled_blocks",
]

PREVIEW_BLOCK = 8_192
"""Elements of a block of a preview: small, so that one of each tensor of any model is read at once."""

PREVIEW_ROUNDS = 8
"""The last one ends with 128 blocks of each tensor, a million elements."""


@dataclass(frozen=True, eq=False)
class TensorInspection:
    """What was counted in one floating-point tensor.

    Attributes:
        name, shape: of the tensor.
        parameters: its elements.
        elements: those that were looked at; all without sampling.
        zero_delta: [K] of them, those of each sub-model with zero delta.
        changed_by: [K+1] elements changed by exactly m sub-models, m = 0..K.
        nonfinite: [K+1] NaN and infinite elements as stored, the base last.
        statistics: what follows for the whole tensor, with standard errors, and the other measures.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    elements: int
    zero_delta: tuple[int, ...]
    changed_by: tuple[int, ...]
    nonfinite: tuple[int, ...]
    statistics: DeltaStatistics


TensorCallback = Callable[[TensorInspection], None]
"""Called in the thread that called the job."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """The statistics of K sub-models beside their base.

    Attributes:
        models: the names of the sub-models. [K]
        base: the name of the base.
        sample: the fraction of the blocks that was asked for; in a preview, of the elements that were read.
        seed: of the choice of blocks.
        weights: the sub-models' weights that were given, [K]; None for equal ones.
        details: whether more was measured than counts.
        tensors: the floating-point ones, in the order of the base.
    """

    models: tuple[str, ...]
    base: str
    sample: float
    seed: int
    weights: tuple[float, ...] | None
    details: bool
    tensors: tuple[TensorInspection, ...]

    @property
    def statistics(self) -> DeltaStatistics | None:
        """Of all tensors together; None where there is none."""
        return total_of(tensor.statistics for tensor in self.tensors) if self.tensors else None


def inspect_models(
    base: str | Path,
    models: Sequence[str | Path],
    *,
    sample: float = 1.0,
    details: bool = False,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
    on_tensor: TensorCallback | None = None,
) -> Inspection:
    """Measure the deltas of `models` beside `base`, and how they overlap.

    On one machine the result depends on nothing but the models and `sample`, `details`, `weights` and
    `seed`; counts do not depend on the machine either.

    Args:
        base: the base's folder.
        models: the sub-models' folders.
        sample: the fraction of blocks to read, 0 < sample <= 1; the same blocks of every model, and
            at least one of each tensor.
        details: whether to measure magnitudes, norms, dot products and signs too, which takes about nine
            times the arithmetic with 10 sub-models.
        weights: [K] of the sub-models in the draws that `zero_after_draw` predicts; None for equal ones.
        seed: of the choice of blocks.
        threads: workers; None for one a core.
        cancel: looked at between blocks.
        progress: called about ten times a second in this thread.
        on_tensor: called in this thread with each tensor soon after its last block; in no order.

    Raises:
        MergeError: the models cannot be read or do not belong together.
        Cancelled: after `cancel.cancel()`.
    """
    if not 0 < sample <= 1:
        raise MergeError(f"the sample of {sample:g} is not a fraction", hint="give a number above 0, up to 1")
    survey = _Survey(base, models, details, weights, seed, threads, block=SAMPLE_BLOCK, sampling=sample < 1)
    chosen = [
        sampled_blocks(tensor.output.name, tensor.elements, sample, seed=seed)
        for tensor in survey.measured.values()
    ]
    bytes_total = round(sample * survey.plan.bytes_to_read)
    started = time.perf_counter()
    found: dict[int, TensorInspection] = {}

    def report() -> None:
        for number in survey.finished():
            found[number] = survey.inspection_of(number)
            if on_tensor is not None:
                on_tensor(found[number])
        if progress is not None:
            progress(survey.progress(bytes_total, len(found), time.perf_counter() - started))

    survey.read(chosen, cancel or CancelToken(), report)
    return survey.result([found[number] for number in survey.measured], sample)


def preview_models(
    base: str | Path,
    models: Sequence[str | Path],
    *,
    rounds: int = PREVIEW_ROUNDS,
    details: bool = False,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    threads: int | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[Inspection]:
    """Look at one small block of each tensor, then at twice as many in every round.

    Each round adds to the ones before and gives a whole Inspection, with standard errors that are NaN as
    long as a tensor has one block of several. It ends after `rounds`, or when all was read. The blocks of
    a tensor are the first ones of `spread_blocks`, of PREVIEW_BLOCK elements each.

    Args, Raises: as inspect_models.
    """
    survey = _Survey(base, models, details, weights, seed, threads, block=PREVIEW_BLOCK, sampling=True)
    token = cancel or CancelToken()
    sizes = [survey.blocks_of(tensor) for tensor in survey.measured.values()]
    before = 0
    for step in range(rounds):
        wanted = 2**step
        chosen = [
            spread_blocks(tensor.output.name, blocks, wanted, seed=seed)[before:] if blocks > before else []
            for blocks, tensor in zip(sizes, survey.measured.values(), strict=True)
        ]
        survey.read(chosen, token, lambda: None)
        yield survey.result([survey.inspection_of(number) for number in survey.measured])
        before = wanted
        if before >= max(sizes, default=0):
            return


@dataclass(frozen=True)
class _Block:
    """A run of elements of a tensor, the `position`-th of those that are read of it."""

    tensor: int
    position: int
    first: int
    elements: int


class _Survey:
    """The models, and what was found in their blocks so far."""

    def __init__(
        self,
        base: str | Path,
        models: Sequence[str | Path],
        details: bool,
        weights: Sequence[float] | None,
        seed: int,
        threads: int | None,
        *,
        block: int,
        sampling: bool,
    ) -> None:
        """`block` is the elements of a block, `sampling` whether some are left out."""
        recipe = parse_recipe(
            {
                "merge_method": "parameter_selection",
                "base_model": str(Path(base).absolute()),
                "models": [{"model": str(Path(model).absolute())} for model in models],
                "parameters": {"resamples": 0},
            },
            Path(),
        )
        self.plan = plan_merge(recipe)
        self.measured = {number: tensor for number, tensor in enumerate(self.plan.tensors) if tensor.job}
        self._details, self._seed, self._block, self._sampling = details, seed, block, sampling
        count = len(self.plan.models)
        self._weights = None if weights is None else _checked(weights, count)
        equal = self._weights is None or len(set(self._weights)) == 1
        self._shares = () if equal else tuple(normalised(self._weights or ()))
        self._draws = 0 if equal else PREDICTED_DRAWS
        self._threads = usable_threads(self.plan, threads or default_threads(), MEMORY_BUDGET_BYTES)
        self._lock = threading.Lock()
        self._found = {
            number: _InOrder(SumsOfBlocks(count, details=details, draws=self._draws, sampling=sampling))
            for number in self.measured
        }
        self._finished: list[int] = []
        self._last = ""

    def blocks_of(self, tensor: TensorPlan) -> int:
        return -(-tensor.elements // self._block)

    def read(self, chosen: Sequence[Sequence[int]], token: CancelToken, poll: Callable[[], None]) -> None:
        """Read the chosen blocks of each measured tensor, by their numbers, and add them up."""
        allow_open_files(self._threads * (len(self.plan.models) + 1) + 256)
        work = []
        for (number, found), blocks in zip(self._found.items(), chosen, strict=True):
            work.append((number, found.wanted, blocks))
            found.wanted += len(blocks)
            if found.complete:
                self._finished.append(number)
        run_workers(
            (
                self._block_at(number, position, index)
                for number, begun, blocks in work
                for position, index in enumerate(blocks, begun)
            ),
            lambda: _Worker(self, self._inputs(), self._details, self._shares, self._draws),
            threads=self._threads,
            token=token,
            poll=poll,
        )

    def add(self, block: _Block, sums: DeltaSums) -> None:
        """Take what a worker found; called from any thread."""
        with self._lock:
            found = self._found[block.tensor]
            found.add(block.position, sums)
            self._last = self.plan.tensors[block.tensor].output.name
            if found.complete:
                self._finished.append(block.tensor)

    def finished(self) -> list[int]:
        """The tensors that were finished since the last call."""
        with self._lock:
            numbers, self._finished = self._finished, []
        return numbers

    def inspection_of(self, number: int) -> TensorInspection:
        tensor, sums = self.plan.tensors[number], self._found[number].sums
        return TensorInspection(
            name=tensor.output.name,
            shape=tensor.output.shape,
            parameters=tensor.elements,
            elements=sums.elements,
            zero_delta=sums.count("zero_delta"),
            changed_by=sums.count("changed_by"),
            nonfinite=sums.count("nonfinite"),
            statistics=sums.statistics(tensor.elements, self.blocks_of(tensor)),
        )

    def progress(self, bytes_total: int, tensors_done: int, elapsed_s: float) -> Progress:
        done = sum(
            self._found[number].sums.elements * sum(stored.dtype.itemsize for stored in tensor.inputs)
            for number, tensor in self.measured.items()
        )
        return Progress(
            min(done, bytes_total), bytes_total, tensors_done, len(self.plan.tensors), elapsed_s, self._last
        )

    def result(self, tensors: Sequence[TensorInspection], sample: float | None = None) -> Inspection:
        """`sample` as it was asked for; None for the share that was read."""
        if sample is None:
            parameters = sum(tensor.parameters for tensor in tensors)
            sample = sum(tensor.elements for tensor in tensors) / parameters if parameters else 1.0
        assert self.plan.base is not None
        return Inspection(
            models=tuple(model.name for model in self.plan.models),
            base=self.plan.base.name,
            sample=sample,
            seed=self._seed,
            weights=self._weights,
            details=self._details,
            tensors=tuple(tensors),
        )

    def _block_at(self, number: int, position: int, index: int) -> _Block:
        first = index * self._block
        return _Block(number, position, first, min(self._block, self.measured[number].elements - first))

    def _inputs(self) -> OpenInputs | ScatteredInputs:
        return ScatteredInputs(self.plan.headers) if self._sampling else OpenInputs(self.plan.headers)


class _InOrder:
    """The sums of one tensor. Blocks come in any order and are added in that of their positions, so that
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
        self,
        survey: _Survey,
        inputs: OpenInputs | ScatteredInputs,
        details: bool,
        shares: Sequence[float],
        draws: int,
    ) -> None:
        from core.kernels.deltas import DeltaWorkspace

        self._survey, self._inputs = survey, inputs
        self._workspace = DeltaWorkspace(details=details, shares=shares, draws=draws)

    def handle(self, block: _Block) -> None:
        tensor = self._survey.measured[block.tensor]
        assert tensor.job is not None
        buffers = self._workspace.begin(tensor.job, block.elements)
        self._inputs.read(tensor.inputs, block.first, buffers)
        self._survey.add(block, self._workspace.run())

    def close(self) -> None:
        self._inputs.close()


def _checked(weights: Sequence[float], models: int) -> tuple[float, ...]:
    values = tuple(float(weight) for weight in weights)
    if len(values) != models:
        raise MergeError(f"there are {len(values)} weights for {models} sub-models")
    if not all(isfinite(value) and value >= 0 for value in values) or not any(values):
        raise MergeError(
            f"the weights {', '.join(f'{value:g}' for value in values)} are no chances of being drawn",
            hint="give weights that are not negative, and not all zero",
        )
    return values
