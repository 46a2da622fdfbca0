"""A plot with the layers from left to right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPalette

from gui.pictures.picture import quieten, recolour_plot
from gui.theme import accent_of

__all__ = ["ColumnsPlot"]

_ZOOM = 0.8


class ColumnsPlot(pg.PlotWidget):
    """Values by layer. The wheel zooms, dragging moves; the arrow keys go from layer to layer.

    Signals:
        pointed(object): (column, height) under the pointer, or None.
        chosen(object): (column, height) that was clicked, or (column, -1) that was gone to.
        cleared(): Escape was pressed.
    """

    pointed = Signal(object)
    chosen = Signal(object)
    cleared = Signal()

    _finished = False
    """Whether the constructor is done: the palette changes in the middle of it."""

    def __init__(self, y_label: str) -> None:
        super().__init__()
        quieten(self)
        self._labels: Sequence[str] = ()
        self._stacks: Sequence[str | None] = ()
        self._top = 1.0
        self._selected: int | None = None
        self._view = self.getPlotItem().getViewBox()
        self._band = pg.LinearRegionItem(movable=False)
        self._band.setZValue(5)
        self._band.hide()
        self.addItem(self._band, ignoreBounds=True)
        self.setLabel("left", y_label)
        self.setLabel("bottom", "Layer")
        self.getPlotItem().getAxis("bottom").setStyle(tickLength=0, hideOverlappingLabels=False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._view.sigResized.connect(self._write_labels)
        self._view.sigXRangeChanged.connect(self._write_labels)
        self.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.scene().sigMouseClicked.connect(self._on_mouse_clicked)
        self.viewport().installEventFilter(self)
        self._finished = True

    def show_columns(self, labels: Sequence[str], stacks: Sequence[str | None] = ()) -> None:
        """Name the columns, and say which stack of layers each belongs to."""
        self._stacks = tuple(stacks)
        if tuple(labels) != self._labels:
            self._labels = tuple(labels)
            self._top = -1.0
        self._write_labels()

    def joined(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values are joined to the next one by a line: known ones of layers of one stack. [C]"""
        known = np.isfinite(values)
        same = [one is not None and one == other for one, other in pairwise(self._stacks)]
        joined: NDArray[np.bool_] = np.append(np.array(same, bool) & known[:-1] & known[1:], False)
        return joined[: len(values)]

    def fit(self, top: float) -> None:
        """Show everything from 0 to `top`; a view that was zoomed stays until `top` is another."""
        columns = max(1, len(self._labels))
        self._view.setLimits(
            xMin=-0.5,
            xMax=columns - 0.5,
            yMin=-0.02 * top,
            yMax=1.05 * top,
            minXRange=1,
            minYRange=1e-3 * top,
        )
        if top != self._top:
            self._top = top
            self.reset_view()

    def reset_view(self) -> None:
        columns = max(1, len(self._labels))
        self.setRange(xRange=(-0.5, columns - 0.5), yRange=(0, self._top), padding=0)

    def select(self, column: int | None) -> None:
        """Mark a column; None for none."""
        self._selected = column
        self._band.setVisible(column is not None and column < len(self._labels))
        if column is not None:
            self._band.setRegion((column - 0.5, column + 0.5))

    def recolour(self) -> None:
        colours = self.palette()
        recolour_plot(self, colours)
        accent = accent_of(colours)
        for line in self._band.lines:
            line.setPen(pg.mkPen(accent, width=1))
        tint = accent_of(colours)
        tint.setAlpha(30)
        self._band.setBrush(pg.mkBrush(tint))
        self._show_border()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        last = len(self._labels) - 1
        if key in steps and last >= 0:
            column = 0 if self._selected is None else min(max(self._selected + steps[key], 0), last)
            self.chosen.emit((column, -1.0))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._view.scaleBy((_ZOOM, _ZOOM))
        elif key == Qt.Key.Key_Minus:
            self._view.scaleBy((1 / _ZOOM, 1 / _ZOOM))
        elif key == Qt.Key.Key_0:
            self.reset_view()
        elif key == Qt.Key.Key_Escape:
            self.cleared.emit()
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._show_border()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_border()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._finished:
            self.recolour()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.pointed.emit(None)
        return super().eventFilter(watched, event)

    def _show_border(self) -> None:
        colours = self.palette()
        colour = accent_of(colours) if self.hasFocus() else colours.color(QPalette.ColorRole.Mid)
        self._view.setBorder(pg.mkPen(colour))

    @Slot()
    def _write_labels(self) -> None:
        if not self._labels:
            return
        (left, right), _ = self._view.viewRange()
        width = self._view.size().width() / max(right - left, 1e-9)
        widest = max(self.fontMetrics().horizontalAdvance(label) for label in self._labels)
        step = math.ceil((widest + 12) / max(width, 1))
        ticks = [(at, self._labels[at]) for at in range(0, len(self._labels), step)]
        self.getPlotItem().getAxis("bottom").setTicks([ticks])

    def _at(self, position: QPointF) -> tuple[int, float] | None:
        if not self._view.sceneBoundingRect().contains(position):
            return None
        point = self._view.mapSceneToView(position)
        column = math.floor(point.x() + 0.5)
        return (column, point.y()) if 0 <= column < len(self._labels) else None

    def _on_mouse_moved(self, position: QPointF) -> None:
        self.pointed.emit(self._at(position))

    def _on_mouse_clicked(self, event: object) -> None:
        if event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            point = self._at(event.scenePos())  # type: ignore[attr-defined]
            if point is not None:
                self.setFocus(Qt.FocusReason.MouseFocusReason)
                self.chosen.emit(point)
