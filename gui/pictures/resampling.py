"""The curve of what resampling does: the share of parameters on a zero delta after each draw."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QWidget

from core.units import share_text
from gui.pictures.data import Pictures
from gui.pictures.plot import Picture, text_colour
from gui.theme import accent_of

__all__ = ["ResamplingPicture"]

_MOST_VALUES = 12
"""Points that are written out in figures; beyond that they would touch."""


class ResamplingPicture(Picture):
    """Draws from left to right; upwards the share of parameters that are on a zero delta after it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "What resampling does",
            "Share of parameters whose drawn delta is zero, after each draw. Dots: counted. Rings: expected.",
            parent,
        )
        self._pictures: Pictures | None = None
        self._expected = self.plot.plot([], [], symbol="o", symbolSize=14, antialias=True)
        self._observed = self.plot.plot([], [], symbol="o", symbolSize=7, antialias=True)
        self._values: list[pg.TextItem] = []
        self.plot.setLabel("bottom", "Draw (0: the selection; then the resamples)")
        self.plot.setLabel("left", "% on a zero delta")
        self.plot.getPlotItem().getAxis("left").setStyle(maxTickLevel=0)
        self.finish()

    def show_pictures(self, pictures: Pictures) -> None:
        """Show `pictures`; without a curve, the empty axes."""
        self._pictures = pictures
        draws = pictures.draws
        axis = self.plot.getPlotItem().getAxis("bottom")
        step = math.ceil(draws / 20)
        axis.setTicks([[(draw, str(draw)) for draw in range(0, draws, step)]])
        curve = pictures.curve
        observed = [100 * share for share in curve.observed] if curve else []
        expected = [100 * share for share in curve.expected] if curve and curve.expected else []
        self._observed.setData(list(range(len(observed))), observed)
        self._expected.setData(list(range(len(expected))), expected)
        top = max([*observed, *expected, 1.0])
        margin = 0.1 * max(draws - 1, 1) ** 0.7 + 0.1
        x_range = (-margin, max(draws - 1, 1) + margin)
        self.plot.setRange(xRange=x_range, yRange=(-0.05 * top, 1.2 * top), padding=0)
        self._write_values(observed)
        self._say(pictures)

    def recolour(self) -> None:
        super().recolour()
        colours = self.palette()
        accent = accent_of(colours)
        ground, quiet = (
            colours.color(QPalette.ColorRole.Base),
            colours.color(QPalette.ColorRole.PlaceholderText),
        )
        self._expected.setPen(pg.mkPen(quiet, style=Qt.PenStyle.DotLine))
        self._expected.setSymbolBrush(ground)
        self._expected.setSymbolPen(pg.mkPen(quiet))
        self._observed.setPen(pg.mkPen(accent))
        self._observed.setSymbolBrush(accent)
        self._observed.setSymbolPen(pg.mkPen(accent))
        if self._pictures is not None and self._pictures.curve is not None:
            self._write_values([100 * share for share in self._pictures.curve.observed])

    def _write_values(self, observed: list[float]) -> None:
        for value in self._values:
            self.plot.removeItem(value)
        self._values = []
        if len(observed) > _MOST_VALUES:
            return
        for draw, percent in enumerate(observed):
            value = pg.TextItem(
                share_text(percent / 100), color=text_colour(self.palette()), anchor=(0.5, 1.35)
            )
            value.setFont(self.font())
            value.setPos(draw, percent)
            self.plot.addItem(value, ignoreBounds=True)
            self._values.append(value)

    def _say(self, pictures: Pictures) -> None:
        curve = pictures.curve
        if curve is None:
            self.note.setText(" ")
            return
        first, last = curve.observed[0], curve.observed[-1]
        if len(curve.observed) == 1:
            text = f"After the selection {share_text(first)} are on a zero delta, and n = 0 draws no more."
        else:
            text = f"From {share_text(first)} after the selection to {share_text(last)} after the last draw."
        if curve.expected is None:
            text += " With unequal weights there is no expected curve."
        self.note.setText(text)
        self.setAccessibleDescription(text)
