"""The map of layers and modules, coloured by the share of zero deltas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Slot
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QWidget

from core.statistics import LayerMap
from core.units import share_text
from gui.pictures.data import Pictures
from gui.pictures.plot import Picture, text_colour
from gui.text import grouped

__all__ = ["ZeroDeltaMapPicture"]

_MOST_OUTSIDE = 6
_SMALLEST_WITH_GAPS = 8
"""Pixels of a cell; between smaller ones, gaps would be in the way."""


class ZeroDeltaMapPicture(Picture):
    """Layers from left to right, modules from top to bottom; the colour is the share of zero deltas.

    Attributes:
        read_out: what the cell under the cursor says.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "What fine-tuning left as it was",
            "Share of zero deltas in each module of each layer, over all sub-models.",
            parent,
        )
        self._map: LayerMap | None = None
        self._share: float | None = None
        self._image = pg.ImageItem(axisOrder="row-major")
        self._lines = pg.PlotCurveItem(connect="pairs")
        self.plot.addItem(self._image)
        self.plot.addItem(self._lines)
        self.plot.invertY(True)
        self.plot.setLabel("bottom", "Layer")
        for side in ("left", "bottom"):
            self.plot.getPlotItem().getAxis(side).setStyle(tickLength=0, hideOverlappingLabels=False)
        self._bar = pg.ColorBarItem(
            values=(0, 100), colorMap=pg.colormap.get("viridis"), width=14, interactive=False
        )
        self._bar.setImageItem(self._image, insert_in=self.plot.getPlotItem())
        self._bar.axis.setLabel("% zero deltas")
        self.read_out = QLabel()
        self.read_out.setWordWrap(True)
        layout = self.layout()
        assert layout is not None
        layout.removeWidget(self.note)
        layout.addWidget(self.read_out)
        layout.addWidget(self.note)
        self.plot.viewport().installEventFilter(self)
        self.plot.getPlotItem().getViewBox().sigResized.connect(self._on_resized)
        self.plot.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.finish()
        self._say_total()

    def show_pictures(self, pictures: Pictures) -> None:
        """Show `pictures`; cells without a number stay empty."""
        layer_map = pictures.layer_map
        if self._map is None or (self._map.layers, self._map.modules) != (
            layer_map.layers,
            layer_map.modules,
        ):
            self._lay_out(layer_map)
        self._map = layer_map
        percent = 100 * layer_map.share.T
        levels = _levels(percent)
        if percent.size:
            self._image.setImage(percent, levels=levels)
            self._image.setRect(QRectF(-0.5, -0.5, len(layer_map.layers), len(layer_map.modules)))
        else:
            self._image.clear()
        self._bar.setLevels(levels)
        self._bar.axis.setTicks([_ticks(*levels)])
        self.note.setText(_outside_text(layer_map.outside))
        self.note.setVisible(bool(layer_map.outside))
        self.setAccessibleDescription(
            f"{share_text(pictures.share)} of all deltas are zero." if pictures.share is not None else ""
        )
        self._share = pictures.share
        self._say_total()

    def recolour(self) -> None:
        super().recolour()
        colours = self.palette()
        self._lines.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Base), width=1))
        self._bar.axis.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Mid)))
        self._bar.axis.setTextPen(pg.mkPen(text_colour(colours)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._say_total()
        return super().eventFilter(watched, event)

    def text_of_cell(self, column: int, row: int) -> str:
        """What is known of layer number `column` (from the left) and module number `row` (from the top)."""
        if self._map is None:
            return ""
        share, elements = self._map.share[column, row], int(self._map.elements[column, row])
        place = f"Layer {self._map.layers[column]} · {self._map.modules[row]}:"
        if not elements:
            return f"{place} nothing counted"
        return f"{place} {share_text(share)} zero deltas, {grouped(elements)} parameters"

    def _lay_out(self, layer_map: LayerMap) -> None:
        """Make room for the cells and the names of `layer_map`."""
        columns, rows = max(1, len(layer_map.layers)), max(1, len(layer_map.modules))
        widest = max((self.text_width(module) for module in layer_map.modules), default=0)
        self.plot.getPlotItem().getAxis("left").setWidth(widest + 16)
        self._bar.axis.setWidth(self.text_width("100") + self.fontMetrics().height() + 16)
        self.plot.setRange(xRange=(-0.5, columns - 0.5), yRange=(-0.5, rows - 0.5), padding=0)
        self._map = layer_map
        self._on_resized()

    @Slot()
    def _on_resized(self) -> None:
        """As many names as there is room for, and gaps between the cells while these are large enough."""
        if self._map is None:
            return
        columns, rows = max(1, len(self._map.layers)), max(1, len(self._map.modules))
        item = self.plot.getPlotItem()
        size = item.getViewBox().size()
        width, height = size.width() / columns, size.height() / rows
        widest = max((self.text_width(str(layer)) for layer in self._map.layers), default=0)
        for side, labels, step in (
            ("left", self._map.modules, math.ceil(self.fontMetrics().height() / max(height, 1))),
            ("bottom", self._map.layers, math.ceil((widest + 12) / max(width, 1))),
        ):
            item.getAxis(side).setTicks([[(at, str(labels[at])) for at in range(0, len(labels), step)]])
        large = min(width, height) >= _SMALLEST_WITH_GAPS
        self._draw_lines(columns if large else 0, rows if large else 0)

    def _draw_lines(self, columns: int, rows: int) -> None:
        """Thin gaps between the cells."""
        xs: list[float] = []
        ys: list[float] = []
        for column in range(1, columns):
            xs += [column - 0.5, column - 0.5]
            ys += [-0.5, rows - 0.5]
        for row in range(1, rows):
            xs += [-0.5, columns - 0.5]
            ys += [row - 0.5, row - 0.5]
        self._lines.setData(xs, ys)

    def _on_mouse_moved(self, position: QPointF) -> None:
        view = self.plot.getPlotItem().getViewBox()
        if self._map is None or not view.sceneBoundingRect().contains(position):
            self._say_total()
            return
        point = view.mapSceneToView(position)
        column, row = math.floor(point.x() + 0.5), math.floor(point.y() + 0.5)
        if 0 <= column < len(self._map.layers) and 0 <= row < len(self._map.modules):
            self.read_out.setText(self.text_of_cell(column, row))

    def _say_total(self) -> None:
        if self._share is None:
            self.read_out.setText(" ")
        else:
            self.read_out.setText(f"All modules: {share_text(self._share)} zero deltas")


def _outside_text(outside: Sequence[tuple[str, float]]) -> str:
    """The tensors outside the layers; of a model whose names say nothing of layers, that is every one."""
    shown = [f"{module} {share_text(share)}" for module, share in outside[:_MOST_OUTSIDE]]
    if len(outside) > _MOST_OUTSIDE:
        shown.append(f"and {len(outside) - _MOST_OUTSIDE} more")
    return "Outside the layers:   " + "   ".join(shown)


def _levels(percent: np.ndarray) -> tuple[int, int]:
    """The range of the colour bar: that of the numbers, rounded outwards to whole tens."""
    known = percent[np.isfinite(percent)]
    if not known.size:
        return 0, 100
    low = min(10 * math.floor(known.min() / 10), 90)
    return low, max(10 * math.ceil(known.max() / 10), low + 10)


def _ticks(low: int, high: int) -> list[tuple[float, str]]:
    """Round numbers from `low` to `high`, at most seven."""
    step = next(step for step in (2, 5, 10, 20) if (high - low) / step <= 6)
    return [(value, str(value)) for value in range(-(-low // step) * step, high + 1, step)]
