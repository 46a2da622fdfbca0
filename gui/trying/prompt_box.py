"""The box for the prompt."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from gui.widgets.theme import GRID

__all__ = ["PromptBox"]


class PromptBox(QPlainTextEdit):
    """Text of some lines; Tab leaves it, and Ctrl+Enter sends what is in it.

    Signals:
        send_requested(): Ctrl+Enter was pressed, which elsewhere in the window begins a merge.
    """

    send_requested = Signal()

    def __init__(self, lines: int, parent: QWidget | None = None) -> None:
        """Args: lines: how many are in sight."""
        super().__init__(parent)
        self._lines = lines
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # models and recipes are the window's, wherever they are dropped
        self.setFixedHeight(self.sizeHint().height())

    def sizeHint(self) -> QSize:
        edges = 2 * self.frameWidth() + 2 * int(self.document().documentMargin())
        return QSize(40 * GRID, self._lines * self.fontMetrics().lineSpacing() + edges)

    def minimumSizeHint(self) -> QSize:
        return QSize(16 * GRID, self.sizeHint().height())

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and _sends(event):
            event.accept()  # or the window's own action with these keys would get them
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if _sends(event):
            self.send_requested.emit()
        else:
            super().keyPressEvent(event)


def _sends(event: QEvent) -> bool:
    return (
        isinstance(event, QKeyEvent)
        and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        and event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.ControlModifier
    )
