"""Where the form of a method is: as high as it is, or scrolled where there is less room."""

from __future__ import annotations

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.recipe.rest import Rest

__all__ = ["FormArea"]


class FormArea(Rest):
    """A form that takes the room that it needs where there is so much."""

    def __init__(self, content: QWidget) -> None:
        super().__init__(content)
        self._least = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)

    def set_least(self, height: int) -> None:
        """How high it is at least, in pixels, if what is in it is as high."""
        self._least = height
        self.updateGeometry()

    def least_height(self) -> int:
        return min(self._least, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()  # words may take fewer lines now, or more
