"""Where the form of a method is: as high as it is, or scrolled where there is less room."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy

from gui.recipe.parameter_form import ParameterForm
from gui.widgets.rest import Rest

__all__ = ["FormArea"]

_NO_BOUND = 1 << 24


class FormArea(Rest):
    """A form that takes the room that it needs where there is so much."""

    def __init__(self, form: ParameterForm) -> None:
        super().__init__(form)
        self._form = form
        self._least, self._most = 0, _NO_BOUND
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)

    def set_least(self, height: int) -> None:
        """How high it is at least, in pixels, if what is in it is as high."""
        self._least = height
        self.updateGeometry()

    def set_most(self, height: int | None) -> None:
        """How high it may be at most, in pixels; None for as high as what is in it."""
        most = _NO_BOUND if height is None else height
        if most != self._most:
            self._most = most
            self.updateGeometry()

    def least_height(self) -> int:
        return min(self._least, super().sizeHint().height())

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        return QSize(hint.width(), min(hint.height(), max(self._most, self._least)))

    def minimumSizeHint(self) -> QSize:
        return QSize(self._form.least_width + self._bar_width, self.least_height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            # Whether or not there is a scroll bar: or else the form could make it come and go.
            self._form.set_room(self.width() - self._bar_width)
            self.updateGeometry()  # words may take fewer lines now, or more

    @property
    def _bar_width(self) -> int:
        return self.verticalScrollBar().sizeHint().width()
