"""Removing what a merge left, once the user has said so."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from core import Leftover
from gui.jobs import JobKeeper
from gui.run.discard_job import DiscardJob
from gui.window.questions import ask_to_remove

__all__ = ["Leftovers"]


class Leftovers(QObject):
    """Asks, and removes staging folders in jobs.

    Signals:
        removed(object): the Path of a staging folder that is no more.
        failed(object): a Failure, which is still to be shown.
        ended(): one removal is over.
    """

    removed = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, jobs: JobKeeper, window: QWidget) -> None:
        super().__init__(window)
        self._jobs, self._window = jobs, window

    @Slot(object)
    def ask_to_remove(self, left: Leftover) -> None:
        """Remove `left`, if the user agrees."""
        ask_to_remove(self._window, left, lambda: self._remove(left.path))

    def _remove(self, folder: Path) -> None:
        job = DiscardJob(folder)
        job.removed.connect(self.removed)
        job.failed.connect(self.failed)
        job.ended.connect(self.ended)
        self._jobs.start(job)
