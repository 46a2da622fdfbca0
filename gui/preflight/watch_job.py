"""Looking whether a staging folder is still as it was, in a job."""

from __future__ import annotations

import os

from PySide6.QtCore import Signal

from core import Leftover
from core.checkpoint.ownership import is_locked
from gui.jobs import Job

__all__ = ["WatchJob"]


class WatchJob(Job):
    """Looks at the lock of a staging folder, and at nothing in it.

    Signals:
        answered(bool): whether it is there, and owned or not, as it was.
    """

    answered = Signal(bool)

    def __init__(self, left: Leftover) -> None:
        """Args:
        left: as it was found before.
        """
        super().__init__()
        self._left = left

    def run(self) -> None:
        left = self._left
        self.answered.emit(os.path.lexists(left.path) and is_locked(left.path) == left.runs)
