"""The strip below the pictures: progress, results, errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from PySide6.QtCore import QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from core import Leftover, Progress
from core.deltas.merge_name import MergeName
from core.text import cut, message_text
from core.units import bytes_text, duration_text
from gui.failure import Failure
from gui.run.result import MergeResult, PlanSummary
from gui.widgets.messages import ElidedLabel, MessagePanel
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, secondary
from gui.words import percent_text, plural

__all__ = ["RunPanel", "kept_text", "title_text"]

_STEPS = 1000
_MOST_LETTERS = 480
"""Of warnings in the strip, so that the pictures above it stay in sight."""
_OPEN, _AGAIN, _EVALUATE = "Open folder", "Merge again with another seed", "Evaluate this merge"
_RESUME, _REMOVE = "Resume", "Remove what it left…"


class RunPanel(QWidget):
    """The strip below the pictures; empty until something happens.

    Attributes:
        message: the last result or error.
        bar: the progress bar, over the bytes read and written.

    Signals:
        again_requested(): the same merge is wanted with another seed.
        resume_requested(): the merge that did not come to its end is to be gone on with.
        removal_requested(object): what it left, a core.Leftover, is to be removed.
        evaluate_requested(): it is to be measured what the merge is worth.
    """

    again_requested = Signal()
    resume_requested = Signal()
    removal_requested = Signal(object)
    evaluate_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = MessagePanel()
        self.message.action_requested.connect(self._on_action)
        self._stage = ""
        self._out = Path()
        self._kept: Leftover | None = None
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(GRID)
        self.bar.setAccessibleName("Progress of the merge")
        self._percent = _fact("100 %", "How much of all reading and writing is done")
        self._bytes = _fact("99.9 MB of 99.9 MB", "Weights read and written, of all that are")
        self._speed = _fact("99.9 MB/s", "The average speed of reading and writing so far")
        self._left = _fact("59 min 59 s left", "At the average speed so far")
        self._tensor = ElidedLabel()
        self._tensor.setAccessibleName("The tensor in hand")
        secondary(self._tensor)
        facts = QHBoxLayout()
        facts.setSpacing(2 * GRID)
        for label in (self._percent, self._bytes, self._speed, self._left):
            facts.addWidget(label)
        facts.addWidget(self._tensor, 1)
        self._progress = QWidget()
        progress = QVBoxLayout(self._progress)
        progress.setContentsMargins(0, 0, 0, 0)
        progress.setSpacing(GRID // 2)
        progress.addStretch(1)
        progress.addWidget(self.bar)
        progress.addLayout(facts)
        progress.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, GRID, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self.message)
        layout.addWidget(self._progress)
        self._progress.hide()

    # -- while a merge runs

    def begin(self, left: Leftover | None = None) -> None:
        """Args:
        left: what an earlier merge has finished, which is gone on with; None for a new merge.
        """
        self.message.clear()
        self._kept, self._stage = None, ""
        self.bar.setValue(int(_STEPS * left.fraction) if left is not None else 0)
        doing = "Checking the models" if left is None else "Checking what is finished"
        self._say(f"{int(100 * left.fraction) if left is not None else 0} %", "", "", "", doing)
        # As high as a result of two lines, so that nothing above moves when the merge ends.
        result = self.message.height_of_success(
            "Merged", "One line", [_OPEN, _AGAIN, _EVALUATE], self.width()
        )
        self._progress.setMinimumHeight(result)
        self._progress.show()

    def show_plan(self, plan: PlanSummary) -> None:
        reads, writes = bytes_text(plan.bytes_to_read), bytes_text(plan.bytes_to_write)
        self._tensor.set_full_text(f"Reading {reads}, writing {writes}")

    def show_stage(self, text: str) -> None:
        """Of several merges one begins, of which `text` says which: "Merge 1 of 2: first."."""
        self._stage = f"{text.removesuffix('.')}, "
        self._tensor.set_full_text(text)

    def show_progress(self, progress: Progress) -> None:
        self.bar.setValue(int(_STEPS * progress.fraction))
        left = progress.remaining_s
        self._say(
            title_text(progress),
            f"{bytes_text(progress.bytes_done)} of {bytes_text(progress.bytes_total)}",
            f"{bytes_text(progress.bytes_per_s)}/s" if progress.bytes_done > progress.bytes_before else "",
            f"{duration_text(left)} left" if left is not None else "",
            f"{self._stage}{progress.tensor}",
        )

    def show_cancelling(self) -> None:
        self._say(self._percent.text(), self._bytes.text(), "", "", "Cancelling")

    # -- when it is over

    def show_result(self, result: MergeResult, notes: Sequence[str] = ()) -> None:
        """Args:
        result: what came of the merge.
        notes: what the engine said while it merged, warnings among them.
        """
        self._progress.hide()
        self._out = result.out
        record = result.record
        facts = [
            f"{plural(len(record.tensors), 'tensor')}, {bytes_text(record.bytes_read)} read, "
            f"{bytes_text(record.bytes_written)} written to {result.out}",
            *_few([*result.warnings, *(note for note in notes if note not in result.warnings)]),
        ]
        draws = MergeName.of_record(record).draws
        self.message.show_success(
            f"Merged{'' if result.whole else ', the rest'} in {duration_text(result.seconds)}",
            "\n".join(facts),
            [_OPEN, _AGAIN, _EVALUATE] if draws else [_OPEN, _EVALUATE],
        )

    def show_cancelled(self, left: Leftover | None = None) -> None:
        """Args:
        left: what is kept of the merge; None where nothing is.
        """
        self._progress.hide()
        self._kept = left
        if left is None:
            self.message.show_note("Cancelled. Nothing was written.")
        else:
            self.message.show_note("Cancelled.", kept_text(left), [_RESUME, _REMOVE])

    def show_failure(self, failure: Failure, left: Leftover | None = None, notes: Sequence[str] = ()) -> None:
        """Args:
        failure: what went wrong.
        left: what is kept of the merge, where it was one and something is.
        notes: what else there is to know.
        """
        self._progress.hide()
        self._kept = left
        kept = None if left is None else kept_text(left, named=str(left.path) in failure.message)
        more = [failure.hint, kept, *notes]
        hint = "\n".join(text for text in more if text)
        self.message.show_failure(
            replace(failure, hint=hint or None), [_RESUME, _REMOVE] if left is not None else []
        )

    def show_aside(self, failure: Failure) -> None:
        """Say what went wrong beside a merge: one that runs is still shown, and what came of the last one is
        said again when this is dismissed."""
        self.message.show_aside(failure)

    def forget_left(self, folder: Path) -> None:
        """What was kept in `folder` is no more."""
        if self._kept is not None and self._kept.path == folder:
            self._kept = None
            self.message.clear()

    # -- inside

    def _say(self, percent: str, done: str, speed: str, left: str, tensor: str) -> None:
        self._percent.setText(percent)
        self._bytes.setText(done)
        self._speed.setText(speed)
        self._left.setText(left)
        self._tensor.set_full_text(tensor)

    @Slot(str)
    def _on_action(self, words: str) -> None:
        if words == _AGAIN:
            self.again_requested.emit()
        elif words == _EVALUATE:
            self.evaluate_requested.emit()
        elif words == _RESUME:
            self.resume_requested.emit()
        elif words == _REMOVE:
            self.removal_requested.emit(self._kept)
        elif words == _OPEN:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._out)))


def title_text(progress: Progress) -> str:
    """ "62 %", for the window's title; 100 % is said when nothing is left."""
    return f"{int(100 * progress.fraction)} %"


def kept_text(left: Leftover, *, named: bool = False) -> str:
    """ "62 % of the merge is kept in /models/merged.partial."; without the folder where that is `named`."""
    share = f"{percent_text(left.fraction)} of the merge" if left.fraction else "what was begun"
    where = "" if named else f" in {left.path}"
    return message_text(f"{share[0].upper()}{share[1:]} is kept{where}.")


def _few(sentences: Sequence[str]) -> list[str]:
    """The first of them, a line for each, as far as there is room; and where the rest stands."""
    shown = [
        one
        for one, letters in zip(sentences, accumulate(map(len, sentences)), strict=True)
        if letters <= _MOST_LETTERS
    ]
    shown = shown or [cut(one, _MOST_LETTERS) for one in sentences[:1]]
    more = len(sentences) - len(shown)
    return [*shown, f"{more} more in the log, and in README.md of the output."] if more else shown


def _fact(widest: str, tool_tip: str) -> QLabel:
    """A number whose changes move nothing beside it."""
    label = PlainLabel()
    label.setMinimumWidth(label.fontMetrics().horizontalAdvance(widest) + GRID)
    label.setToolTip(tool_tip)
    return label
