"""Looking whether a merge began or ended in an output folder, in a job."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import Signal

from core import Leftover
from core.checkpoint.ownership import is_locked
from core.checkpoint.staging import staging_path
from gui.jobs import Job

__all__ = ["WatchJob"]


class WatchJob(Job):
    """Looks whether there is a staging folder, and at its lock; at nothing else in it.

    Signals:
        answered(bool): whether all is as it was.
    """

    answered = Signal(bool)

    def __init__(self, out: Path, left: Leftover | None) -> None:
        """Args:
        out: the output folder, absolute.
        left: the staging folder as it was found before; None where there was none.
        """
        super().__init__()
        self._out, self._left = out, left

    def run(self) -> None:
        folder, left = staging_path(self._out), self._left
        there = os.path.lexists(folder)
        self.answered.emit(there == (left is not None) and (left is None or is_locked(folder) == left.runs))
