"""Colours and round numbers of the scales beside the maps.

Bright means changed, and much: on a light ground as on a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QPalette

from core.units import share_text
from gui.widgets.contrast import contrast, luminance
from gui.widgets.theme import is_dark
from gui.words import signed_text

if TYPE_CHECKING:
    import pyqtgraph as pg

__all__ = ["Scale", "cosine_scale", "difference_scale", "share_scale", "ticks_between"]

Floats = NDArray[np.float64]

_STEPS = (1, 2, 2.5, 5, 10)
_BLUE, _ORANGE = "#0072B2", "#D55E00"
"""Okabe and Ito's: told apart by everybody."""

_LEAST_CONTRAST, _MOST_CONTRAST = 1.4, 9.0
"""Of cells with a ground: what is there can be told from what is not, and what is dark on a light ground,
where little has changed, is no louder than the rest."""


@dataclass(frozen=True)
class Scale:
    """What colours mean.

    Attributes:
        low, high: the values at its ends, in the units of the map.
        colours: "viridis" or "cividis" for amounts, "difference" for what may be negative.
        label: what the values are.
        ticks: (value, text)
        falling: whether what is low is bright: a share of what did not change.
    """

    low: float
    high: float
    colours: str
    label: str
    ticks: Sequence[tuple[float, str]]
    falling: bool = False

    def colour_map(self, palette: QPalette) -> pg.ColorMap:
        """Evenly graded for the eye, told apart by the colour-blind, and nowhere the colour of the ground."""
        if self.colours == "difference":
            return _difference_map(is_dark(palette))
        return _graded_map(self.colours, palette.color(QPalette.ColorRole.Base).name(), self.falling)

    def text_of(self, value: float) -> str:
        """A value as it is written into a cell: without the unit, which the label names."""
        if self.colours == "difference":
            return signed_text(value, 2)
        return share_text(value / 100).removesuffix(" %")


def share_scale(
    percent: Floats, label: str, colours: str = "viridis", *, least: float = 10.0, falling: bool = False
) -> Scale:
    """From and to round numbers around `percent`; between 0 and 100.

    Args:
        percent: NaN for nothing.
        label, colours, falling: see Scale.
        least: percentage points between the ends: smaller differences look small.
    """
    known = percent[np.isfinite(percent)]
    if not known.size:
        return _scale(0, 100, colours, label, falling)
    low, high = float(known.min()), float(known.max())
    if high - low < least:  # as much to either side, between 0 and 100
        low = min(max((low + high - least) / 2, 0.0), 100.0 - least)
        high = low + least
    step = _step(max(high - low, min(1.0, high) or 1.0), 4)
    low = max(0.0, step * math.floor(low / step + 1e-9))
    high = min(100.0, max(step * math.ceil(high / step - 1e-9), low + step))
    return _scale(low if low < high else high - step, high, colours, label, falling)


def difference_scale(values: Floats, label: str, *, least: float = 5.0) -> Scale:
    """As far to one side of zero as to the other, and at least to `least`: small differences stay pale."""
    known = np.abs(values[np.isfinite(values)])
    most = max(float(known.max()) if known.size else 0.0, least)
    step = _step(most, 2)
    high = max(step, step * math.ceil(most / step - 1e-9))
    return _scale(-high, high, "difference", label)


def cosine_scale(cosines: Floats) -> Scale:
    """Around zero, as far as cosines other than those of a model with itself go."""
    found = difference_scale(cosines, "cosine", least=0.2)
    return _scale(-1, 1, "difference", "cosine") if found.high > 1 else found


def ticks_between(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers, at most seven."""
    step = _step(high - low, 6)
    first = math.ceil(low / step - 1e-9)
    decimals = max(
        0, -math.floor(math.log10(step) + 1e-9) + (step / 10 ** math.floor(math.log10(step)) == 2.5)
    )
    count = math.floor(high / step + 1e-9) - first + 1
    return [
        (value, f"{value:.{decimals}f}".replace("-", "−"))
        for value in (step * (first + at) + 0.0 for at in range(count))
    ]


def _scale(low: float, high: float, colours: str, label: str, falling: bool = False) -> Scale:
    return Scale(low, high, colours, label, ticks_between(low, high), falling)


def _step(span: float, parts: int) -> float:
    """The smallest round number of which `span` has at most `parts`."""
    power = 10.0 ** math.floor(math.log10(span / parts))
    return next(step * power for step in _STEPS if span / (step * power) <= parts + 1e-9)


@cache
def _graded_map(name: str, ground: str, falling: bool) -> pg.ColorMap:
    """pyqtgraph's map of this name, without what stands out too little from `ground`, or too much."""
    import pyqtgraph as pg

    whole, behind = pg.colormap.get(name), QColor(ground)
    places = np.linspace(0, 1, 256)
    stand_out = np.array([contrast(colour, behind) for colour in whole.map(places, mode="qcolor")])
    most = np.inf if luminance(behind) < 0.18 else _MOST_CONTRAST
    colours = whole.map(places[(stand_out >= _LEAST_CONTRAST) & (stand_out <= most)], mode="byte")
    return pg.ColorMap(None, colours[::-1] if falling else colours)


@cache
def _difference_map(dark: bool) -> pg.ColorMap:
    """Blue below zero, orange above, and between them nearly the ground."""
    import pyqtgraph as pg

    middle = QColor("#3F464F" if dark else "#D3D7DC")
    low, high = QColor(_BLUE), QColor(_ORANGE)
    if dark:
        low, high = low.lighter(135), high.lighter(115)
    return pg.ColorMap([0.0, 0.5, 1.0], [low, middle, high])
