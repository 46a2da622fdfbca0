"""Where the numbers of the pictures come from, and the way to exact ones."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from gui.pictures.shown import Shown
from gui.widgets.theme import GRID, secondary
from gui.widgets.wrapped import WrappedLabel

__all__ = ["SourceLine"]


class SourceLine(QWidget):
    """A sentence, and a button that measures everything, or stops that.

    Attributes:
        button: "Measure exactly" or "Stop".

    Signals:
        measure_requested(): exact numbers are wanted.
        stop_requested(): they are not wanted any more.
    """

    measure_requested = Signal()
    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self._measuring = False
        self._text = WrappedLabel(lines=2)
        secondary(self._text)
        self.button = QPushButton()
        self.button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.button.clicked.connect(self._on_clicked)
        keeps = self.button.sizePolicy()
        keeps.setRetainSizeWhenHidden(True)  # nothing moves when it comes and goes
        self.button.setSizePolicy(keeps)
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * GRID, 0, 2 * GRID, GRID)
        row.setSpacing(GRID)
        row.addWidget(self._text, 1)
        row.addWidget(self.button)
        self.show_source(Shown())

    @property
    def text(self) -> str:
        return self._text.text()

    def show_source(self, shown: Shown) -> None:
        """Say where the numbers of `shown` come from."""
        measuring = shown.activity == "measuring"
        self._measuring = measuring
        self._text.setText(shown.source)
        self.button.setText("Stop" if measuring else "Measure exactly")
        self.button.setToolTip(
            "Leave the rest estimated"
            if measuring
            else "Read every weight of every model, in place of a sample"
        )
        self.button.setVisible(shown.offers_to_measure or measuring)

    def _on_clicked(self) -> None:
        (self.stop_requested if self._measuring else self.measure_requested).emit()
