"""How the magnitudes of deltas are distributed, a stepped line for each sub-model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Slot
from PySide6.QtGui import QColor

from core.deltas.statistics import LOWEST_EXPONENT, DeltaStatistics
from core.units import share_text
from gui.pictures.margins import with_margins
from gui.pictures.plot import Plot
from gui.widgets.theme import GRID, accent_of

__all__ = ["HistogramPlot"]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class HistogramPlot(Plot):
    """From left to right |τ| by powers of two; upwards the share of parameters.

    What is pointed at and chosen is the exponent of a power of two.
    """

    def __init__(self) -> None:
        super().__init__("Histogram of the magnitudes of deltas", "|τ|, powers of two", "% of the parameters")
        self.steps: list[pg.PlotCurveItem] = []
        self._edges = np.arange(2)
        self._details: DeltaStatistics | None = None
        self._at: int | None = None
        self._band = pg.LinearRegionItem(movable=False)
        self._band.hide()
        self.addItem(self._band, ignoreBounds=True)
        self.view.sigResized.connect(self._write_powers)

    def show_histogram(self, details: DeltaStatistics | None, colours: Sequence[QColor]) -> None:
        """Show other deltas; None for none. A colour for each sub-model."""
        self._details = details if details is not None and details.parameters else None
        self.leave()
        while len(self.steps) > len(colours):
            self.removeItem(self.steps.pop())
        while len(self.steps) < len(colours):
            self.steps.append(pg.PlotCurveItem([0, 1], [np.nan], stepMode="center"))
            self.addItem(self.steps[-1], ignoreBounds=True)
        if self._details is None:
            for step in self.steps:
                step.setData([0, 1], [np.nan])
            return
        shares = 100 * self._details.histogram / self._details.parameters
        filled = np.flatnonzero(shares.any(axis=0))
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 1)
        self._edges = np.arange(first, last + 1) + LOWEST_EXPONENT
        for number, (step, colour) in enumerate(zip(self.steps, colours, strict=True)):
            step.setPen(pg.mkPen(colour, width=1))
            step.setData(self._edges, shares[number, first:last])
        low, high = int(self._edges[0]), int(self._edges[-1])
        self._write_powers()
        self.set_home((low - 0.3, high + 0.3), with_margins(0.0, 1.08 * float(shares.max()) or 1.0))

    def text_of(self, exponent: int) -> str:
        """The shares between two powers of two."""
        if self._details is None:
            return ""
        shares = self._details.histogram[:, exponent - LOWEST_EXPONENT] / self._details.parameters
        low, high = share_text(float(shares.min())), share_text(float(shares.max()))
        span = low if low == high else f"{low} to {high}"
        return f"{span} of the deltas lie from {_power(exponent)} to {_power(exponent + 1)}"

    def go(self, right: int, down: int) -> None:
        if right and self._details is not None:
            first, last = int(self._edges[0]), int(self._edges[-1]) - 1
            self._at = first if self._at is None else min(max(self._at + right, first), last)
            self._band.setRegion((self._at, self._at + 1))
            self._band.show()
            self.chosen.emit(self._at)

    def leave(self) -> None:
        """Go nowhere any more."""
        self._at = None
        self._band.hide()

    def recolour(self) -> None:
        super().recolour()
        tint = accent_of(self.palette())
        for line in self._band.lines:
            line.setPen(pg.mkPen(tint, width=1))
        tint.setAlpha(30)
        self._band.setBrush(pg.mkBrush(tint))

    @Slot()
    def _write_powers(self) -> None:
        """As many as there is room for, and no more than six or seven."""
        if self._details is None:
            return
        first, last = int(self._edges[0]), int(self._edges[-1])
        widest = self.fontMetrics().horizontalAdvance(_power(first)) + GRID
        most = max(1, min(6, int(self.view.size().width() / widest)))
        self.getPlotItem().getAxis("bottom").setTicks([_powers(first, last, most)])

    def thing_at(self, x: float, y: float) -> int | None:
        exponent = int(np.floor(x))
        return exponent if self._edges[0] <= exponent < self._edges[-1] else None


def _powers(first: int, last: int, most: int) -> list[tuple[float, str]]:
    """About `most` of 2⁻⁴⁸ … 2¹⁵."""
    step = max(1, -(-(last - first) // most))
    return [(exponent, _power(exponent)) for exponent in range(first + step // 2, last + 1, step)]


def _power(exponent: int) -> str:
    return f"2{str(exponent).translate(_SUPERSCRIPTS)}"
