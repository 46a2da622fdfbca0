"""How loss, learning rate and gradient norm go from step to step: a small plot of each."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Slot
from PySide6.QtGui import QColor, QPalette, QResizeEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from gui.pictures.margins import with_margins
from gui.pictures.marks import Discs
from gui.pictures.plot import Plot
from gui.training.progress import MEASURES, OrderProgress, thinned
from gui.widgets.fields import defer_to_window
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, model_colour, secondary

__all__ = ["Curves", "CurvesPlot"]

_TITLES = {
    "loss": "Loss (dots: validation)",
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
}
_LEAST_WIDTH = 22 * GRID
"""Pixels of one plot; where there is less for each, fewer are shown and one chooses which."""

_MOST_POINTS = 300
_QUIET = 60
"""Of 255: how much is seen of the lines of orders that are not selected."""

_LOWEST, _HIGHEST = 0.02, 0.98
"""Quantiles: single values beyond them do not squeeze all the others."""

_Drawn = tuple[int, int, int]


class CurvesPlot(Plot):
    """One measure of every order, by step.

    Attributes:
        measure: which one.
        lines: one for each order.
        dots: the losses of the validation data, where it shows losses.
    """

    def __init__(self, measure: str) -> None:
        super().__init__(f"{_TITLES[measure]} by step", "Step")
        self.measure = measure
        self.lines: list[pg.PlotCurveItem] = []
        self.dots = Discs(7)
        self.dots.setZValue(2)
        self.addItem(self.dots, ignoreBounds=True)
        self._orders: Sequence[OrderProgress] = ()
        self._drawn: list[_Drawn] = []
        self._selected: tuple[int, ...] = ()
        axis = self.getPlotItem().getAxis("left")
        axis.setStyle(autoExpandTextSpace=True)

    def show_orders(self, orders: Sequence[OrderProgress], selected: Collection[int]) -> None:
        """Show `orders`; those whose numbers are `selected` stand out, where any are."""
        self._orders, self._selected = orders, tuple(selected)
        while len(self.lines) > len(orders):
            self.removeItem(self.lines.pop())
            self._drawn.pop()
        while len(self.lines) < len(orders):
            self.lines.append(pg.PlotCurveItem(antialias=True))
            self._drawn.append((-1, -1, -1))
            self.addItem(self.lines[-1], ignoreBounds=True)
        changed = False
        for at, order in enumerate(orders):
            drawn = (id(order), len(order.steps), order.step)
            if drawn != self._drawn[at]:
                self.lines[at].setData(*thinned(order.steps, order.values[self.measure], _MOST_POINTS))
                self._drawn[at] = drawn
                changed = True
        self._colour_lines(orders)
        if self.measure == "loss":
            self._show_dots(orders)
        if changed:
            self._fit(orders)

    def recolour(self) -> None:
        super().recolour()
        for at, line in enumerate(self.lines):
            line.setPen(self._pen(at))
        if self.measure == "loss":
            self._show_dots(self._orders)

    # -- inside

    def _colour_lines(self, orders: Sequence[OrderProgress]) -> None:
        for at, order in enumerate(orders):
            self.lines[at].setPen(self._pen(at))
            self.lines[at].setZValue(1 if order.number in self._selected else 0)

    def _pen(self, at: int) -> object:
        return pg.mkPen(self._colour(at), width=1)

    def _colour(self, at: int) -> QColor:
        colour = model_colour(at, self.palette())
        if self._selected and at + 1 not in self._selected:
            colour.setAlpha(_QUIET)
        return colour

    def _show_dots(self, orders: Sequence[OrderProgress]) -> None:
        points: list[tuple[float, float]] = []
        colours: list[QColor] = []
        for at, order in enumerate(orders):
            x, y = thinned(order.eval_steps, order.eval_losses, _MOST_POINTS)
            points += zip(x.tolist(), y.tolist(), strict=True)
            colours += [self._colour(at)] * len(x)
        self.dots.show_discs(points, colours, self.palette().color(QPalette.ColorRole.Base))

    def _fit(self, orders: Sequence[OrderProgress]) -> None:
        last = max([1, *(max(order.of, order.step) for order in orders)])
        known = np.concatenate(
            [
                *(line.yData for line in self.lines if line.yData is not None),
                *(np.array(order.eval_losses) for order in orders if self.measure == "loss"),
            ]
        )
        low, high = _ends(known[np.isfinite(known)])
        if self.measure != "loss":
            low = min(low, 0.0)
        self.set_home((0.0, last * 1.02), with_margins(low, high))


class Curves(QWidget):
    """As many plots beside each other as there is room for; with less than all, one chooses the first.

    Attributes:
        plots: by measure, as far as they were made: each takes a moment.
        choice: which one comes first, in the place of its title.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plots: dict[str, CurvesPlot] = {}
        self.choice = QComboBox()
        self.choice.setAccessibleName("Which curves are shown")
        self.choice.setToolTip("Which curves are shown; more of them in a wider window")
        defer_to_window(self.choice)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GRID // 2)
        self._columns = {measure: _Titled(_TITLES[measure]) for measure in MEASURES}
        for measure, column in self._columns.items():
            self.choice.addItem(_TITLES[measure], measure)
            self._row.addWidget(column, 1)
            column.title.setMinimumHeight(self.choice.sizeHint().height())
        self.choice.currentIndexChanged.connect(self._place)
        self._place()

    def build_next(self) -> bool:
        """Make one plot more; whether there are others to be made."""
        measure = MEASURES[len(self.plots)]
        plot = self.plots[measure] = CurvesPlot(measure)
        self._columns[measure].column.addWidget(plot, 1)
        plot.recolour()
        return len(self.plots) < len(MEASURES)

    def show_orders(self, orders: Sequence[OrderProgress], selected: Collection[int]) -> None:
        """As every plot does."""
        for plot in self.plots.values():
            plot.show_orders(orders, selected)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    @Slot()
    def _place(self) -> None:
        room = min(max(self.width() // _LEAST_WIDTH, 1), len(MEASURES))
        all_fit = room == len(MEASURES)
        chosen = MEASURES[0] if all_fit else self.choice.currentData()
        order = sorted(MEASURES, key=lambda measure: measure != chosen)
        for at, measure in enumerate(order):
            column = self._columns[measure]
            self._row.insertWidget(at, column, 1)
            column.setVisible(at < room)
            column.title.setVisible(all_fit or at > 0)
        self._columns[order[0]].column.insertWidget(0, self.choice)
        self.choice.setVisible(not all_fit)


class _Titled(QWidget):
    """A title above the place of a plot."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = PlainLabel(title)
        secondary(self.title)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(0)
        self.column.addWidget(self.title)


def _ends(known: np.ndarray) -> tuple[float, float]:
    """Between which values nearly all lie."""
    if not len(known):
        return 0.0, 1.0
    low, high = (float(end) for end in np.quantile(known, (_LOWEST, _HIGHEST)))
    spread = high - low
    low = max(low - 0.25 * spread, float(known.min()))
    high = min(high + 0.25 * spread, float(known.max()))
    if math.isclose(low, high, rel_tol=1e-9):
        room = abs(high) * 0.05 or 1e-12
        return low - room, high + room
    return low, high
