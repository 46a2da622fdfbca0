"""Comparing two runs of the history, which is shown in a picture."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from core import Progress
from core.runs.difference import RunDifference
from core.runs.history import HistoryEntry
from gui.failure import Failure
from gui.history.comparison_job import ComparisonJob
from gui.jobs import JobKeeper
from gui.pictures.panel import PicturesPanel

__all__ = ["Comparing"]


class Comparing(QObject):
    """Compares the runs that are chosen in the picture, in a job, unless a merge runs."""

    def __init__(self, pictures: PicturesPanel, jobs: JobKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures, self._jobs = pictures, jobs
        self._job: ComparisonJob | None = None
        pictures.comparison.compare_requested.connect(self._on_compare)
        pictures.comparison.stop_requested.connect(self.stop)

    @Slot(object, object)
    def show(self, left: HistoryEntry, right: HistoryEntry) -> None:
        """Go to the comparison and compare the two runs."""
        self._pictures.show_comparison()
        self._pictures.comparison.compare(left, right)

    def set_merging(self, merging: bool) -> None:
        """Compare nothing while a merge runs, which needs the disk."""
        if merging:
            self.stop()
        self._pictures.comparison.set_merging(merging)

    @Slot()
    def stop(self) -> None:
        if self._job is not None:
            self._job.cancel()

    @Slot(object, object)
    def _on_compare(self, left: HistoryEntry, right: HistoryEntry) -> None:
        self.stop()  # of an earlier one nothing is shown any more
        job = self._job = ComparisonJob(left, right)
        job.found.connect(self._on_found)
        job.progressed.connect(self._on_progressed)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self._jobs.start(job)

    @Slot(object)
    def _on_found(self, difference: RunDifference) -> None:
        if self.sender() is self._job:
            self._pictures.comparison.show_difference(difference)

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        if self.sender() is self._job:
            self._pictures.comparison.show_progress(progress)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.sender() is self._job:
            self._pictures.comparison.show_failure(failure)

    @Slot()
    def _on_ended(self) -> None:
        if self.sender() is self._job:
            self._job = None
            self._pictures.comparison.show_end()
