"""A plot with the layers from left to right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Slot

from core.text import one_line
from gui.pictures.margins import with_margins
from gui.pictures.plot import Plot
from gui.widgets.theme import accent_of

__all__ = ["ColumnsPlot"]


class ColumnsPlot(Plot):
    """Values by layer. The arrow keys go from layer to layer.

    What is pointed at and chosen is (column, height); the height is −1 where the column was gone to.
    """

    def __init__(self, name: str, x_label: str, y_label: str) -> None:
        super().__init__(name, x_label, y_label)
        self._labels: Sequence[str] = ()
        self._stacks: Sequence[str | None] = ()
        self._others = True
        self._selected: int | None = None
        self._band = pg.LinearRegionItem(movable=False)
        self._band.setZValue(5)
        self._band.hide()
        self.addItem(self._band, ignoreBounds=True)
        self.getPlotItem().getAxis("bottom").setStyle(tickLength=0, hideOverlappingLabels=False)
        self.view.sigResized.connect(self._write_labels)
        self.view.sigXRangeChanged.connect(self._write_labels)

    def show_columns(self, labels: Sequence[str], stacks: Sequence[str | None] = ()) -> None:
        """Name the columns, and say which stack of layers each belongs to."""
        self._stacks = tuple(stacks)
        if tuple(labels) != self._labels:
            self._labels = tuple(labels)
            self._others = True
        self._write_labels()

    def joined(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values are joined to the next one by a line: known ones of layers of one stack. [C]"""
        known = np.isfinite(values)
        same = [one is not None and one == other for one, other in pairwise(self._stacks)]
        joined: NDArray[np.bool_] = np.append(np.array(same, bool) & known[:-1] & known[1:], False)
        return joined[: len(values)]

    def fit(self, top: float, bottom: float = 0.0) -> None:
        """Show the columns from `bottom` to `top`; a view that was zoomed stays, unless the columns are
        others."""
        columns = max(1, len(self._labels))
        self.set_home((-0.5, columns - 0.5), with_margins(bottom, top), anew=self._others)
        self._others = False

    def select(self, column: int | None) -> None:
        """Mark a column; None for none."""
        self._selected = column
        self._band.setVisible(column is not None and column < len(self._labels))
        if column is not None:
            self._band.setRegion((column - 0.5, column + 0.5))

    def recolour(self) -> None:
        super().recolour()
        accent = accent_of(self.palette())
        for line in self._band.lines:
            line.setPen(pg.mkPen(accent, width=1))
        tint = accent_of(self.palette())
        tint.setAlpha(30)
        self._band.setBrush(pg.mkBrush(tint))

    def go(self, right: int, down: int) -> None:
        last = len(self._labels) - 1
        if right and last >= 0:
            column = 0 if self._selected is None else min(max(self._selected + right, 0), last)
            self.chosen.emit((column, -1.0))

    def thing_at(self, x: float, y: float) -> tuple[int, float] | None:
        column = math.floor(x + 0.5)
        return (column, y) if 0 <= column < len(self._labels) else None

    @Slot()
    def _write_labels(self) -> None:
        if not self._labels:
            return
        (left, right), _ = self.view.viewRange()
        width = self.view.size().width() / max(right - left, 1e-9)
        widest = max(self.fontMetrics().horizontalAdvance(label) for label in self._labels)
        step = math.ceil((widest + 12) / max(width, 1))
        ticks = [(at, one_line(self._labels[at])) for at in range(0, len(self._labels), step)]
        self.getPlotItem().getAxis("bottom").setTicks([ticks])
