"""The box in which something is asked."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QMessageBox, QWidget

from gui.widgets.messages import without_icons

__all__ = ["QuestionBox"]


class QuestionBox(QMessageBox):
    """A question in plain text, whose buttons are words alone; gone when it is answered.

    Args:
        text: what it is about.
        told: the question, or what there is to know before it is answered; "" for nothing.
    """

    def __init__(self, parent: QWidget, text: str, told: str = "") -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setIcon(QMessageBox.Icon.Question)
        self.setWindowTitle("Paramosaic")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)
        self.setInformativeText(told)

    def showEvent(self, event: QShowEvent) -> None:
        without_icons(self)
        super().showEvent(event)
