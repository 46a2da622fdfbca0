"""A first look at K sub-models, refined in rounds, and then the exact one: what the pictures begin with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from core.cancel import CancelToken
from core.deltas.findings import Findings
from core.deltas.layer_grid import Cell, LayerGrid
from core.deltas.sampling import spread_blocks
from core.deltas.statistics import DeltaStatistics
from core.deltas.survey import WHOLE_BLOCK, Survey
from core.errors import merge_errors_only
from core.plan.merge_plan import MergePlan
from core.plan.whole_rows import changed_without_delta, measured_tensors
from core.progress import ProgressCallback

__all__ = ["PREVIEW_BLOCK", "PREVIEW_ROUNDS", "measure_plan", "nothing_found", "preview_plan"]

PREVIEW_BLOCK = 8_192
"""Elements of a block of a preview: small, so that one of each cell of any model is read at once."""

PREVIEW_ROUNDS = 8
"""The last one ends with 128 blocks of each cell, a million elements."""

_DETAILS_BYTES = 256 * 1024**2
"""More than so much is not held for norms and cosines; beyond it there are counts only."""

FindingsCallback = Callable[[Findings], None]
"""Called in the thread that called the job."""


def nothing_found(plan: MergePlan) -> Findings:
    """The frame of the pictures of `plan`: every layer and kind of module, and no numbers."""
    return Findings(
        models=tuple(model.name for model in plan.models),
        base="" if plan.base is None else plan.base.name,
        grid=LayerGrid.of(tensor.output.name for tensor in measured_tensors(plan)),
        equal_weights=plan.draws_equally,
        zero_tolerance=plan.recipe.zero_tolerance,
    )


def preview_plan(
    plan: MergePlan,
    *,
    rounds: int = PREVIEW_ROUNDS,
    details: bool = True,
    seed: int = 0,
    threads: int | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[Findings]:
    """Look at one small block of each cell, then at twice as many in every round.

    Each round adds to the ones before and gives whole Findings, with standard errors that are NaN as long
    as one block of several was read. It ends after `rounds`, or when all was read. The blocks of a cell are
    the first ones of `spread_blocks` under the name of its first tensor, of PREVIEW_BLOCK elements each.

    Args:
        plan: of a method that reads the base.
        rounds: at most so many.
        details: whether to measure norms, cosines and the like too; they are left out of models that are too
            many and too large for the memory that takes.
        seed: of the choice of blocks.
        threads: workers; None for as many as get the most done, up to one a core.
        cancel: looked at between blocks.

    Raises:
        CheckpointError: a file cannot be read, or has changed since it was planned with.
        Cancelled: after `cancel.cancel()`.
    """
    with merge_errors_only():  # around each round: as a decorator it would end before the first
        survey, frame, cells = _begin(plan, details, threads, PREVIEW_BLOCK, sampling=True)
        token = cancel or CancelToken()
        before = 0
        most = max((group.blocks for group in survey.groups), default=0)
        for step in range(rounds):
            wanted = 2**step
            chosen = [
                spread_blocks(group.tensors[0].output.name, group.blocks, wanted, seed=seed)[before:]
                if group.blocks > before
                else []
                for group in survey.groups
            ]
            survey.read(chosen, token, lambda: None)
            yield frame.inspected_as(_statistics(plan, survey, cells, range(len(cells))))
            before = wanted
            if before >= most:
                return


@merge_errors_only()
def measure_plan(
    plan: MergePlan,
    begun: Findings | None = None,
    *,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
    on_findings: FindingsCallback | None = None,
) -> Findings:
    """Measure everything: each cell in place of what was estimated of it.

    Args:
        plan: of a method that reads the base.
        begun: what is shown of cells that are not read yet, without a merge; None for nothing.
        threads, cancel: as for `preview_plan`.
        progress: called about ten times a second in this thread.
        on_findings: called in this thread with what is known so far, when cells were finished.

    Raises:
        As preview_plan.
    """
    survey, frame, cells = _begin(plan, True, threads, WHOLE_BLOCK, sampling=False)
    known = frame if begun is None else replace(begun, equal_weights=frame.equal_weights)
    bytes_total = sum(source.bytes_to_read for tensor in measured_tensors(plan) for source in tensor.inputs)
    started = time.perf_counter()
    done = 0

    def report() -> None:
        nonlocal done, known
        finished = survey.finished()
        if finished:
            known = known.inspected_as(_statistics(plan, survey, cells, finished))
        done += len(finished)
        if finished and on_findings is not None:
            on_findings(known)
        if progress is not None:
            progress(survey.progress(bytes_total, done, time.perf_counter() - started))

    chosen = [range(group.blocks) for group in survey.groups]
    survey.read(chosen, cancel or CancelToken(), report)
    return known if cells else known.inspected_as({})


def _begin(
    plan: MergePlan, details: bool, threads: int | None, block: int, *, sampling: bool
) -> tuple[Survey, Findings, list[Cell]]:
    frame = nothing_found(plan)
    tensor_of = {tensor.output.name: tensor for tensor in measured_tensors(plan)}
    cells = [
        cell for cell, names in frame.grid.tensors.items() if any(tensor_of[name].elements for name in names)
    ]
    groups = [[tensor_of[name] for name in frame.grid.tensors[cell]] for cell in cells]
    fits = len(cells) * _bytes_of_details(len(plan.models)) <= _DETAILS_BYTES
    survey = Survey(plan, groups, details=details and fits, threads=threads, block=block, sampling=sampling)
    return survey, frame, cells


def _bytes_of_details(models: int) -> int:
    """Of the totals and covariances of one cell, roughly."""
    return 8 * (10 * models**2 + 80 * models)


def _statistics(
    plan: MergePlan, survey: Survey, cells: Sequence[Cell], numbers: Iterable[int]
) -> dict[Cell, DeltaStatistics]:
    """Of these groups, with what a merge counts in their tensors though it has no delta."""
    whole = {tensor.output.name: tensor for tensor in plan.tensors if tensor.parts}
    found = {}
    for number in numbers:
        names = [tensor.output.name for tensor in survey.groups[number].tensors]
        more = sum((changed_without_delta(whole[name]) for name in names if name in whole), Counter())
        found[cells[number]] = survey.statistics(number).with_changed(more)
    return found
