"""What is marked in an answer: the words that differ."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtGui import QColor, QPalette, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit

from gui.widgets.theme import accent_of, is_dark

__all__ = ["cursor_at", "marks_of"]

_TINT_LIGHT, _TINT_DARK = 40, 60
"""Of 255: the accent behind words that differ, which stay as easy to read."""


def marks_of(
    view: QPlainTextEdit, text: str, spans: Iterable[tuple[int, int]], colours: QPalette
) -> list[QTextEdit.ExtraSelection]:
    """A mark for each of `spans` of `text`, which `view` shows; it is seen without its colour, too."""
    accent = accent_of(colours)
    ground = QColor(accent)
    ground.setAlpha(_TINT_DARK if is_dark(colours) else _TINT_LIGHT)
    look = QTextCharFormat()
    look.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
    look.setUnderlineColor(accent)
    look.setBackground(ground)
    marks = []
    for begin, end in spans:
        mark = QTextEdit.ExtraSelection()
        mark.format = look
        mark.cursor = cursor_at(view, text, begin)
        mark.cursor.setPosition(_units(text[:end]), QTextCursor.MoveMode.KeepAnchor)
        marks.append(mark)
    return marks


def cursor_at(view: QPlainTextEdit, text: str, place: int) -> QTextCursor:
    """In `view`, before the character with this number of `text`, which it shows."""
    cursor = QTextCursor(view.document())
    cursor.setPosition(_units(text[:place]))
    return cursor


def _units(text: str) -> int:
    """How Qt counts: in units of UTF-16."""
    return len(text) + sum(character > "\uffff" for character in text)
