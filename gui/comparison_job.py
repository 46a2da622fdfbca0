"""Comparing two runs in a thread of its own."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, Progress, read_record
from core.comparison import compare_runs
from core.run_difference import difference_of_runs
from gui.jobs import Job
from gui.reports import Failure

__all__ = ["ComparisonJob"]


class ComparisonJob(Job):
    """Compares what two runs counted, which is there at once, then the elements of their outputs.

    Signals:
        found(object): a RunDifference; twice, unless the second part fails or is cancelled.
        progressed(object): a core.Progress of the second part.
        failed(object): a Failure.
        ended(): after all others.
    """

    found = Signal(object)
    progressed = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, left: Path, right: Path) -> None:
        """Args:
        left, right: the output folders.
        """
        super().__init__()
        self._left, self._right = left, right
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        try:
            self.found.emit(difference_of_runs(read_record(self._left), read_record(self._right)))
            compared = compare_runs(self._left, self._right, cancel=self._token, progress=self._on_progress)
            self.found.emit(difference_of_runs(compared.left, compared.right, compared.tensors))
        except Cancelled:
            pass
        except Exception as error:
            self.failed.emit(Failure.of(error))
        self.ended.emit()

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)
