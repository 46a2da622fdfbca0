"""A forest plot: differences to a reference, each on a line of its own with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import isclose, isfinite

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QColor, QFont, QPalette, QWheelEvent

from core.text import one_line
from gui.pictures.forest_rows import ForestRow, scale_of
from gui.pictures.marks import Arrowheads, Discs
from gui.pictures.plot import Plot
from gui.pictures.scored import Tone
from gui.widgets.theme import ERROR, GRID, SUCCESS, accent_of

__all__ = ["ForestPlot"]

_WIDEST_NAME = 24 * GRID
_LEAST_PLOT = 22 * GRID
"""Left for the intervals: of less, the numbers beside the verdicts give way; the read-out has them."""

_SMALLEST_FONT = 0.82
"""Of the usual size, where that lets each row have its name."""

_ROWS_A_NOTCH = 3
"""That the wheel scrolls."""

_LEAST_ZOOM = 1e-3
"""Of the whole scale, what is seen at least."""

_CAP = 0.14
"""Half of the height of the ends of an interval, in rows."""

_LINES_OF_SCALE = 3
"""What the lower axis takes with its name."""

_BEYOND_AXIS = 3 * GRID
"""Pixels that a number at an end of the scale may stand beyond it."""

_AXIS_ROOM = 16
"""Pixels between a text beside an axis and the axis, with what lies beyond the text."""


class ForestPlot(Plot):
    """From top to bottom the rows; from left to right their differences, zero marked.

    A disc is filled where a difference is shown and a ring where none is. What lies beyond the ends of the
    scale is an arrowhead at the end. What is pointed at and chosen is the number of a row; the arrow keys go
    from one to the next. Where not every row has room for its name, as many are in sight as have, and the
    wheel scrolls; with Ctrl it zooms.

    Attributes:
        rows: what is shown.
        zero, intervals, discs, rings, heads: the marks; intervals by what the verdict says.
    """

    rows: tuple[ForestRow, ...] = ()  # the constructor asks
    _near = False
    _unsaid = ""
    _seen = 0.0
    """The most rows in sight; 0 before there are any."""

    def __init__(self) -> None:
        super().__init__("Differences with their intervals, by model", "Difference")
        self._order: tuple[int, ...] = ()
        self._marked: int | None = None
        self.zero = pg.InfiniteLine(0.0, angle=90)
        self.intervals = {tone: pg.PlotCurveItem(connect="pairs") for tone in ("better", "worse", "neither")}
        self.discs, self.rings, self.heads = Discs(9), Discs(9), Arrowheads(7)
        self._band = pg.LinearRegionItem(orientation="horizontal", movable=False)
        self._band.setZValue(-5)
        self._band.hide()
        for item in (self._band, self.zero, *self.intervals.values(), self.rings, self.discs, self.heads):
            self.addItem(item, ignoreBounds=True)
        self.invertY(True)
        item = self.getPlotItem()
        item.showAxis("right")
        for side in ("left", "right"):
            item.getAxis(side).setStyle(tickLength=0, hideOverlappingLabels=False)
        item.getAxis("right").enableAutoSIPrefix(False)
        item.getAxis("bottom").setStyle(hideOverlappingLabels=_BEYOND_AXIS)  # the names leave it the room
        self.view.sigResized.connect(self._limit)
        self.view.sigResized.connect(self._write)
        self.view.sigYRangeChanged.connect(self._write)

    # -- what is shown

    def show_rows(
        self, rows: Sequence[ForestRow], order: Sequence[int], label: str, *, near: bool = False
    ) -> None:
        """Show other rows.

        Args:
            rows: what is known of them.
            order: their numbers from top to bottom.
            label: below the scale.
            near: whether the scale leaves out what is far from zero.
        """
        anew = len(rows) != len(self.rows) or near != self._near
        self.rows, self._order, self._near = tuple(rows), tuple(order), near
        self.setLabel("bottom", label)
        self.fit_labels()
        (left, right), (top, bottom) = self.view.viewRange()
        whole = np.allclose((left, right), self.home[0]) and isclose(bottom - top, self._seen)
        scale = scale_of(self.rows, near=self._near)
        self.set_home(scale, (-0.5, max(1, len(rows)) - 0.5), anew=anew or whole)
        self._limit()
        if whole and not anew:
            self.show_from(top + 0.5)
        self.view.setLimits(minXRange=_LEAST_ZOOM * (scale[1] - scale[0]))
        self._draw()
        self._write()
        self.mark(self._marked)

    def mark(self, number: int | None) -> None:
        """Mark a row; None for none."""
        self._marked = number
        shown = number is not None and number in self._order
        self._band.setVisible(shown)
        if shown:
            place = self._order.index(number)
            self._band.setRegion((place - 0.5, place + 0.5))
            self._bring_into_sight(place)

    def reset_view(self) -> None:
        super().reset_view()
        self.show_from(0.0)

    def show_from(self, top: float) -> None:
        """Show as many rows as can be read, from the place `top` on, counted from 0."""
        top = min(max(top, 0.0), max(len(self.rows) - self._seen, 0.0))
        if self._seen:
            self.view.setYRange(top - 0.5, top - 0.5 + self._seen, padding=0)

    def set_printing(self, printing: bool) -> None:
        """On paper nothing can be scrolled."""
        super().set_printing(printing)
        self._limit()

    @property
    def least_printed_height(self) -> int:
        """In pixels: every row has room for its name."""
        lines = len(self.rows) + _LINES_OF_SCALE
        return max(super().least_printed_height, lines * self.fontMetrics().height() + 2 * GRID)

    @Slot()
    def _limit(self) -> None:
        """Have no more rows in sight than have room for their names."""
        count, line = len(self.rows), _SMALLEST_FONT * self.fontMetrics().height()
        room = count if self._printing else math.floor(self.view.size().height() / line)
        seen = float(max(1, min(count, room))) if count else 0.0
        if seen and seen != self._seen:
            top, bottom = self.view.viewRange()[1]
            all_in_sight = bottom - top >= self._seen - 1e-6
            self._seen = seen
            self.view.setLimits(maxYRange=seen)
            if all_in_sight:
                self.show_from(top + 0.5)

    @Slot()
    def fit_labels(self) -> None:
        """The names of rows come before the name of the scale."""
        super().fit_labels()
        axis = self.getPlotItem().getAxis("bottom")
        least = (len(self.rows) + _LINES_OF_SCALE) * self.fontMetrics().height()
        if self.height() < least and not self._printing:
            axis.showLabel(False)
        if (unsaid := self.unsaid("bottom")) != self._unsaid:
            self._unsaid = unsaid
            self.labels_fitted.emit()

    def axes(self) -> list[pg.AxisItem]:
        return [*super().axes(), self.getPlotItem().getAxis("right")]

    def recolour(self) -> None:
        super().recolour()
        colours = self.palette()
        quiet = colours.color(QPalette.ColorRole.PlaceholderText)
        self.zero.setPen(pg.mkPen(quiet, width=self.pen_width, style=Qt.PenStyle.DashLine))
        for tone, item in self.intervals.items():
            item.setPen(pg.mkPen(self.colour(tone), width=self.pen_width))  # type: ignore[arg-type]
        tint = accent_of(colours)
        for line in self._band.lines:
            line.setPen(pg.mkPen(tint, width=1))
        tint.setAlpha(30)
        self._band.setBrush(pg.mkBrush(tint))
        self._draw()

    def show_focus(self, shown: bool) -> None:
        super().show_focus(shown)
        self.recolour()

    def colour(self, tone: Tone) -> QColor:
        """Of the marks of a row."""
        if tone in ("better", "worse"):
            return QColor(SUCCESS if tone == "better" else ERROR)
        return self.palette().color(QPalette.ColorRole.PlaceholderText)

    # -- keys and pointer

    def thing_at(self, x: float, y: float) -> int | None:
        place = math.floor(y + 0.5)
        return self._order[place] if 0 <= place < len(self._order) else None

    def go(self, right: int, down: int) -> None:
        if down and self._order:
            before = self._order.index(self._marked) if self._marked in self._order else None
            place = 0 if before is None else min(max(before + down, 0), len(self._order) - 1)
            self.chosen.emit(self._order[place])

    def wheelEvent(self, event: QWheelEvent) -> None:
        scrolls = self._seen < len(self.rows) and not event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if not scrolls:
            super().wheelEvent(event)
            return
        top = self.view.viewRange()[1][0] + 0.5
        self.show_from(top - _ROWS_A_NOTCH * event.angleDelta().y() / 120)
        event.accept()

    # -- inside

    def _bring_into_sight(self, place: int) -> None:
        top, bottom = self.view.viewRange()[1]
        if not (top <= place <= bottom) and isclose(bottom - top, self._seen):
            self.show_from(place if place < top else place + 1 - self._seen)

    def _draw(self) -> None:
        """All marks; the ends of the scale cut what lies beyond them."""
        (left, right), _ = self.home
        lines: dict[str, tuple[list[float], list[float]]] = {tone: ([], []) for tone in self.intervals}
        filled: list[tuple[tuple[float, float], QColor]] = []
        rings: list[tuple[tuple[float, float], QColor]] = []
        heads: list[tuple[tuple[float, float], int, QColor]] = []
        for place, number in enumerate(self._order):
            row = self.rows[number]
            if not isfinite(row.difference):
                continue
            colour = self.colour(row.tone)
            if isfinite(row.low) and isfinite(row.high) and row.tone in lines:
                xs, ys = lines[row.tone]
                if row.high > left and row.low < right:
                    xs += [max(row.low, left), min(row.high, right)]
                    ys += [place, place]
                for end in (row.low, row.high):
                    if left <= end <= right:
                        xs += [end, end]
                        ys += [place - _CAP, place + _CAP]
            if not left <= row.difference <= right:
                way = -1 if row.difference < left else 1
                heads.append(((left if way < 0 else right, place), way, colour))
            else:
                (filled if row.tone in ("better", "worse") else rings).append(
                    ((row.difference, place), colour)
                )
        for tone, (xs, ys) in lines.items():
            self.intervals[tone].setData(xs, ys)
        ground = self.palette().color(QPalette.ColorRole.Base)
        quiet = self.colour("neither")
        self.discs.show_discs([point for point, _ in filled], [colour for _, colour in filled])
        self.rings.show_discs([point for point, _ in rings], [ground] * len(rings), quiet)
        self.heads.show_arrowheads(*(zip(*heads, strict=True) if heads else ((), (), ())))

    @Slot()
    def _write(self) -> None:
        """As many names as there is room for, and the numbers where enough is left for what is drawn."""
        if not self._order:
            return
        metrics = self.fontMetrics()
        titles = [
            metrics.elidedText(one_line(row.title), Qt.TextElideMode.ElideMiddle, _WIDEST_NAME)
            for row in self.rows
        ]
        whole = [f"{row.verdict}: {row.numbers}" if row.numbers else row.verdict for row in self.rows]
        left = max(metrics.horizontalAdvance(title) for title in titles) + _AXIS_ROOM
        right = max(metrics.horizontalAdvance(text) for text in whole) + _AXIS_ROOM
        words = whole
        if self.width() - left - right < _LEAST_PLOT:
            words = [row.verdict for row in self.rows]
            right = max(metrics.horizontalAdvance(text) for text in words) + _AXIS_ROOM
        _, (top, bottom) = self.view.viewRange()
        height = self.view.size().height() / max(abs(bottom - top), 1e-9)
        font, line = QFont(self.font()), float(metrics.height())
        if _SMALLEST_FONT * line <= height < line:
            font.setPointSizeF(font.pointSizeF() * height / line)
            line = height
        step = max(1, math.ceil(line / max(height, 1e-3)))
        for side, texts, width in (("left", titles, left), ("right", words, right)):
            axis = self.getPlotItem().getAxis(side)
            axis.setTickFont(font)
            axis.setTicks([[(at, texts[self._order[at]]) for at in range(0, len(self._order), step)]])
            axis.setWidth(width)
