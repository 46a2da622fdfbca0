"""The layers of a result as a strip, coloured by the models that they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from core.text import one_line
from gui.recipe.slices.rows import SliceRow
from gui.widgets.contrast import readable_on
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID, accent_of, model_colour

__all__ = ["LayerStrip"]

_LEAST_CELL = 3
"""Pixels of a layer from which on a line is left between it and the next."""
_NEAR = GRID // 2
"""Pixels on both sides of an edge at which it can be taken."""
_MOST_HEIGHT = 8 * GRID


class LayerStrip(QWidget):
    """A cell for each layer of the result, first to last; below one another the sources it is merged of.

    A base that gives layers is grey, and so is a model that takes no part. Where there is room, the names of
    the models stand on their layers. The edge between two slices can be dragged.

    Signals:
        slice_chosen(int): a slice was clicked.
        edge_dragged(int, int): the edge after a slice is dragged, so many layers from where it was.
        edge_dropped(int, int): it stays there.
    """

    slice_chosen = Signal(int)
    edge_dragged = Signal(int, int)
    edge_dropped = Signal(int, int)

    def __init__(self, number_of: Callable[[Path], int | None], name_of: Callable[[Path], str]) -> None:
        """Args:
        number_of: the number of a model among those that take part; None for any other.
        name_of: what a model is called.
        """
        super().__init__()
        self._number_of, self._name_of = number_of, name_of
        self._rows: tuple[SliceRow, ...] = ()
        self._current: int | None = None
        self._dragged: tuple[int, int] | None = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Layers of the result")

    def show_rows(self, rows: Sequence[SliceRow]) -> None:
        self._rows = tuple(rows)
        said = [f"{self._place(row)}: {self._source(row)}" for row in self._rows]
        self.setAccessibleDescription("; ".join(said))
        self.updateGeometry()
        self.update()

    def set_current(self, slice_: int | None) -> None:
        """Which slice is framed; None for none."""
        self._current = slice_
        self.update()

    @property
    def layers(self) -> int:
        """How many the result has."""
        return self._rows[-1].first + self._rows[-1].count if self._rows else 0

    def text_at(self, layer: int) -> str:
        """ "Layer 5 of the result: layer 12 of run-2"; of a merged one all sources."""
        rows = self._rows_at(layer)
        parts = [f"layer {row.layers[0] + layer - row.first} of {self._name_of(row.model)}" for row in rows]
        return f"Layer {layer} of the result: {' and '.join(parts)}" if parts else ""

    # -- called by Qt

    def sizeHint(self) -> QSize:
        most = max((row.source for row in self._rows), default=0) + 1
        return QSize(20 * GRID, min(max(3 * GRID, 2 * GRID * most), _MOST_HEIGHT))

    def minimumSizeHint(self) -> QSize:
        return QSize(10 * GRID, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
        for layer in range(self.layers):
            left, right = self._x(layer), self._x(layer + 1)
            width = right - left - (1 if right - left >= _LEAST_CELL else 0)
            rows = self._rows_at(layer)
            height = self.height() / max(len(rows), 1)
            for at, row in enumerate(rows):
                painter.fillRect(QRectF(left, at * height, width, height), self._colour(row))
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Window), 2))
        for row in self._rows:
            if row.source == 0 and row.first:
                painter.drawLine(int(self._x(row.first)), 0, int(self._x(row.first)), self.height())
        self._name(painter)
        self._frame(painter)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._dragged = self._edge_at(event.position().x())
            if self._dragged is None:
                self._choose(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._dragged is not None:
            self.edge_dragged.emit(self._dragged[0], self._dragged_by(x))
            return
        taken = self._edge_at(x) is not None
        self.setCursor(Qt.CursorShape.SplitHCursor if taken else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._dragged is not None and event.button() is Qt.MouseButton.LeftButton:
            slice_, by = self._dragged[0], self._dragged_by(event.position().x())
            self._dragged = None
            if by:
                self.edge_dropped.emit(slice_, by)
            else:
                self._choose(event.position().x())

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            layer = self._layer_at(event.pos().x())
            text = "" if layer is None else tool_tip(self.text_at(layer))
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    # -- inside

    def _frame(self, painter: QPainter) -> None:
        row = next((row for row in self._rows if row.slice == self._current), None)
        if row is None:
            return
        left, right = self._x(row.first), self._x(row.first + row.count)
        painter.setBrush(QColor(Qt.GlobalColor.transparent))
        painter.setPen(QPen(accent_of(self.palette()), 2))
        painter.drawRect(QRectF(left + 1, 1, right - left - 2, self.height() - 2))

    def _choose(self, x: float) -> None:
        layer = self._layer_at(x)
        if layer is not None:
            self.slice_chosen.emit(self._rows_at(layer)[0].slice)

    def _name(self, painter: QPainter) -> None:
        """Write the names of the models on their layers, each where it has room as a whole."""
        metrics = self.fontMetrics()
        for row in self._rows:
            sources = sum(other.slice == row.slice for other in self._rows)
            height = self.height() / sources
            left, right = self._x(row.first), self._x(row.first + row.count)
            name = one_line(self._name_of(row.model))
            wide = metrics.horizontalAdvance(name) + GRID
            if metrics.height() > height or wide > right - left:
                continue
            place = QRectF(left, row.source * height, right - left, height)
            ground = QRectF(0, 0, wide, metrics.height())  # of the lines between layers the ends are left
            ground.moveCenter(place.center())
            painter.fillRect(ground, self._colour(row))
            painter.setPen(readable_on(self._colour(row)))
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, name)

    def _colour(self, row: SliceRow) -> QColor:
        number = self._number_of(row.model)
        if number is None:
            return self.palette().color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        return QColor(model_colour(number, self.palette()))

    def _edge_at(self, x: float) -> tuple[int, int] | None:
        """The slice whose edge to the next one is at `x`, and the layer of the result that begins there."""
        for row in self._rows:
            if row.source == 0 and row.slice and abs(self._x(row.first) - x) <= _NEAR:
                return row.slice - 1, row.first
        return None

    def _dragged_by(self, x: float) -> int:
        """How many layers the edge that is held is away from where it was."""
        first = self._dragged[1] if self._dragged is not None else 0
        return round(x * self.layers / max(self.width(), 1)) - first

    def _x(self, layer: int) -> float:
        return float(round(self.width() * layer / max(self.layers, 1)))

    def _layer_at(self, x: float) -> int | None:
        if not self.layers or not 0 <= x < self.width():
            return None
        return min(int(x * self.layers / self.width()), self.layers - 1)

    def _rows_at(self, layer: int) -> list[SliceRow]:
        return [row for row in self._rows if row.first <= layer < row.first + row.count]

    def _place(self, row: SliceRow) -> str:
        return f"layers {row.first} to {row.first + row.count - 1}"

    def _source(self, row: SliceRow) -> str:
        return f"layers {row.layers[0]} to {row.layers[1] - 1} of {self._name_of(row.model)}"
