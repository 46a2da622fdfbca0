"""Long work in threads of its own. Everything that a signal carries is frozen."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path

from PySide6.QtCore import QObject, QThread, Signal, Slot

from core import Cancelled, CancelToken, MergeError, MergePlan, Progress, TensorRecord, plan_merge, run_merge
from core.deltas.findings import Findings, MergeTally
from core.deltas.preview import nothing_found
from core.estimate import work_of
from core.history import History, HistoryEntry
from core.kernels.devices import choose_devices
from gui.merge_setup import MergeSetup
from gui.reports import Failure, MergeResult, ModelSummary, PlanSummary

__all__ = ["Job", "JobKeeper", "MergeJob", "WarmUpJob", "read_summary"]

_STACK_BYTES = 16 * 1024**2
"""numba's compiler needs more than the 512 KiB that macOS gives a thread."""

_FINDINGS_EVERY_S = 0.25


class Job(QThread):
    """A thread that overrides run(). Keep it in a JobKeeper, so that it outlives its work."""

    def __init__(self) -> None:
        super().__init__()
        self.setStackSize(_STACK_BYTES)

    def cancel(self) -> None:
        """Ask the job to stop; a job that cannot stop goes on to its end."""


class JobKeeper(QObject):
    """Owns running jobs, and lets go of them when their threads have ended."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: set[Job] = set()
        self._stopped = False

    @property
    def idle(self) -> bool:
        """Whether no job runs."""
        return not self._jobs

    def start(self, job: Job) -> None:
        """Start `job`; not any more once all were stopped: signals of ended jobs may yet ask for others."""
        if self._stopped:
            return
        self._jobs.add(job)
        job.finished.connect(self._on_finished)
        job.start()

    def stop_all(self) -> None:
        """Cancel what can be cancelled, and return when all threads have ended; none is started later."""
        self._stopped = True
        for job in self._jobs:
            job.cancel()
        for job in list(self._jobs):
            job.wait()
        self._jobs.clear()

    @Slot()
    def _on_finished(self) -> None:
        for job in [job for job in self._jobs if job.isFinished()]:
            job.wait()  # isFinished() is true a moment before the thread has left
            self._jobs.discard(job)


class WarmUpJob(Job):
    """Imports and compiles what a merge needs, so that the first click does not have to."""

    def run(self) -> None:
        try:
            from core.dtypes import FLOATS
            from core.kernels.cpu import warm_up
            from core.kernels.deltas import compile_measures

            compile_measures(FLOATS["BF16"])  # first: a preview wants them at once
            warm_up(FLOATS["BF16"])
        except Exception as error:
            # Whatever is wrong here will be wrong in a merge, too, and be told there.
            print(f"warning: the kernels could not be warmed up: {error}", file=sys.stderr)


class MergeJob(Job):
    """One merge: recipe, plan, execution.

    Signals:
        planned(object): a PlanSummary; the models fit together.
        noted(object): a Failure that does not stop the merge.
        progressed(object): a core.Progress, about ten times a second.
        findings_changed(object): Findings with the tensors finished so far.
        succeeded(object): a MergeResult.
        failed(object): a Failure.
        cancelled(): it was stopped, and nothing is left of it.
        ended(): after exactly one of the three before.
    """

    planned = Signal(object)
    noted = Signal(object)
    progressed = Signal(object)
    findings_changed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    ended = Signal()

    def __init__(self, setup: MergeSetup, history: History, begun: Findings | None = None) -> None:
        """Args:
        setup: what to merge.
        history: where the run is written down.
        begun: what is known of the same models from looking at them.
        """
        super().__init__()
        self._begun = begun
        self._setup = setup
        self._history = history
        self._entry: HistoryEntry | None = None
        self._token = CancelToken()
        self._findings: Findings | None = None
        self._tally: MergeTally | None = None
        self._news = False
        self._next_findings_s = 0.0

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        try:
            result = self._merge()
        except Cancelled:
            self._note(lambda entry: entry.cancelled())
            self.cancelled.emit()
        except BaseException as error:
            failure = Failure.of(error)
            self._note(lambda entry: entry.failed(failure.message))
            self.failed.emit(failure)
        else:
            self._note(lambda entry: entry.done(result.record))
            self.succeeded.emit(result)
        self.ended.emit()

    def _merge(self) -> MergeResult:
        setup = self._setup
        out = Path(setup.out).expanduser().absolute()
        recipe = setup.recipe()
        self._entry = HistoryEntry.begin(recipe, out, setup.device)
        self._note(lambda entry: entry)
        plan = plan_merge(recipe, shard_size_bytes=setup.shard_size_bytes)
        self._token.raise_if_cancelled()
        self.planned.emit(_plan_summary(plan))
        self._findings = self._begun or nothing_found(plan)
        self._tally = MergeTally(self._findings.grid, equal_weights=plan.equal_weights)
        draws = recipe.method.needs_base
        measured = work_of(plan, choose_devices(setup.device), setup.threads)
        record = run_merge(
            plan,
            out,
            device=setup.device,
            threads=setup.threads,
            progress=self._on_progress,
            on_tensor=self._on_tensor if draws else None,
            cancel=self._token,
        )
        return MergeResult(record, out, plan.warnings, self._findings_so_far() if draws else None, measured)

    def _note(self, of: Callable[[HistoryEntry], HistoryEntry]) -> None:
        """Write the run into the history; a merge is worth more than its entry, and goes on without."""
        if self._entry is not None:
            try:
                self._history.add(of(self._entry))
            except MergeError as error:
                self.noted.emit(Failure.of(error))

    def _on_tensor(self, tensor: TensorRecord) -> None:
        if self._tally is not None:
            self._tally.add(tensor)
            self._news = True

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)
        started = time.monotonic()
        if not self._news or started < self._next_findings_s:
            return
        self._news = False
        self.findings_changed.emit(self._findings_so_far())
        # Summing up takes a while: spend a tenth of the time on it at most.
        ended = time.monotonic()
        self._next_findings_s = ended + max(_FINDINGS_EVERY_S, 9 * (ended - started))

    def _findings_so_far(self) -> Findings:
        assert self._findings is not None
        assert self._tally is not None
        findings = self._tally.added_to(self._findings)
        findings.prepare()
        return findings


def read_summary(folder: Path) -> ModelSummary:
    """What the headers in `folder` say; a problem where they say nothing."""
    try:
        return _summary(folder)
    except Exception as error:
        return ModelSummary(folder, folder.name or str(folder), problem=Failure.of(error))


def _summary(folder: Path) -> ModelSummary:
    from core.checkpoint.model import open_checkpoint

    model = open_checkpoint(folder)
    sizes: Counter[str] = Counter()
    for tensor in model.tensors.values():
        if tensor.dtype.is_float:
            sizes[tensor.dtype.name] += tensor.size_bytes
    return ModelSummary(
        folder=folder,
        name=model.name,
        parameters=sum(prod(tensor.shape) for tensor in model.tensors.values()),
        dtypes=tuple(name for name, _ in sizes.most_common()),
        size_bytes=model.size_bytes,
    )


def _plan_summary(plan: MergePlan) -> PlanSummary:
    return PlanSummary(
        bytes_to_read=plan.bytes_to_read,
        bytes_to_write=plan.bytes_to_write,
        tensors=len(plan.tensors),
        models=len(plan.models),
        warnings=plan.warnings,
    )
