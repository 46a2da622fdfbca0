"""The line above the orders: which training is shown, what can be done with it, and what it is at."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QWidget

from gui.widgets.fields import defer_to_window
from gui.widgets.messages import ElidedLabel
from gui.widgets.theme import GRID, secondary

__all__ = ["TrainingTools"]

_USE, _USE_IN_SHORT = "Use these sub-models", "Use"
_NOTE = 12 * GRID
"""Pixels for what it is at, beyond the least, before a button takes them for its whole text."""


class TrainingTools(QWidget):
    """Takes no more room around it for more buttons than there is: the longest one is said in short first.

    Attributes:
        choice: which training is shown, where there are several.
        stop_button, go_on_button, open_button, use_button, dismiss_button: what can be done with it.
        note: what it is at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.choice = QComboBox()
        self.choice.setAccessibleName("Which training is shown")
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(12)
        defer_to_window(self.choice)
        self.stop_button = _button("Stop", "It keeps what it has done, and can be gone on with")
        self.go_on_button = _button("Go on", "Go on where it was stopped, to the same result")
        self.open_button = _button("Open folder", "Show the folder of the runs")
        self.use_button = _button(
            _USE, "Put the base and the finished orders into the recipe; Undo takes it back"
        )
        self.dismiss_button = _button("Remove", "List it here no more; its files stay where they are")
        self.note = ElidedLabel(elide=Qt.TextElideMode.ElideRight)
        secondary(self.note)
        for widget in (self.choice, self.stop_button, self.go_on_button, self.dismiss_button):
            widget.hide()
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(GRID)
        for widget in (
            self.choice,
            self.stop_button,
            self.go_on_button,
            self.open_button,
            self.use_button,
            self.dismiss_button,
        ):
            line.addWidget(widget)
        line.addWidget(self.note, 1)

    def minimumSizeHint(self) -> QSize:
        """Of the line with the longest button said in short."""
        least = super().minimumSizeHint()
        return QSize(least.width() - self._spare, least.height())

    def fit(self) -> None:
        """Say as much as there is room for; to be called after other buttons are shown."""
        whole = self.minimumSizeHint().width() + self._width_of(_USE) - self._width_of(_USE_IN_SHORT)
        words = _USE if self.width() >= whole + _NOTE else _USE_IN_SHORT
        if self.use_button.text() != words:
            self.use_button.setText(words)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()

    @property
    def _spare(self) -> int:
        """What it would save to say the longest button in short; 0 where it is."""
        return self._width_of(self.use_button.text()) - self._width_of(_USE_IN_SHORT)

    def _width_of(self, words: str) -> int:
        return self.use_button.fontMetrics().horizontalAdvance(words)


def _button(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setAccessibleName(text)
    button.setToolTip(tip)
    return button
