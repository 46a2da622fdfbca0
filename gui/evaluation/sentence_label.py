"""The sentence below the table of an evaluation: as many lines as it needs and as there is room for."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSizePolicy

from gui.evaluation.figures import ResultRow
from gui.widgets.plain import PlainLabel, tool_tip
from gui.widgets.theme import secondary
from gui.widgets.wrapped import fitting_lines, lines_of

__all__ = ["SentenceLabel", "said_of"]

_USUAL, _MOST = 2, 4
"""Lines: where it has no room for as many as usual it is out of sight."""


class SentenceLabel(PlainLabel):
    """What is cut off ends in "…", and the tool tip has all of it. It can be marked with the mouse.

    Attributes:
        sentence: the whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sentence = ""
        self.setWordWrap(True)
        secondary(self)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setMinimumHeight(1)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Maximum)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def fit(self, room: int) -> None:
        """Have no more than `room` pixels of height; of less than a few it is out of sight."""
        line = self.fontMetrics().lineSpacing()
        there = room // line
        lines = min(max(len(lines_of(self.sentence, self)), _USUAL), _MOST, max(there, _USUAL))
        shown = fitting_lines(self.sentence, self, lines)
        self.setText(" ".join(shown))
        cut = bool(shown) and shown[-1].endswith("…") and not self.sentence.endswith("…")
        self.setToolTip(tool_tip(self.sentence) if cut else "")
        self.setMaximumHeight(lines * line)
        self.setVisible(there >= _USUAL)


def said_of(row: ResultRow | None) -> str:
    """What there is to be said of a row; "" for nothing."""
    if row is None or row.state:
        return ""
    if row.comparison is not None:
        return row.comparison.sentence
    if row.figures is not None and row.is_reference:
        return "The others are compared with this one."
    return ""
