"""What the answers differ in, marked in their columns while they are written."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtWidgets import QComboBox

from gui.jobs import JobKeeper
from gui.trying.column import AnswerColumn
from gui.trying.compare_job import CompareJob
from gui.trying.differences import Difference

__all__ = ["Comparing"]

_COMPARE_MS = 250


class Comparing(QObject):
    """Compares the columns with one of them, in a job, and again where they have changed meanwhile."""

    def __init__(
        self, columns: Sequence[AnswerColumn], reference: QComboBox, jobs: JobKeeper, parent: QObject
    ) -> None:
        """Args:
        columns: what is compared.
        reference: its choices are the columns, in that order, and after them nothing at all.
        jobs: keeps the job.
        """
        super().__init__(parent)
        self._columns, self._reference, self._jobs = tuple(columns), reference, jobs
        self._job: CompareJob | None = None
        self._again = False
        self._compared: tuple[int, tuple[str, ...]] = (0, ())
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_COMPARE_MS)
        self._soon.timeout.connect(self.compare)
        reference.currentIndexChanged.connect(self.compare)

    def compare_soon(self) -> None:
        """In a moment, however often it is asked for until then."""
        if not self._soon.isActive():
            self._soon.start()

    @Slot()
    def compare(self) -> None:
        """Mark what differs now."""
        self._soon.stop()
        if self._job is not None:
            self._again = True
            return
        self._again = False
        number = self._reference.currentIndex()
        if number >= len(self._columns):
            self._mark((None,) * len(self._columns))
            return
        self._compared = number, tuple(column.text for column in self._columns)
        self._job = CompareJob([column.said for column in self._columns], number)
        self._job.compared.connect(self._on_compared)
        self._job.finished.connect(self._on_finished)
        self._jobs.start(self._job)

    @Slot(object)
    def _on_compared(self, found: tuple[Difference | None, ...]) -> None:
        if self._reference.currentIndex() == self._compared[0]:
            self._mark(found)

    @Slot()
    def _on_finished(self) -> None:
        self._job = None
        if self._again:
            self.compare()

    def _mark(self, found: Sequence[Difference | None]) -> None:
        said = self._compared[1] if found and self._job is not None else None
        done = all(column.finished for column in self._columns)
        for number, (column, difference) in enumerate(zip(self._columns, found, strict=True)):
            if said is None or column.text.startswith(said[number]):
                column.mark(difference, self._reference.currentText())
                if done:
                    column.show_first_difference()
