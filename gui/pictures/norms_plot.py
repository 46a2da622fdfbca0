"""Norms by layer: how they are spread over the sub-models, and lines of single ones."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QPalette

from core.text import one_line
from gui.pictures.columns_plot import ColumnsPlot
from gui.pictures.marks import Discs

__all__ = ["NormsPlot"]

_MOST_DISCS = 400
"""With more of them only layers that no line reaches are marked."""

_FEWEST_SPREAD = 3
"""Sub-models; the spread of fewer is the lines themselves."""

_ALIKE = 0.4
"""Of the largest norm: where the smallest one is above it, the scale begins near the data."""

_LEAST_SPAN = 0.25
"""Of the largest norm, between the ends of the scale: what is alike looks alike."""

_BOX, _WHISKER, _DASH = 0.5, 0.12, 0.6
"""Widths in columns."""

Floats = NDArray[np.float64]


class NormsPlot(ColumnsPlot):
    """From left to right the layers, upwards the norm of the task vector.

    In each layer a box holds the middle half of the sub-models, with a dash at the median, and a thin bar
    reaches from the smallest to the largest. Over them are the lines of those that are to be told apart.

    Attributes:
        lines: one for each sub-model; those without one of its own have no data.
        names: the words beside lines that are named.
        bottom: where the scale begins.
        medians: of each layer; [0] where no spread is shown. [C]
    """

    def __init__(self) -> None:
        super().__init__("Norms of the task vectors by layer", "Layer", "norm of τ")
        self.lines: list[pg.PlotCurveItem] = []
        self.names: list[pg.TextItem] = []
        self.bottom = 0.0
        self.medians: Floats = np.zeros(0)
        self._none: list[pg.TextItem] = []
        self._boxes, self._bars = (pg.BarGraphItem(x=[], y0=[], height=[], width=_BOX) for _ in range(2))
        self._dashes = pg.PlotCurveItem(connect="pairs")
        self._discs = Discs(5)
        for item, level in ((self._bars, -3), (self._boxes, -2), (self._dashes, -1), (self._discs, 1)):
            item.setZValue(level)
            self.addItem(item, ignoreBounds=True)

    def show_norms(
        self, norms: Floats, colours: Sequence[QColor], apart: Collection[int], named: Mapping[int, str]
    ) -> None:
        """Show other norms.

        Args:
            norms: NaN where none is known. [C, K]
            colours: of the sub-models. [K]
            apart: the sub-models with lines of their own.
            named: what to write beside some of these lines.
        """
        self._draw_lines(norms, colours, apart)
        others = [number for number in range(norms.shape[1]) if number not in named]
        self._draw_spread(norms[:, others])
        self.bottom, top = _ends(norms)
        self.fit(top, self.bottom)
        self._write_names(norms, named)
        self._write_none(norms)

    def recolour(self) -> None:
        super().recolour()
        colours = self.palette()
        text = colours.color(QPalette.ColorRole.Text)
        for bars, alpha in ((self._boxes, 90), (self._bars, 140)):
            quiet = QColor(colours.color(QPalette.ColorRole.PlaceholderText))
            quiet.setAlpha(alpha)
            bars.setOpts(brush=quiet, pen=None)
        self._dashes.setPen(pg.mkPen(text, width=1))
        for item in (*self.names, *self._none):
            item.setColor(text)

    # -- inside

    def _draw_lines(self, norms: Floats, colours: Sequence[QColor], apart: Collection[int]) -> None:
        """Lines, and discs where there is room for them or no line."""
        while len(self.lines) > norms.shape[1]:
            self.removeItem(self.lines.pop())
        while len(self.lines) < norms.shape[1]:
            self.lines.append(pg.PlotCurveItem(antialias=True))
            self.addItem(self.lines[-1], ignoreBounds=True)
        points, tints = [], []
        for number, line in enumerate(self.lines):
            if number not in apart:
                line.setData([], [])
                continue
            values = norms[:, number]
            joined = self.joined(values)
            line.setPen(pg.mkPen(colours[number], width=1))
            line.setData(np.arange(len(values)), values, connect=joined)
            alone = np.isfinite(values)
            if len(values) * len(apart) > _MOST_DISCS:
                alone &= ~(joined | np.append(False, joined[:-1]))
            points += [(at, float(values[at])) for at in np.flatnonzero(alone).tolist()]
            tints += [colours[number]] * int(alone.sum())
        self._discs.show_discs(points, tints)

    def _draw_spread(self, norms: Floats) -> None:
        known = np.flatnonzero(np.isfinite(norms).any(axis=1))
        if norms.shape[1] < _FEWEST_SPREAD:
            known = known[:0]
        self.medians = np.full(len(norms) if len(known) else 0, np.nan)
        if len(known):
            low, first, middle, third, high = np.nanquantile(norms[known], (0, 0.25, 0.5, 0.75, 1), axis=1)
            self.medians[known] = middle
        else:
            low = first = middle = third = high = np.zeros(0)
        self._boxes.setOpts(x=known, y0=first, height=third - first, width=_BOX)
        self._bars.setOpts(x=known, y0=low, height=high - low, width=_WHISKER)
        ends = np.stack([known - _DASH / 2, known + _DASH / 2], axis=1).ravel()
        self._dashes.setData(ends, np.repeat(middle, 2))

    def _write_names(self, norms: Floats, named: Mapping[int, str]) -> None:
        """Where each line is furthest from most."""
        for name in self.names:
            self.removeItem(name)
        self.names = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # layers of which nothing is known
            most = np.nanmedian(norms, axis=1)
        for number, words in named.items():
            away = np.abs(norms[:, number] - most)
            if not np.isfinite(away).any():
                continue
            at = int(np.nanargmax(away))
            anchor = (-0.05 if at < len(norms) / 2 else 1.05, 0.5)
            self.names.append(self._text(words, anchor, at, float(norms[at, number])))

    def _write_none(self, norms: Floats) -> None:
        """A zero above the axis where nothing has changed and the scale begins further up."""
        for text in self._none:
            self.removeItem(text)
        self._none = []
        if self.bottom > 0:
            for at in np.flatnonzero(_unchanged(norms)).tolist():
                self._none.append(self._text("0", (0.5, 1.0), at, self.home[1][0]))

    def _text(self, words: str, anchor: tuple[float, float], x: float, y: float) -> pg.TextItem:
        text = pg.TextItem(
            one_line(words), color=self.palette().color(QPalette.ColorRole.Text), anchor=anchor
        )
        text.setPos(x, y)
        self.addItem(text, ignoreBounds=True)
        return text


def _unchanged(norms: Floats) -> NDArray[np.bool_]:
    """The layers in which all norms are zero. [C]"""
    known = np.isfinite(norms)
    result: NDArray[np.bool_] = known.any(axis=1) & ((norms == 0) | ~known).all(axis=1)
    return result


def _ends(norms: Floats) -> tuple[float, float]:
    """Where the scale begins and ends: near the norms where all are alike, or else at zero."""
    changed = norms[~_unchanged(norms)]
    known = changed[np.isfinite(changed)]
    if not known.size or known.max() <= 0:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if low < _ALIKE * high:
        return 0.0, 1.08 * high
    span = max(1.16 * (high - low), _LEAST_SPAN * high)
    bottom = max(0.0, (low + high - span) / 2)
    return bottom, bottom + span
