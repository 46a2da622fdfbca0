"""A map of cells, coloured by a value: the plot that most pictures are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt, Slot
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QKeyEvent, QPalette
from PySide6.QtWidgets import QGraphicsRectItem

from core.text import one_line
from gui.pictures.cells import Cell, end_of_line, next_cell
from gui.pictures.marks import CellTexts, Discs
from gui.pictures.plot import Plot
from gui.pictures.scales import Scale
from gui.widgets.contrast import readable_on
from gui.widgets.theme import GRID, accent_of

__all__ = ["HeatMap", "without_diagonal"]

_SMALLEST_WITH_GAPS = 12
"""Pixels of a cell; between smaller ones, gaps would be in the way."""

_BESIDE_VALUES = GRID
"""Pixels of a cell that its value does not take."""

_AROUND_DISCS = 2
"""Pixels of a cell on the diagonal that are left to the ground: its disc is told from the cells beside it."""

_WIDEST_NAME = 22 * GRID

_SMALLEST_FONT = 0.85
"""Of the usual size, for the names of rows."""

_ENDS = {
    Qt.Key.Key_Home: (-1, 0),
    Qt.Key.Key_End: (1, 0),
    Qt.Key.Key_PageUp: (0, -1),
    Qt.Key.Key_PageDown: (0, 1),
}
"""Keys, and how far to the right and down."""

_Written = tuple[list[Cell], list[str], list[QColor], float]
"""Cells, what is written into each, in which colour; and the pixels of the widest."""


class HeatMap(Plot):
    """Columns from left to right, rows from top to bottom, a colour for each cell and a bar that explains it.

    What is pointed at and chosen are cells: (column, row). The arrow keys go from cell to cell and reach
    every one that holds something, Home and End go to the first and the last one of a row, Page up and Page
    down of a column.

    Attributes:
        values: what is shown, NaN for nothing. [columns, rows]
        bar: the colour bar. discs: those on the diagonal. texts: the values in the cells.
    """

    _widest: tuple[float, float] = (0.0, 0.0)
    """Of the names of rows and of the numbers beside the bar, in pixels; the constructor asks."""

    def __init__(self, name: str, x_label: str, y_label: str = "") -> None:
        super().__init__(name, x_label, y_label)
        self.values: NDArray[np.float64] = np.zeros((0, 0))
        self._names: tuple[Sequence[str], Sequence[str]] = ((), ())
        self._scale: Scale | None = None
        self._selected: tuple[int | None, int | None] = (None, None)
        self._write = False
        self._values_written: _Written | None = None  # it takes long to make them for each move of the view
        self._image = pg.ImageItem(axisOrder="row-major")
        self._gaps = pg.PlotCurveItem(connect="pairs")
        self._frames = [QGraphicsRectItem(), QGraphicsRectItem()]
        self.discs, self.texts = Discs(12), CellTexts()
        for part in (self._image, self._gaps, self.texts, self.discs, *self._frames):
            self.addItem(part, ignoreBounds=True)
        self.invertY(True)
        for axis in super().axes():
            axis.setStyle(tickLength=0, hideOverlappingLabels=False)
        self.bar = pg.ColorBarItem(
            values=(0, 1), colorMap=pg.colormap.get("viridis"), width=14, interactive=False
        )
        self.bar.setImageItem(self._image, insert_in=self.getPlotItem())
        self.bar.axis.enableAutoSIPrefix(False)
        self.view.sigResized.connect(self._on_moved)
        self.view.sigRangeChanged.connect(self._on_moved)

    # -- what is shown

    def show_cells(
        self,
        values: NDArray[np.float64],
        columns: Sequence[str],
        rows: Sequence[str],
        scale: Scale,
        *,
        write: bool = True,
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
        self._write, self._values_written = write, None
        self.discs.show_discs([(at, at) for at in range(len(discs))], discs)
        if values.size:
            self._image.setImage(values.T, levels=(scale.low, scale.high))
            self._image.setRect(QRectF(-0.5, -0.5, len(columns), len(rows)))
        else:
            self._image.clear()
        self.bar.setLevels((scale.low, scale.high))
        self.bar.setColorMap(scale.colour_map(self.palette()))
        self.bar.axis.setLabel(scale.label)
        self._widest = (
            max((self._text_width(self._elided(row)) for row in rows), default=0),
            max((self._text_width(text) for _, text in scale.ticks), default=0),
        )
        if others:
            x_range, y_range = (-0.5, max(1, len(columns)) - 0.5), (-0.5, max(1, len(rows)) - 0.5)
            self.set_home(x_range, y_range, anew=True)
        self.fit_labels()
        self._on_moved()
        self._show_frame()

    def select(self, column: int | None, row: int | None) -> None:
        """Frame a cell, a column or a row; None and None for nothing."""
        self._selected = column, row
        self._show_frame()

    @property
    def size_in_cells(self) -> Cell:
        return len(self._names[0]), len(self._names[1])

    def axes(self) -> list[pg.AxisItem]:
        own = super().axes()
        return [*own, self.bar.axis] if hasattr(self, "bar") else own  # the constructor asks, too

    def fit_labels(self) -> None:
        """Axes take the room of their labels only where these are."""
        super().fit_labels()
        for axis, widest in zip(self.axes()[::2], self._widest, strict=False):  # without the lower one
            label = self.fontMetrics().height() if axis.labelText and axis.label.isVisible() else 0
            axis.setWidth(widest + 16 + label)

    def recolour(self) -> None:
        super().recolour()
        colours = self.palette()
        ground, accent = colours.color(QPalette.ColorRole.Base), accent_of(colours)
        self._gaps.setPen(pg.mkPen(ground, width=1))
        for frame, colour, width in zip(self._frames, (ground, accent), (5, 2.5), strict=True):
            pen = pg.mkPen(colour, width=width)
            pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
            frame.setPen(pen)
        self._values_written = None
        if self._scale is not None:
            self.bar.setColorMap(self._scale.colour_map(colours))
            self._on_moved()

    # -- keys and pointer

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in _ENDS:
            self._choose(end_of_line(self._known, self._selected, *_ENDS[key]))
            event.accept()
        else:
            super().keyPressEvent(event)

    def thing_at(self, x: float, y: float) -> Cell | None:
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        columns, rows = self.size_in_cells
        return (column, row) if 0 <= column < columns and 0 <= row < rows else None

    def go(self, right: int, down: int) -> None:
        """To the next cell in this direction that holds something."""
        self._choose(next_cell(self._known, self._selected, right, down))

    @property
    def _known(self) -> NDArray[np.intp]:
        """The cells that hold something. [cells, (column, row)]"""
        return np.argwhere(np.isfinite(self.values))

    def _choose(self, cell: Cell | None) -> None:
        if cell is not None:
            self.chosen.emit(cell)

    # -- how it is drawn

    @Slot()
    def _on_moved(self) -> None:
        """As many names as there is room for; gaps and figures where the cells are large enough."""
        self._fit_bar()
        columns, rows = self.size_in_cells
        if not columns or not rows or self._scale is None:
            return
        (left, right), (top, bottom) = self.view.viewRange()
        size = self.view.size()
        width = size.width() / max(right - left, 1e-9)
        height = size.height() / max(bottom - top, 1e-9)
        lines = self._fit_font(height)
        widest = max(self._text_width(self._elided(name)) for name in self._names[0])
        self._write_names("left", self._names[1], math.ceil(lines / max(height, 1e-3)))
        self._write_names("bottom", self._names[0], math.ceil((widest + 12) / max(width, 1e-3)))
        large = min(width, height) >= _SMALLEST_WITH_GAPS
        self._draw_gaps(columns if large else 0, rows if large else 0)
        self._write_values(width, height)
        self.discs.fit(min(width, height) - _AROUND_DISCS)

    def _fit_bar(self) -> None:
        """As many figures beside the bar as there is room for."""
        if self._scale is not None:
            ticks = list(self._scale.ticks)
            most = max(2, int(self.view.size().height() / (1.2 * self.fontMetrics().height())))
            step = max(1, math.ceil((len(ticks) - 1) / max(1, most - 1)))
            self.bar.axis.setTicks([ticks[::step]])

    def _fit_font(self, height: float) -> float:
        """Smaller row names where that lets each row have one; returns the height of a line."""
        font = QFont(self.font())
        usual = self.fontMetrics().height()
        if _SMALLEST_FONT * usual <= height < usual:
            font.setPointSizeF(font.pointSizeF() * height / usual)
        self.getPlotItem().getAxis("left").setTickFont(font)
        return float(QFontMetricsF(font).height())

    def _write_names(self, side: str, names: Sequence[str], step: int) -> None:
        ticks = [(at, self._elided(one_line(names[at]))) for at in range(0, len(names), step)]
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
        room = width - _BESIDE_VALUES
        if self._write and height > self.fontMetrics().height() + 2 and room >= self._text_width("0.0"):
            if self._values_written is None:
                self._values_written = self._written()
            points, texts, colours, widest = self._values_written
            if widest <= room:
                self.texts.show_texts(points, texts, colours, self.font())
                return
        self.texts.show_texts([], [], [], self.font())

    def _written(self) -> _Written:
        assert self._scale is not None
        scale, known = self._scale, self._known
        values = self.values[known[:, 0], known[:, 1]]
        texts = [scale.text_of(value) for value in values.tolist()]
        places = (values - scale.low) / (scale.high - scale.low)
        grounds = scale.colour_map(self.palette()).map(places, mode="qcolor") if len(known) else []
        points = [(column, row) for column, row in known.tolist()]
        widest = max((self._text_width(text) for text in set(texts)), default=0.0)
        return points, texts, [readable_on(ground) for ground in grounds], widest

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

    def _elided(self, name: str) -> str:
        return self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, _WIDEST_NAME)

    def _text_width(self, text: str) -> float:
        return QFontMetricsF(self.font()).horizontalAdvance(text)


def without_diagonal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values of pairs, NaN for what each has with itself."""
    shown = values.copy()
    np.fill_diagonal(shown, np.nan)
    return shown
