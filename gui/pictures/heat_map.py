"""A map of cells, coloured by a value: the plot that most pictures are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFocusEvent, QFontMetricsF, QKeyEvent, QPalette
from PySide6.QtWidgets import QGraphicsRectItem

from gui.pictures.picture import show_label_where_it_fits
from gui.pictures.scales import Scale
from gui.theme import GRID, accent_of, readable_on

__all__ = ["HeatMap"]

_SMALLEST_WITH_GAPS = 12
"""Pixels of a cell; between smaller ones, gaps would be in the way."""

_WIDEST_NAME = 22 * GRID

_ZOOM = 0.8

_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}

Cell = tuple[int, int]


class HeatMap(pg.PlotWidget):
    """Columns from left to right, rows from top to bottom, a colour for each cell and a bar that explains it.

    The wheel zooms, dragging moves; the arrow keys go from cell to cell.

    Attributes:
        values: what is shown, NaN for nothing. [columns, rows]

    Signals:
        pointed(object): the cell under the pointer, (column, row), or None.
        chosen(object): the cell that was clicked or gone to.
        cleared(): Escape was pressed.
    """

    pointed = Signal(object)
    chosen = Signal(object)
    cleared = Signal()

    _finished = False
    """Whether the constructor is done: the palette changes in the middle of it."""

    def __init__(self, x_label: str) -> None:
        super().__init__()
        self.values: NDArray[np.float64] = np.zeros((0, 0))
        self._names: tuple[Sequence[str], Sequence[str]] = ((), ())
        self._scale: Scale | None = None
        self._selected: tuple[int | None, int | None] = (None, None)
        self._texts: list[pg.TextItem] = []
        self._write = False
        item = self.getPlotItem()
        self._view = item.getViewBox()
        self._image = pg.ImageItem(axisOrder="row-major")
        self._gaps = pg.PlotCurveItem(connect="pairs")
        self._frames = [QGraphicsRectItem(), QGraphicsRectItem()]
        self._discs = pg.ScatterPlotItem(symbol="o", size=12, pen=None)
        for part in (self._image, self._gaps, self._discs, *self._frames):
            self.addItem(part, ignoreBounds=True)
        self.invertY(True)
        self.setLabel("bottom", x_label)
        for side in ("left", "bottom"):
            item.getAxis(side).setStyle(tickLength=0, hideOverlappingLabels=False)
        self._bar = pg.ColorBarItem(
            values=(0, 1), colorMap=pg.colormap.get("viridis"), width=14, interactive=False
        )
        self._bar.setImageItem(self._image, insert_in=item)
        self._bar.axis.enableAutoSIPrefix(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._view.sigResized.connect(self._on_moved)
        self._view.sigRangeChanged.connect(self._on_moved)
        self.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.scene().sigMouseClicked.connect(self._on_mouse_clicked)
        self.viewport().installEventFilter(self)
        self._finished = True

    # -- what is shown

    def show_cells(
        self,
        values: NDArray[np.float64],
        columns: Sequence[str],
        rows: Sequence[str],
        scale: Scale,
        *,
        write: bool = False,
        discs: Sequence[QColor] = (),
    ) -> None:
        """Show other cells; the view stays where it is while the names do.

        Args:
            values: in the units of `scale`, NaN for nothing. [columns, rows]
            columns, rows: what they are called.
            scale: what the colours mean.
            write: whether to write the values into the cells, where there is room.
            discs: colours of the cells on the diagonal, which are those of the sub-models.
        """
        others = (tuple(columns), tuple(rows)) != self._names
        self.values, self._names, self._scale = values, (tuple(columns), tuple(rows)), scale
        self._write = write
        self._discs.setData(
            pos=[(at, at) for at in range(len(discs))], brush=[pg.mkBrush(colour) for colour in discs]
        )
        if values.size:
            self._image.setImage(values.T, levels=(scale.low, scale.high))
            self._image.setRect(QRectF(-0.5, -0.5, len(columns), len(rows)))
        else:
            self._image.clear()
        self._bar.setLevels((scale.low, scale.high))
        self._bar.setColorMap(scale.colour_map(self.palette()))
        self._bar.axis.setLabel(scale.label)
        self._bar.axis.setWidth(
            max((self._text_width(text) for _, text in scale.ticks), default=0)
            + self.fontMetrics().height()
            + 16
        )
        if others:
            widest = max((self._text_width(self._elided(row)) for row in rows), default=0)
            self.getPlotItem().getAxis("left").setWidth(widest + 16)
            self._view.setLimits(
                xMin=-0.5,
                xMax=max(1, len(columns)) - 0.5,
                yMin=-0.5,
                yMax=max(1, len(rows)) - 0.5,
                minXRange=1,
                minYRange=1,
            )
            self.reset_view()
        self._on_moved()
        self._show_frame()

    def select(self, column: int | None, row: int | None) -> None:
        """Frame a cell, a column or a row; None and None for nothing."""
        self._selected = column, row
        self._show_frame()

    @property
    def size_in_cells(self) -> Cell:
        return len(self._names[0]), len(self._names[1])

    def reset_view(self) -> None:
        """Show everything."""
        columns, rows = self.size_in_cells
        self.setRange(
            xRange=(-0.5, max(1, columns) - 0.5), yRange=(-0.5, max(1, rows) - 0.5), padding=0, update=True
        )

    def recolour(self) -> None:
        """Take the colours of the palette."""
        colours = self.palette()
        ground, accent = colours.color(QPalette.ColorRole.Base), accent_of(colours)
        self.setBackground(ground)
        for axis in (*(self.getPlotItem().getAxis(side) for side in ("left", "bottom")), self._bar.axis):
            axis.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Mid)))
            axis.setTextPen(pg.mkPen(colours.color(QPalette.ColorRole.Text)))
        self._gaps.setPen(pg.mkPen(ground, width=1))
        for frame, colour, width in zip(self._frames, (ground, accent), (5, 2.5), strict=True):
            pen = pg.mkPen(colour, width=width)
            pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
            frame.setPen(pen)
        self._show_border()
        if self._scale is not None:
            self._bar.setColorMap(self._scale.colour_map(colours))
            self._on_moved()

    # -- keys and pointer

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in _ARROWS:
            self._go(*_ARROWS[key])
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(_ZOOM)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / _ZOOM)
        elif key == Qt.Key.Key_0:
            self.reset_view()
        elif key == Qt.Key.Key_Home:
            self._choose_end(0)
        elif key == Qt.Key.Key_End:
            self._choose_end(-1)
        elif key == Qt.Key.Key_Escape:
            self.cleared.emit()
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def zoom(self, factor: float) -> None:
        """Show `factor` times as many cells, around the middle."""
        self._view.scaleBy((factor, factor))

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

    def _go(self, right: int, down: int) -> None:
        """To the next cell in this direction that holds something."""
        columns, rows = self.size_in_cells
        column, row = self._selected
        if column is None and row is None:
            self._choose_nearest(0, 0)
            return
        column, row = column or 0, row or 0
        while 0 <= column + right < columns and 0 <= row + down < rows:
            column, row = column + right, row + down
            if np.isfinite(self.values[column, row]):
                self.chosen.emit((column, row))
                return

    def _choose_end(self, which: int) -> None:
        """To the first (0) or the last (-1) cell of the row that holds something."""
        row = self._selected[1] or 0
        if row < self.size_in_cells[1]:
            known = np.flatnonzero(np.isfinite(self.values[:, row]))
            if known.size:
                self.chosen.emit((int(known[which]), row))

    def _choose_nearest(self, column: int, row: int) -> None:
        known = np.argwhere(np.isfinite(self.values))
        if len(known):
            nearest = known[np.abs(known - (column, row)).sum(axis=1).argmin()]
            self.chosen.emit((int(nearest[0]), int(nearest[1])))

    def _cell_at(self, position: QPointF) -> Cell | None:
        if not self._view.sceneBoundingRect().contains(position):
            return None
        point = self._view.mapSceneToView(position)
        column, row = math.floor(point.x() + 0.5), math.floor(point.y() + 0.5)
        columns, rows = self.size_in_cells
        return (column, row) if 0 <= column < columns and 0 <= row < rows else None

    def _on_mouse_moved(self, position: QPointF) -> None:
        self.pointed.emit(self._cell_at(position))

    def _on_mouse_clicked(self, event: object) -> None:
        if event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            cell = self._cell_at(event.scenePos())  # type: ignore[attr-defined]
            if cell is not None:
                self.setFocus(Qt.FocusReason.MouseFocusReason)
                self.chosen.emit(cell)

    # -- how it is drawn

    @Slot()
    def _on_moved(self) -> None:
        """As many names as there is room for; gaps and figures where the cells are large enough."""
        self._fit_bar()
        columns, rows = self.size_in_cells
        if not columns or not rows or self._scale is None:
            return
        (left, right), (top, bottom) = self._view.viewRange()
        size = self._view.size()
        width = size.width() / max(right - left, 1e-9)
        height = size.height() / max(bottom - top, 1e-9)
        lines = self.fontMetrics().height()
        widest = max(self._text_width(self._elided(name)) for name in self._names[0])
        self._write_names("left", self._names[1], math.ceil(lines / max(height, 1)))
        self._write_names("bottom", self._names[0], math.ceil((widest + 12) / max(width, 1)))
        large = min(width, height) >= _SMALLEST_WITH_GAPS
        self._draw_gaps(columns if large else 0, rows if large else 0)
        self._write_values(width, height)

    def _fit_bar(self) -> None:
        """As many figures beside the bar as there is room for."""
        show_label_where_it_fits(self._bar.axis, self._view)
        if self._scale is not None:
            ticks = list(self._scale.ticks)
            most = max(2, int(self._view.size().height() / (1.2 * self.fontMetrics().height())))
            step = max(1, math.ceil((len(ticks) - 1) / max(1, most - 1)))
            self._bar.axis.setTicks([ticks[::step]])

    def _write_names(self, side: str, names: Sequence[str], step: int) -> None:
        ticks = [(at, self._elided(names[at])) for at in range(0, len(names), step)]
        self.getPlotItem().getAxis(side).setTicks([ticks])

    def _draw_gaps(self, columns: int, rows: int) -> None:
        xs: list[float] = []
        ys: list[float] = []
        for column in range(1, columns):
            xs += [column - 0.5, column - 0.5]
            ys += [-0.5, rows - 0.5]
        for row in range(1, rows):
            xs += [-0.5, columns - 0.5]
            ys += [row - 0.5, row - 0.5]
        self._gaps.setData(xs, ys)

    def _write_values(self, width: float, height: float) -> None:
        for text in self._texts:
            self.removeItem(text)
        self._texts = []
        scale = self._scale
        room = width > self._text_width("−0.00") + 8 and height > self.fontMetrics().height() + 2
        if not self._write or not room or scale is None:
            return
        colour_map = scale.colour_map(self.palette())
        for column, row in np.argwhere(np.isfinite(self.values)).tolist():
            value = float(self.values[column, row])
            ground = colour_map.map((value - scale.low) / (scale.high - scale.low), mode="qcolor")
            text = pg.TextItem(f"{value:.2f}".replace("-", "−"), color=readable_on(ground), anchor=(0.5, 0.5))
            text.setFont(self.font())
            text.setPos(column, row)
            self.addItem(text, ignoreBounds=True)
            self._texts.append(text)

    def _show_frame(self) -> None:
        columns, rows = self.size_in_cells
        column, row = self._selected
        inside = (column is None or column < columns) and (row is None or row < rows)
        shown = inside and bool(columns and rows) and not (column is None and row is None)
        rectangle = QRectF(
            -0.5 if column is None else column - 0.5,
            -0.5 if row is None else row - 0.5,
            columns if column is None else 1,
            rows if row is None else 1,
        )
        for frame in self._frames:
            frame.setVisible(shown)
            frame.setRect(rectangle)

    def _show_border(self) -> None:
        colours = self.palette()
        colour = accent_of(colours) if self.hasFocus() else colours.color(QPalette.ColorRole.Mid)
        self._view.setBorder(pg.mkPen(colour))

    def _elided(self, name: str) -> str:
        return self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, _WIDEST_NAME)

    def _text_width(self, text: str) -> float:
        return QFontMetricsF(self.font()).horizontalAdvance(text)
