"""The layers of a result as a strip, coloured by the models that they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from gui.recipe.slices.rows import SliceRow
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID, accent_of, model_colour

__all__ = ["LayerStrip"]

_LEAST_CELL = 3
"""Pixels of a layer from which on a line is left between it and the next."""


class LayerStrip(QWidget):
    """A cell for each layer of the result, first to last; below one another the sources it is merged of.

    A base that gives layers is grey, and so is a model that takes no part.

    Signals:
        slice_chosen(int): a slice was clicked.
    """

    slice_chosen = Signal(int)

    def __init__(self, number_of: Callable[[Path], int | None], name_of: Callable[[Path], str]) -> None:
        """Args:
        number_of: the number of a model among those that take part; None for any other.
        name_of: what a model is called.
        """
        super().__init__()
        self._number_of, self._name_of = number_of, name_of
        self._rows: tuple[SliceRow, ...] = ()
        self._current: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Layers of the result")

    def show_rows(self, rows: Sequence[SliceRow]) -> None:
        self._rows = tuple(rows)
        said = [f"{self._place(row)}: {self._source(row)}" for row in self._rows]
        self.setAccessibleDescription("; ".join(said))
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
        return QSize(20 * GRID, 3 * GRID)

    def minimumSizeHint(self) -> QSize:
        return QSize(10 * GRID, 3 * GRID)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
        grey = self.palette().color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        for layer in range(self.layers):
            left, right = self._x(layer), self._x(layer + 1)
            width = right - left - (1 if right - left >= _LEAST_CELL else 0)
            rows = self._rows_at(layer)
            height = self.height() / max(len(rows), 1)
            for at, row in enumerate(rows):
                number = self._number_of(row.model)
                colour = grey if number is None else model_colour(number, self.palette())
                painter.fillRect(QRectF(left, at * height, width, height), colour)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Window), 2))
        for row in self._rows:
            if row.source == 0 and row.first:
                painter.drawLine(int(self._x(row.first)), 0, int(self._x(row.first)), self.height())
        self._frame(painter)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        layer = self._layer_at(event.position().x())
        if layer is not None and event.button() is Qt.MouseButton.LeftButton:
            self.slice_chosen.emit(self._rows_at(layer)[0].slice)

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
