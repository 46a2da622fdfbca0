"""What was left out of a recipe that is not understood as a whole: in a sentence, and as a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from core.recipe.keys import Obstacle
from core.text import cut, message_text, one_line
from gui.failure import sentence
from gui.widgets.messages import without_icons
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID
from gui.words import plural

__all__ = ["LeftOutDialog", "left_out_text"]

_MOST_NAMED, _MOST_LETTERS = 3, 90


class LeftOutDialog(QDialog):
    """Everything that was left out, which can be copied.

    Attributes:
        text: the list, a paragraph for each.
    """

    def __init__(self, path: Path, left_out: Sequence[Obstacle], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Paramosaic")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.text = "\n\n".join(map(_paragraph, left_out))
        shown = QPlainTextEdit(self.text)
        shown.setReadOnly(True)
        shown.setTabChangesFocus(True)
        shown.setAccessibleName("What is left out")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy all", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text))
        buttons.rejected.connect(self.reject)
        without_icons(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        heading = PlainLabel(f"Left out of {one_line(path.name)}, which stays as it is on the disk:")
        heading.setWordWrap(True)
        layout.addWidget(heading)
        layout.addWidget(shown, 1)
        layout.addWidget(buttons)
        self.resize(80 * GRID, 50 * GRID)


def left_out_text(left_out: Sequence[Obstacle]) -> tuple[str, str]:
    """How much was left out, as a sentence; and the first of it, a line for each."""
    count = f"{plural(len(left_out), 'thing')} {'is' if len(left_out) == 1 else 'are'} left out."
    lines = [cut(one_line(sentence(one.sentence)), _MOST_LETTERS) for one in left_out[:_MOST_NAMED]]
    more = len(left_out) - _MOST_NAMED
    return count, "\n".join([*lines, f"And {more} more."] if more > 0 else lines)


def _paragraph(one: Obstacle) -> str:
    return message_text(" ".join(filter(None, (sentence(one.sentence), one.hint and sentence(one.hint)))))
