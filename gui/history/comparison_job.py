"""Comparing two runs, in a job."""

from __future__ import annotations

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, Progress, RunRecord, read_record
from core.errors import VerificationError
from core.runs.comparison import compare_runs
from core.runs.difference import difference_of_runs
from core.runs.history import HistoryEntry
from gui.failure import Failure
from gui.jobs import Job

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

    def __init__(self, left: HistoryEntry, right: HistoryEntry) -> None:
        """Args:
        left, right: the runs, which are done.
        """
        super().__init__()
        self._left, self._right = left, right
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        try:
            self._compare()
        except Cancelled:
            pass
        except Exception as error:
            self.failed.emit(Failure.of(error))
        self.ended.emit()

    def _compare(self) -> None:
        left, right = (self._own_record(entry) for entry in (self._left, self._right))
        self.found.emit(difference_of_runs(left, right))
        compared = compare_runs(
            self._left.out, self._right.out, cancel=self._token, progress=self._on_progress
        )
        _check_that_it_wrote(self._left, compared.left)
        _check_that_it_wrote(self._right, compared.right)
        self.found.emit(difference_of_runs(compared.left, compared.right, compared.tensors))

    def _own_record(self, entry: HistoryEntry) -> RunRecord:
        self._token.raise_if_cancelled()
        record = read_record(entry.out)
        _check_that_it_wrote(entry, record)
        return record

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)


def _check_that_it_wrote(entry: HistoryEntry, record: RunRecord) -> None:
    if not entry.wrote(record):
        raise VerificationError(
            f"the folder {entry.out.name} holds the output of a later merge",
            hint="choose that run instead, or another one",
            path=entry.out,
        )
