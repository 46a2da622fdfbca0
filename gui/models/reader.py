"""Reads the headers of models in jobs, each folder once until it is read again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from gui.jobs import JobKeeper
from gui.models.known_models import KnownModels
from gui.models.read_jobs import ReadModelsJob
from gui.models.summary import ModelSummary

__all__ = ["Reader"]


class Reader(QObject):
    """Fills what is known of the models.

    Signals:
        learnt(): more is known; about ten times a second while headers are read.
    """

    learnt = Signal()

    def __init__(self, known: KnownModels, jobs: JobKeeper, parent: QObject) -> None:
        super().__init__(parent)
        self._known, self._jobs = known, jobs
        self._being_read: set[Path] = set()

    def read(self, folders: Iterable[Path]) -> None:
        """Read `folders`, also those that are known."""
        wanted = list(dict.fromkeys(folders))
        if wanted:
            self._being_read.update(wanted)
            job = ReadModelsJob(wanted)
            job.read.connect(self._on_read)
            self._jobs.start(job)

    def read_unknown(self, folders: Iterable[Path | None]) -> None:
        """Read those of `folders` that are not known and not being read."""
        known = self._known.summaries.keys() | self._being_read
        self.read(folder for folder in folders if folder is not None and folder not in known)

    @Slot(object)
    def _on_read(self, summaries: tuple[ModelSummary, ...]) -> None:
        self._known.add(summaries)
        self._being_read.difference_update(summary.folder for summary in summaries)
        self.learnt.emit()
