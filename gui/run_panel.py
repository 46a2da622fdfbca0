"""What happens and what happened: progress, results, errors."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from core import Progress
from core.units import bytes_text, duration_text
from gui.messages import ElidedLabel, MessagePanel
from gui.reports import Failure, MergeResult, PlanSummary
from gui.text import plural
from gui.theme import GRID, secondary

__all__ = ["RunPanel"]

_STEPS = 1000


class RunPanel(QWidget):
    """The strip below the pictures; empty, and of no height, until something happens.

    Attributes:
        message: the last result or error.
        bar: the progress bar.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = MessagePanel()
        self.message.action_requested.connect(self._on_open_folder)
        self._out = Path()
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(GRID)
        self.bar.setAccessibleName("Progress of the merge")
        self._percent, self._speed, self._left = (QLabel() for _ in range(3))
        self._tensor = ElidedLabel()
        secondary(self._tensor)
        facts = QHBoxLayout()
        facts.setSpacing(3 * GRID)
        for label, widest in (
            (self._percent, "100 %"),
            (self._speed, "999.9 MB/s"),
            (self._left, "99 min 59 s left"),
        ):
            label.setMinimumWidth(label.fontMetrics().horizontalAdvance(widest))
            facts.addWidget(label)
        facts.addWidget(self._tensor, 1)
        self._progress = QWidget()
        progress = QVBoxLayout(self._progress)
        progress.setContentsMargins(0, 0, 0, 0)
        progress.setSpacing(GRID // 2)
        progress.addWidget(self.bar)
        progress.addLayout(facts)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, GRID, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self.message)
        layout.addWidget(self._progress)
        self._progress.hide()

    # -- while a merge runs

    def begin(self) -> None:
        self.message.clear()
        self.bar.setValue(0)
        self._say("0 %", "", "", "Checking the models")
        self._progress.show()

    def show_plan(self, plan: PlanSummary) -> None:
        reads, writes = bytes_text(plan.bytes_to_read), bytes_text(plan.bytes_to_write)
        self._tensor.set_full_text(f"Reading {reads}, writing {writes}")

    def show_progress(self, progress: Progress) -> None:
        self.bar.setValue(int(_STEPS * progress.fraction))
        left = progress.remaining_s
        self._say(
            f"{100 * progress.fraction:.0f} %",
            f"{bytes_text(progress.bytes_per_s)}/s" if progress.bytes_done else "",
            f"{duration_text(left)} left" if left is not None else "",
            progress.tensor,
        )

    def show_cancelling(self) -> None:
        self._say(self._percent.text(), "", "", "Cancelling")

    # -- when it is over

    def show_result(self, result: MergeResult) -> None:
        self._progress.hide()
        self._out = result.out
        record = result.record
        took = f"{1000 * record.seconds:.0f} ms" if record.seconds < 0.1 else duration_text(record.seconds)
        facts = [
            f"{plural(len(record.tensors), 'tensor')}, {bytes_text(record.bytes_read)} read, "
            f"{bytes_text(record.bytes_written)} written to {result.out}",
            *result.warnings,
        ]
        self.message.show_success(f"Merged in {took}", "\n".join(facts), "Open folder")

    def show_cancelled(self) -> None:
        self._progress.hide()
        self.message.show_note("Cancelled. Nothing was written.")

    def show_failure(self, failure: Failure) -> None:
        self._progress.hide()
        self.message.show_failure(failure)

    # -- inside

    def _say(self, percent: str, speed: str, left: str, tensor: str) -> None:
        self._percent.setText(percent)
        self._speed.setText(speed)
        self._left.setText(left)
        self._tensor.set_full_text(tensor)

    @Slot()
    def _on_open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._out)))
