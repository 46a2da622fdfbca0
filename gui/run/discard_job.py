"""Removing what a merge left, in a job."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal

from core import discard
from gui.failure import Failure
from gui.jobs import Job

__all__ = ["DiscardJob"]


class DiscardJob(Job):
    """Removes a staging folder.

    Signals:
        removed(object): the Path of the folder, which is no more.
        failed(object): a Failure.
        ended(): after exactly one of the two before.
    """

    removed = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def run(self) -> None:
        try:
            discard(self._folder)
        except Exception as error:
            self.failed.emit(Failure.of(error))
        else:
            self.removed.emit(self._folder)
        self.ended.emit()
