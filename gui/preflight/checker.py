"""Keeps a report of what a merge would do up to date, and makes ready what it needs."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core.runs.learned import Learned
from gui.document.merge_setup import MergeSetup
from gui.jobs import JobKeeper
from gui.preflight.plan_job import PlanJob
from gui.preflight.report import PlanReport
from gui.preflight.warm_up_jobs import CalibrateJob, WarmUpJob
from gui.preflight.watch_job import WatchJob

__all__ = ["Checker"]

_AFTER_MS = 150
"""A pause in typing, after which the plan is made again."""

_WATCH_MS = 3000
"""How often is looked whether another merge into the same folder still runs."""


class Checker(QObject):
    """Plans the merge of the set-up that it was given last, in a job.

    Where another merge writes into the same folder, it looks now and then whether that has ended.

    Signals:
        began(): a report is on its way.
        reported(object): a PlanReport about the last set-up.
        compiling(float): the share of what is compiled once that is done, 0 to 1, at a first start.
    """

    began = Signal()
    compiling = Signal(float)
    reported = Signal(object)

    def __init__(self, jobs: JobKeeper, learned: Learned, parent: QObject | None = None) -> None:
        """Args:
        jobs: keeps the jobs.
        learned: what is known of this machine, which each report reads anew.
        """
        super().__init__(parent)
        self._jobs, self._learned = jobs, learned
        self._setup: MergeSetup | None = None
        self._job: PlanJob | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_AFTER_MS)
        self._pause.timeout.connect(self._start)
        self._report: PlanReport | None = None
        self._watching: WatchJob | None = None
        self._watch = QTimer(self)
        self._watch.setSingleShot(True)
        self._watch.setInterval(_WATCH_MS)
        self._watch.timeout.connect(self.look_again)

    def check_soon(self, setup: MergeSetup) -> None:
        """Report on `setup` after a pause; the reports of earlier ones are not wanted any more."""
        self.stop()
        self._setup = setup
        self._pause.start()

    def check_now(self, setup: MergeSetup) -> None:
        """Report on `setup`."""
        self.stop()
        self._setup = setup
        self._start()

    def stop(self) -> None:
        """Report on nothing until the next call."""
        self._pause.stop()
        self._watch.stop()
        self._report = self._watching = None
        if self._job is not None:
            self._job.cancel()
            self._job = None

    @Slot()
    def look_again(self) -> None:
        """Report anew if another merge began or ended in the output folder, or what it left is no more."""
        if self._report is not None and Path(self._report.setup.out).is_absolute():
            self._watch.stop()
            self._watching = WatchJob(Path(self._report.setup.out), self._report.left)
            self._watching.answered.connect(self._on_watched)
            self._jobs.start(self._watching)

    @Slot()
    def warm_up(self) -> None:
        """Import, compile and, at a first start, measure the kernels, before they are needed."""
        job = WarmUpJob()
        job.compiling.connect(self.compiling)
        job.finished.connect(self._calibrate)
        self._jobs.start(job)

    @Slot()
    def _start(self) -> None:
        if self._setup is not None:
            self._job = PlanJob(self._setup, self._learned)
            self._job.reported.connect(self._on_reported)
            self.began.emit()
            self._jobs.start(self._job)

    @Slot(object)
    def _on_reported(self, report: PlanReport) -> None:
        if self.sender() is self._job:  # and not an earlier one
            self._report = report
            if report.left is not None and report.left.runs:
                self._watch.start()
            self.reported.emit(report)

    @Slot(bool)
    def _on_watched(self, same: bool) -> None:
        report = self._report
        if self.sender() is not self._watching or report is None:
            return  # something else is reported on by now
        if not same:
            self.check_now(report.setup)
        elif report.left is not None and report.left.runs:
            self._watch.start()

    @Slot()
    def _calibrate(self) -> None:
        if self._job is None:  # a merge runs, and needs the cores
            return
        job = CalibrateJob(self._learned)
        job.calibrated.connect(self._on_calibrated)
        self._jobs.start(job)

    @Slot()
    def _on_calibrated(self) -> None:
        if self._job is not None and self._setup is not None:
            self.check_now(self._setup)
