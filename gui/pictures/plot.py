"""What both pictures share: a calm plot in the colours of the palette."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QEvent
from PySide6.QtGui import QColor, QFontMetricsF, QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from gui.theme import GRID, heading, secondary

__all__ = ["Picture", "text_colour"]


class Picture(QWidget):
    """A heading, a sentence that says how to read the plot, the plot, and a line of text below.

    Attributes:
        plot: the pyqtgraph plot, which the mouse can point at but not drag.
        note: the line below.
    """

    def __init__(self, title: str, explanation: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finished = False
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAccessibleName(title)
        self._heading = heading(title)
        self._explanation = QLabel(explanation)
        self._explanation.setWordWrap(True)
        secondary(self._explanation)
        self.plot = pg.PlotWidget()
        self.plot.setFrameShape(pg.PlotWidget.Shape.NoFrame)
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.viewport().setAcceptDrops(False)  # they are for the window
        self.plot.setAcceptDrops(False)
        self.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.plot.setMinimumHeight(12 * GRID)
        # Room for the upper half of the topmost label, and below the axis.
        self.plot.getPlotItem().layout.setContentsMargins(0, GRID, 0, GRID // 2)
        self.note = QLabel()
        self.note.setWordWrap(True)
        secondary(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        layout.setSpacing(GRID // 2)
        layout.addWidget(self._heading)
        layout.addWidget(self._explanation)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.note)

    def finish(self) -> None:
        """To be called at the end of a subclass's constructor: from now on the colours follow the palette."""
        self._finished = True
        self.recolour()

    def recolour(self) -> None:
        """Take the colours of the palette; called again whenever it changes."""
        colours = self.palette()
        self.plot.setBackground(colours.color(QPalette.ColorRole.Base))
        for side in ("left", "bottom", "right", "top"):
            axis = self.plot.getPlotItem().getAxis(side)
            axis.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Mid)))
            axis.setTextPen(pg.mkPen(text_colour(colours)))

    def text_width(self, text: str) -> float:
        """Pixels that `text` takes in an axis."""
        return QFontMetricsF(self.font()).horizontalAdvance(text)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._finished:
            self.recolour()


def text_colour(colours: QPalette) -> QColor:
    return colours.color(QPalette.ColorRole.Text)
