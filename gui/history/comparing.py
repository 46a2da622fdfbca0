"""Comparing two runs of the history, which is shown in a picture."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from core.runs.history import HistoryEntry
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

    @Slot(object)
    def show(self, entry: HistoryEntry) -> None:
        """Go to the comparison, with `entry` as the first run."""
        self._pictures.comparison.choose(entry)
        self._pictures.show_comparison()

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
        job = self._job = ComparisonJob(left, right)
        picture = self._pictures.comparison
        job.found.connect(picture.show_difference)
        job.progressed.connect(picture.show_progress)
        job.failed.connect(picture.show_failure)
        job.ended.connect(picture.show_end)
        self._jobs.start(job)
