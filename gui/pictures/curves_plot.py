"""Curves with bands: losses by place in an epoch, or by training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette

from core.study.values import Curve
from gui.pictures.margins import with_margins
from gui.pictures.marks import Crosses, Discs
from gui.pictures.plot import Plot

__all__ = ["CurvesPlot", "DrawnCurve"]

_ALPHA, _ALPHA_MARKED = 40, 80
_ALPHA_OF_ALL, _LEAST_ALPHA = 100, 10
"""Of bands, of 255: of each, of a marked one, of all together that have a width, and the least of each."""

_MARGIN = 0.03
_LEAST_SPAN = 1e-6
"""Of the losses, relative to them: where they are all the same, the scale is not noise."""

_THICK = 2.5
"""A mean among what it is the mean of, in widths of a line."""

_DASHED = {"base": Qt.PenStyle.DotLine}


@dataclass(frozen=True)
class DrawnCurve:
    """One curve and how it is drawn.

    Attributes:
        colour: of its line or marks.
        crosses: whether it is × marks without a line and a band.
    """

    curve: Curve
    colour: QColor
    crosses: bool = False


class CurvesPlot(Plot):
    """Lines with bands, × marks without; discs where a line has few points.

    What is pointed at and chosen are (curve, point). The arrow keys go along a curve and to the next one.
    """

    _MOST_WITH_DISCS = 12

    def __init__(self) -> None:
        super().__init__("Losses of models as curves", "", "loss")
        self.curves: tuple[DrawnCurve, ...] = ()
        self.lines: list[pg.PlotCurveItem] = []
        self.bands: list[pg.FillBetweenItem] = []
        self.discs, self.crosses = Discs(6), Crosses(8)
        self._ends: list[pg.PlotCurveItem] = []
        self._at: tuple[int, int] | None = None
        self._marked: frozenset[int] = frozenset()
        self._here = pg.InfiniteLine(angle=90)
        self._here.hide()
        for item in (self._here, self.crosses, self.discs):
            self.addItem(item, ignoreBounds=True)

    def show_curves(self, curves: Sequence[DrawnCurve], x_label: str, y_label: str, *, anew: bool) -> None:
        """Show others; `anew` where a view that was zoomed means nothing any more."""
        for item in (*self.bands, *self.lines, *self._ends):
            self.removeItem(item)
        self.curves, self.bands, self.lines, self._ends = tuple(curves), [], [], []
        if anew:
            self.leave()
        self.setLabel("bottom", x_label)
        self.setLabel("left", y_label)
        self.fit_labels()
        for number, one in enumerate(self.curves):
            self._add(number, one)
        self._fit(anew=anew)
        self._paint()

    def mark(self, curves: frozenset[int]) -> None:
        """Have these stand out; nobody does where there are none."""
        self._marked = curves
        self._paint()

    def leave(self) -> None:
        """Go nowhere any more."""
        self._at = None
        self._here.hide()

    def recolour(self) -> None:
        super().recolour()
        self._here.setPen(pg.mkPen(self.palette().color(QPalette.ColorRole.PlaceholderText)))
        self._paint()

    def show_focus(self, shown: bool) -> None:
        super().show_focus(shown)
        self._paint()

    # -- keys and pointer

    def thing_at(self, x: float, y: float) -> tuple[int, int] | None:
        """The point that is nearest on the screen."""
        (left, right), (bottom, top) = self.view.viewRange()
        size = self.view.size()
        best: tuple[float, tuple[int, int]] | None = None
        for number, one in enumerate(self.curves):
            if not one.curve.x:
                continue
            across = (np.asarray(one.curve.x) - x) * size.width() / max(right - left, 1e-12)
            upward = (np.asarray(one.curve.mean) - y) * size.height() / max(top - bottom, 1e-12)
            distances = np.hypot(across, upward)
            at = int(np.nanargmin(distances)) if np.isfinite(distances).any() else None
            if at is not None and (best is None or distances[at] < best[0]):
                best = float(distances[at]), (number, at)
        return best[1] if best is not None else None

    def go(self, right: int, down: int) -> None:
        if not self.curves:
            return
        number, at = self._at if self._at is not None else (0, -right)
        number = min(max(number + down, 0), len(self.curves) - 1)
        at = min(max(at + right, 0), len(self.curves[number].curve.x) - 1)
        self.point_out((number, at))
        self.chosen.emit((number, at))

    def point_out(self, thing: tuple[int, int]) -> None:
        """Mark where a point is."""
        self._at = thing
        self._here.setPos(self.curves[thing[0]].curve.x[thing[1]])
        self._here.show()

    # -- inside

    def _add(self, number: int, one: DrawnCurve) -> None:
        """The band below everything, then the line; of marks nothing but their places."""
        curve = one.curve
        x = np.asarray(curve.x, np.float64)
        line = pg.PlotCurveItem(antialias=True)
        self.lines.append(line)
        if not one.crosses:
            ends = [pg.PlotCurveItem(x, np.asarray(end, np.float64)) for end in (curve.low, curve.high)]
            for end in ends:
                end.setPen(None)
                self._ends.append(end)
                self.addItem(end, ignoreBounds=True)
            band = pg.FillBetweenItem(*ends)
            band.setZValue(-10)
            self.bands.append(band)
            self.addItem(band, ignoreBounds=True)
            line.setData(x, np.asarray(curve.mean, np.float64))
        line.setZValue(1 if curve.role in ("merge", "mean", "anchor") else 0)
        self.addItem(line, ignoreBounds=True)

    def _fit(self, *, anew: bool) -> None:
        """Everything is seen, bands too; of marks their middles."""
        xs = [x for one in self.curves for x in one.curve.x]
        ys = [
            y
            for one in self.curves
            for ends in ((one.curve.mean,) if one.crosses else (one.curve.low, one.curve.high))
            for y in ends
            if np.isfinite(y)
        ]
        if not xs or not ys:
            return
        low, high, first, last = min(ys), max(ys), min(xs), max(xs)
        if high - low <= _LEAST_SPAN * abs(high):
            low, high = low - 0.01 * abs(low or 1.0), high + 0.01 * abs(high or 1.0)
        margin = _MARGIN * ((last - first) or 1.0)
        self.set_home((first - margin, last + margin), with_margins(low, high), anew=anew)

    def _paint(self) -> None:
        """In their colours; where some are marked the others step back."""
        discs: list[tuple[float, float]] = []
        disc_colours: list[QColor] = []
        crosses: list[tuple[float, float]] = []
        cross_colours: list[QColor] = []
        bands = iter(self.bands)
        seen = sum(not one.crosses and one.curve.low != one.curve.high for one in self.curves)
        usual = min(_ALPHA, max(_LEAST_ALPHA, _ALPHA_OF_ALL // max(1, seen)))
        for number, (one, line) in enumerate(zip(self.curves, self.lines, strict=True)):
            colour = QColor(one.colour)
            back = bool(self._marked) and number not in self._marked
            colour.setAlpha(90 if back else 255)
            points = list(zip(one.curve.x, one.curve.mean, strict=True))
            if one.crosses:
                crosses += points
                cross_colours += [colour] * len(points)
                continue
            style = _DASHED.get(one.curve.role, Qt.PenStyle.SolidLine)
            width = self.pen_width * (_THICK if one.curve.role == "mean" else 1)
            line.setPen(pg.mkPen(colour, width=width, style=style))
            tint = QColor(one.colour)
            tint.setAlpha(_ALPHA_MARKED if number in self._marked else usual // 2 if back else usual)
            next(bands).setBrush(pg.mkBrush(tint))
            if len(points) <= self._MOST_WITH_DISCS:
                discs += points
                disc_colours += [colour] * len(points)
        self.discs.show_discs(discs, disc_colours)
        self.crosses.show_discs(crosses, cross_colours)
