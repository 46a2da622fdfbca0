"""The scroll bar beside a forest plot, seen only where not all of its rows have room."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QScrollBar, QWidget

from gui.pictures.forest_plot import ForestPlot

__all__ = ["RowScroll", "beside_scroll"]

_STEPS = 100
"""Of a row."""


class RowScroll(QScrollBar):
    """Goes with the plot, and the plot with it."""

    def __init__(self, plot: ForestPlot) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.setAccessibleName("Rows in sight")
        self._plot = plot
        self.setSingleStep(_STEPS)
        self.hide()
        self.valueChanged.connect(lambda value: plot.show_from(value / _STEPS))
        plot.view.sigYRangeChanged.connect(self._follow)

    @Slot()
    def _follow(self) -> None:
        top, bottom = self._plot.view.viewRange()[1]
        seen, count = bottom - top, len(self._plot.rows)
        with QSignalBlocker(self):
            self.setPageStep(max(1, round(_STEPS * seen)))
            self.setRange(0, max(0, round(_STEPS * (count - seen))))
            self.setValue(round(_STEPS * (top + 0.5)))
        self.setVisible(count - seen > 0.01)


def beside_scroll(plot: ForestPlot) -> QWidget:
    """The plot with its scroll bar."""
    both = QWidget()
    line = QHBoxLayout(both)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(0)
    line.addWidget(plot, 1)
    line.addWidget(RowScroll(plot))
    return both
