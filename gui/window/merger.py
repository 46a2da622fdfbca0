"""Merging, as the window shows it: in the pictures, in the strip below them and in the log."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from core import Leftover, Progress
from core.runs.history import History
from core.units import bytes_text, duration_text
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.history.comparing import Comparing
from gui.jobs import JobKeeper
from gui.looking.looking import Looking
from gui.run.merge_job import MergeJob
from gui.run.panel import RunPanel, kept_text
from gui.run.result import MergeResult, PlanSummary
from gui.window.log_panel import LogPanel
from gui.words import percent_text

__all__ = ["Merger"]


class Merger(QObject):
    """Runs merges, one at a time, and shows how they go.

    Attributes:
        job: the merge that runs; None while none does.
        progress: how far it is; None before it has begun to read, and while none runs.
        result: of the last merge; None where it did not end well, or something else is worked on since.
        left: what the last merge has finished and left, when it did not end well; None for nothing.
        out: where the last merge went.

    Signals:
        planned(): it is in the history now.
        cancelling(): it was told to stop.
        noted(str): a sentence about it that is worth a look.
        progressed(): `progress` has changed.
        succeeded(object, object): the MergeSetup that was merged, and its MergeResult.
        failed(object): a Failure, which is shown in the strip.
        ended(): no merge runs any more.
    """

    planned = Signal()
    cancelling = Signal()
    noted = Signal(str)
    progressed = Signal()
    succeeded = Signal(object, object)
    failed = Signal(object)
    ended = Signal()

    def __init__(
        self,
        history: History,
        jobs: JobKeeper,
        looking: Looking,
        comparing: Comparing,
        run: RunPanel,
        log: LogPanel,
        parent: QObject | None = None,
    ) -> None:
        """Args:
        history: where the runs are written down.
        jobs: keeps the job.
        looking, comparing: keep still while a merge runs, which needs the machine.
        run, log: show how it goes.
        """
        super().__init__(parent)
        self._history, self._jobs = history, jobs
        self._looking, self._comparing = looking, comparing
        self._run, self._log = run, log
        self.job: MergeJob | None = None
        self._setup: MergeSetup | None = None
        self.progress: Progress | None = None
        self.result: MergeResult | None = None
        self.left: Leftover | None = None
        self._resumed: Leftover | None = None
        self._notes: list[str] = []

    @property
    def out(self) -> str:
        return self._setup.out if self._setup is not None else ""

    @property
    def fraction(self) -> float:
        """How much of the merge that runs is done, with what an earlier one did."""
        if self.progress is not None:
            return self.progress.fraction
        return self._resumed.fraction if self._resumed is not None else 0.0

    def begin(self, setup: MergeSetup, left: Leftover | None = None) -> None:
        """Merge `setup`; nothing is to be merged at that moment.

        Args:
            setup: what is merged.
            left: what an earlier merge left, which is gone on with; None for a new merge.
        """
        self.result = self.left = None
        self._setup, self._resumed, self._notes = setup, left, []
        self._comparing.set_merging(True)
        begun = self._looking.begin_merge(setup)
        job = self.job = MergeJob(setup, self._history, begun, resume=left is not None)
        job.planned.connect(self._on_planned)
        job.noted.connect(self._on_noted)
        job.told.connect(self._on_told)
        job.stage_begun.connect(self._on_stage_begun)
        job.kept.connect(self._on_kept)
        job.progressed.connect(self._on_progressed)
        job.findings_changed.connect(self._looking.show_merge)
        job.succeeded.connect(self._on_succeeded)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        job.ended.connect(self._on_ended)
        self._run.begin(left)
        if left is None:
            self._log.add(f"Merging into {setup.out}")
        else:
            self._log.add(f"Going on at {percent_text(left.fraction)} with the merge into {setup.out}")
        self._jobs.start(job)

    def cancel(self, *, keep: bool) -> None:
        """Stop the merge that runs, if any, and `keep` what it has finished, or remove it."""
        if self.job is not None:
            self._run.show_cancelling()
            self.job.cancel(keep=keep)
            self.cancelling.emit()

    def forget_result(self) -> None:
        """Something else is worked on now."""
        self.result = None
        self._looking.forget_merge()

    @Slot(object)
    def _on_planned(self, plan: PlanSummary) -> None:
        self._run.show_plan(plan)
        for warning in plan.warnings:
            self._log.add(warning, "warning")
        self.planned.emit()

    @Slot(object)
    def _on_noted(self, failure: Failure) -> None:
        self._log.add(failure.message, "warning")

    @Slot(str)
    def _on_told(self, text: str) -> None:
        self._notes.append(text)
        self._log.add(text)
        self.noted.emit(text)

    @Slot(str)
    def _on_stage_begun(self, text: str) -> None:
        self._run.show_stage(text)
        self._log.add(text)

    @Slot(object)
    def _on_kept(self, left: Leftover) -> None:
        self.left = left

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        self.progress = progress
        self._run.show_progress(progress)
        self.progressed.emit()

    @Slot(object)
    def _on_succeeded(self, result: MergeResult) -> None:
        self.result = result
        if result.findings is not None:
            self._looking.show_merge(result.findings)
        self._run.show_result(result, self._notes)
        took, written = duration_text(result.seconds), bytes_text(result.record.bytes_written)
        self._log.add(f"Merged in {took}: {written} written to {result.out}")
        self.succeeded.emit(self._setup, result)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._run.show_failure(failure, self.left, self._notes)
        self._log.add(f"{failure.message} {failure.hint or ''}".strip(), "error")
        if self.left is not None:
            self._log.add(kept_text(self.left))
        self.failed.emit(failure)

    @Slot()
    def _on_cancelled(self) -> None:
        self._run.show_cancelled(self.left)
        self._log.add(
            f"Cancelled; {kept_text(self.left) if self.left is not None else 'nothing was written'}"
        )

    @Slot()
    def _on_ended(self) -> None:
        self.job = self.progress = None
        self._looking.end_merge(done=self.result is not None)
        self._comparing.set_merging(False)
        self.ended.emit()
