"""Words of others in the window: names, paths and messages are text there, whatever they look like.

Qt takes for rich text what looks like it in labels and tool tips, and "&" in a button or a menu for the mark
of its key. Tables, fields and combo boxes draw what they are given.
"""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtWidgets import QLabel, QWidget

from core.text import message_text, one_line

__all__ = ["PlainLabel", "menu_text", "plain_lines", "tool_tip"]


class PlainLabel(QLabel):
    """A label that shows text as it is."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str) -> None:
        super().setText(plain_lines(text))


def plain_lines(text: str) -> str:
    """`text` with its lines, each bounded and with everything in it seen."""
    return "\n".join(map(message_text, text.split("\n")))


def tool_tip(text: str) -> str:
    """`text`, of one line or more, for a tool tip."""
    text = plain_lines(text)
    if not GuiQt.mightBeRichText(text):
        return text
    return f'<p style="white-space: pre-wrap">{escape(text)}</p>'


def menu_text(text: str) -> str:
    """`text` within the words of a button or a menu, where "&" has a meaning."""
    return one_line(text).replace("&", "&&")
