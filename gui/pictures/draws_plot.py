"""The curve over n: what is left on a zero delta, expected and counted."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QPalette

from gui.pictures.margins import with_margins
from gui.pictures.marks import Discs
from gui.pictures.plot import Plot
from gui.widgets.theme import GRID, accent_of

__all__ = ["DrawsPlot"]

Floats = NDArray[np.float64]

_NONE = np.zeros(0)

_STEPS = (1, 2, 5, 10, 20, 50)
"""Between the numbers that are written below."""


class DrawsPlot(Plot):
    """From left to right n, the resamples; upwards the share of parameters on a zero delta.

    Rings are expected, dots were counted by a merge, and a line without marks is something to compare with.
    What is pointed at and chosen is n; the arrow keys go from one to the next.
    """

    def __init__(self) -> None:
        super().__init__("Share left on a zero delta by n", "n, the resamples", "% left on a zero delta")
        self._at: int | None = None
        self._draws = 2
        self._shown: tuple[Floats, Floats, Floats] = (_NONE, _NONE, _NONE)
        self.beside, self.expected, self.counted = (pg.PlotCurveItem(antialias=True) for _ in range(3))
        self.rings, self.dots = Discs(8), Discs(7)
        self.flat_line, self.n_line = (pg.InfiniteLine(angle=90) for _ in range(2))
        self.flat_text, self.n_text = (pg.TextItem() for _ in range(2))
        self._marked: list[tuple[pg.TextItem, int]] = []
        self._top = 0.0
        self._here = pg.InfiniteLine(angle=90)
        for item in (
            self._here,
            self.beside,
            self.expected,
            self.counted,
            self.rings,
            self.dots,
            self.flat_line,
            self.n_line,
            self.flat_text,
            self.n_text,
        ):
            self.addItem(item, ignoreBounds=True)
        for hidden in (self.flat_line, self.n_line, self._here, self.flat_text, self.n_text):
            hidden.hide()
        for text in (self.flat_text, self.n_text):
            text.setZValue(10)  # no line goes through words
        self.view.sigRangeChanged.connect(self._place_texts)
        self.view.sigResized.connect(self._place_texts)
        self.view.sigResized.connect(self._write_numbers)
        self.getPlotItem().getAxis("bottom").setStyle(hideOverlappingLabels=False)

    def show_curves(self, expected: Floats, counted: Floats, beside: Floats = _NONE) -> None:
        """Show other curves, each of shares for n = 0, 1, … [n+1]; [0] for none."""
        self._shown = expected, counted, beside
        for item, shares in ((self.expected, expected), (self.counted, counted), (self.beside, beside)):
            known = np.flatnonzero(np.isfinite(shares))
            item.setData(known, 100 * shares[known])
        self._draw_marks()
        most = max(
            (float(np.nanmax(curve)) for curve in self._shown if np.isfinite(curve).any()), default=1.0
        )
        top = min(115 * max(most, 0.001), 100.0)
        draws = max(*(len(curve) for curve in self._shown), 2)
        self.set_home((-0.4, draws - 0.6), with_margins(0.0, top), anew=draws != self._draws)
        self._draws = draws
        self._write_numbers()

    def mark(self, n: int | None, flat: int | None) -> None:
        """Mark the n of the recipe, and where the curve levels off; None for neither."""
        level = n is not None and n == flat
        first = min((at for at in (n, flat) if at is not None), default=0)
        self._top = 0.24 if self._is_high(first) else 0.92  # where the curves are not
        for line, at in ((self.flat_line, None if level else flat), (self.n_line, n)):
            seen = at is not None and at < self._draws
            line.setVisible(seen)
            if seen:
                line.setPos(at)
        self.flat_text.setPlainText(f"levels off at n = {flat}")
        words = (
            ", levels off" if level else " lies further right" if n is not None and n >= self._draws else ""
        )
        self.n_text.setPlainText(f"n = {n}{words}")
        self._marked = []
        if flat is not None and not level:
            self._marked.append((self.flat_text, flat))
        if n is not None:
            self._marked.append((self.n_text, min(n, self._draws - 1)))
        for text in (self.flat_text, self.n_text):
            text.setVisible(any(text is marked for marked, _ in self._marked))
        self._place_texts()

    @Slot()
    def _write_numbers(self) -> None:
        """As many n as there is room for, from 0 on."""
        widest = self.fontMetrics().horizontalAdvance(str(self._draws - 1)) + GRID
        pixels = max(self.view.size().width() / self._draws, 1e-9)
        step = next((step for step in _STEPS if step * pixels >= widest), _STEPS[-1])
        numbers = [(n, str(n)) for n in range(0, self._draws, step)]
        self.getPlotItem().getAxis("bottom").setTicks([numbers])

    @Slot()
    def _place_texts(self) -> None:
        """Beside their lines, away from the other line and within the plot."""
        (left, right), (bottom, top) = self.view.viewRange()
        size = self.view.size()
        pixel = (right - left) / max(size.width(), 1.0)
        places = [at for _, at in self._marked]
        line = self.n_text.boundingRect().height() / max(size.height(), 1.0)
        step = max(0.12, line)
        first = min(max(self._top, line / 2 + step * (len(places) - 1)), 1 - line / 2)
        for row, (text, at) in enumerate(self._marked):
            width = pixel * text.boundingRect().width()
            if text is self.flat_text:
                span = first - row * step - line / 2, first - row * step + line / 2
                text.setVisible(not self._covers_points((at, at + width), span, top - bottom, bottom))
            height = first - row * step
            room = {0: right - at - width, 1: at - left - width}  # to the right of the line, to its left
            away = 1 if at < max(places) else 0
            text.setAnchor((away if room[away] >= 0 else int(room[1] > room[0]), 0.5))
            text.setPos(at, bottom + height * (top - bottom))

    def _covers_points(
        self, across: tuple[float, float], upward: tuple[float, float], height: float, bottom: float
    ) -> bool:
        """Whether words would hide what is drawn; where n levels off is said below the plot, too.

        Args:
            across: from which n to which. upward: from which share of the height to which.
            height, bottom: of what is seen, in percent.
        """
        for curve in self._shown:
            ns = np.arange(len(curve))
            under = (ns >= across[0]) & (ns <= across[1]) & np.isfinite(curve)
            places = (100 * curve[under] - bottom) / max(height, 1e-9)
            if ((places > upward[0]) & (places < upward[1])).any():
                return True
        return False

    def thing_at(self, x: float, y: float) -> int:
        return min(max(round(x), 0), self._draws - 1)

    def go(self, right: int, down: int) -> None:
        if right:
            self._at = 0 if self._at is None else min(max(self._at + right, 0), self._draws - 1)
            self._here.setPos(self._at)
            self._here.show()
            self.chosen.emit(self._at)

    def leave(self) -> None:
        """Go nowhere any more."""
        self._at = None
        self._here.hide()

    def recolour(self) -> None:
        super().recolour()
        colours = self.palette()
        accent, ground = accent_of(colours), colours.color(QPalette.ColorRole.Base)
        quiet = colours.color(QPalette.ColorRole.PlaceholderText)
        self.beside.setPen(pg.mkPen(quiet, width=1))
        self.expected.setPen(pg.mkPen(quiet, style=Qt.PenStyle.DotLine))
        self.counted.setPen(pg.mkPen(accent))
        self._here.setPen(pg.mkPen(quiet))
        for line, text, colour in (
            (self.flat_line, self.flat_text, quiet),
            (self.n_line, self.n_text, accent),
        ):
            line.setPen(pg.mkPen(colour, style=Qt.PenStyle.DashLine))
            text.setColor(colours.color(QPalette.ColorRole.Text))
            text.fill = pg.mkBrush(ground)
            text.update()
        self._draw_marks()

    def _is_high(self, n: int) -> bool:
        """Whether the curves pass the upper half of the plot at n, and go on there."""
        _, (bottom, top) = self.home
        rest = [100 * curve[n:] for curve in self._shown if len(curve) > n]
        return all(float(np.nan_to_num(curve, nan=top).min()) > (bottom + top) / 2.5 for curve in rest)

    def _draw_marks(self) -> None:
        colours = self.palette()
        ground = colours.color(QPalette.ColorRole.Base)
        quiet = colours.color(QPalette.ColorRole.PlaceholderText)
        for discs, shares, fill, edge in (
            (self.rings, self._shown[0], ground, quiet),
            (self.dots, self._shown[1], accent_of(colours), None),
        ):
            points = [(n, 100 * share) for n, share in enumerate(shares.tolist()) if np.isfinite(share)]
            discs.show_discs(points, [fill] * len(points), edge)
