"""A calm plot in the colours of the palette, for the pointer and for the keyboard."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPalette
from PySide6.QtWidgets import QSizePolicy

from gui.widgets.theme import GRID, accent_of

__all__ = ["Plot"]

MINUS = "\N{MINUS SIGN}"

_Range = tuple[float, float]

_ZOOM = 0.8

_LOW = 15 * GRID
_NARROW = 24 * GRID
"""Of less height, what the columns are is said above the plot and not below it; of less width, what is on the
upright axes is not said beside them."""

_LEAST_HEIGHT = 8 * GRID
_LINES_BELOW = 3
"""Of text, with the gaps between them, that the axis below a plot takes."""

_BELOW_ALL = -200
"""Where ticks lie, which reach into the plot: marks are drawn over them."""

_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class Plot(pg.PlotWidget):
    """The wheel and the keys + and − zoom, dragging moves, 0 shows everything again.

    A subclass says what is at a point (`thing_at`), and where the arrow keys lead (`go`).

    Attributes:
        view: pyqtgraph's view box.
        home: the x and y ranges in which everything is seen.

    Signals:
        pointed(object): the thing under the pointer, or None.
        chosen(object): the thing that was clicked or gone to.
        cleared(): Escape was pressed.
        labels_fitted(): what `unsaid` gives is another.
    """

    pointed = Signal(object)
    chosen = Signal(object)
    cleared = Signal()
    labels_fitted = Signal()

    _shows_focus = True

    _printing = False

    _finished = False
    """Whether the constructor is done: the palette changes in the middle of it."""

    def __init__(self, name: str, x_label: str, y_label: str = "") -> None:
        """`name` is for those who do not see it."""
        super().__init__()
        self.setAccessibleName(name)
        item = self.getPlotItem()
        self.view = item.getViewBox()
        self.home: tuple[_Range, _Range] = ((0.0, 1.0), (0.0, 1.0))
        self.setFrameShape(pg.PlotWidget.Shape.NoFrame)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.viewport().setAcceptDrops(False)  # they are for the window
        self.setAcceptDrops(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)  # the picture has one
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(_LEAST_HEIGHT)
        # Room for the upper half of the topmost label, and below the axis.
        item.layout.setContentsMargins(0, GRID, GRID, GRID // 2)
        self.setLabel("bottom", x_label)
        if y_label:
            self.setLabel("left", y_label)
        for axis in self.axes():
            axis.enableAutoSIPrefix(False)  # no "(x0.001)" beside a label
            write_minus(axis)
            axis.setZValue(_BELOW_ALL)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.view.sigResized.connect(self.fit_labels)
        self.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.scene().sigMouseClicked.connect(self._on_mouse_clicked)
        self.viewport().installEventFilter(self)
        self._finished = True

    # -- what a subclass does

    def thing_at(self, x: float, y: float) -> Any:
        """What is at a point of the plot; None where there is nothing to be pointed at."""
        return None

    def go(self, right: int, down: int) -> None:
        """Choose the next thing in this direction: −1, 0 or 1 each."""

    def reset_view(self) -> None:
        """Show everything."""
        self.setRange(xRange=self.home[0], yRange=self.home[1], padding=0)

    def set_home(self, x_range: _Range, y_range: _Range, *, anew: bool = False) -> None:
        """Where everything is seen from now on. A view that was zoomed or moved stays, unless `anew`."""
        at_home = np.allclose(self.view.viewRange(), self.home)
        self.home = x_range, y_range
        (left, right), (bottom, top) = self.home
        self.view.setLimits(
            xMin=left,
            xMax=right,
            yMin=bottom,
            yMax=top,
            minXRange=min(1.0, right - left),
            minYRange=1e-3 * (top - bottom),
        )
        if anew or at_home:
            self.reset_view()

    def axes(self) -> list[pg.AxisItem]:
        return [self.getPlotItem().getAxis(side) for side in ("left", "bottom")]

    def recolour(self) -> None:
        """Take the colours of the palette."""
        colours = self.palette()
        self.setBackground(colours.color(QPalette.ColorRole.Base))
        for axis in self.axes():
            axis.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Mid)))
            axis.setTextPen(pg.mkPen(colours.color(QPalette.ColorRole.Text)))
        self._show_border()

    # -- keys and pointer

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in _ARROWS:
            self.go(*_ARROWS[key])
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(_ZOOM)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / _ZOOM)
        elif key == Qt.Key.Key_0:
            self.reset_view()
        elif key == Qt.Key.Key_Escape:
            self.cleared.emit()
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def zoom(self, factor: float) -> None:
        """Show `factor` times as much in each direction, around the middle."""
        self.view.scaleBy((factor, factor))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._show_border()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_border()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        drawn = self._finished and self.getPlotItem() is not None  # pyqtgraph drops it on closing
        if event.type() == QEvent.Type.PaletteChange and drawn:
            self.recolour()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.pointed.emit(None)
        return super().eventFilter(watched, event)

    def _on_mouse_moved(self, position: QPointF) -> None:
        self.pointed.emit(self._thing_at_scene(position))

    def _on_mouse_clicked(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            thing = self._thing_at_scene(event.scenePos())
            if thing is not None:
                self.setFocus(Qt.FocusReason.MouseFocusReason)
                self.chosen.emit(thing)

    def _thing_at_scene(self, position: QPointF) -> Any:
        if not self.view.sceneBoundingRect().contains(position):
            return None
        point = self.view.mapSceneToView(position)
        return self.thing_at(point.x(), point.y())

    # -- how it looks

    @property
    def pen_width(self) -> int:
        """Of thin lines, in pixels; files have more of them than screens, and are made smaller."""
        return 1 if self._shows_focus else 2

    def show_focus(self, shown: bool) -> None:
        """Whether to mark it while it has the focus; on paper that means nothing."""
        self._shows_focus = shown
        self._show_border()

    def set_printing(self, printing: bool) -> None:
        """On paper there is room for what the axes are, and nothing else says it."""
        self._printing = printing
        self.setMinimumHeight(self.least_printed_height if printing else _LEAST_HEIGHT)
        self.fit_labels()

    @property
    def least_printed_height(self) -> int:
        """In pixels: the upright axes have room for what they are called."""
        upright = [axis for axis in self.axes() if axis.orientation in ("left", "right") and axis.labelText]
        longest = max((math.ceil(axis.label.boundingRect().width()) for axis in upright), default=0)
        return max(_LEAST_HEIGHT, longest + _LINES_BELOW * self.fontMetrics().height() + 2 * GRID)

    def _show_border(self) -> None:
        colours = self.palette()
        colour = (
            accent_of(colours)
            if self.hasFocus() and self._shows_focus
            else colours.color(QPalette.ColorRole.Mid)
        )
        self.view.setBorder(pg.mkPen(colour))

    def unsaid(self, side: str = "left") -> str:
        """What the axis on this side is called where it has no room to say so; "" where it says it."""
        axis = self.getPlotItem().getAxis(side)
        return str(axis.labelText) if axis.labelText and not axis.label.isVisible() else ""

    @Slot()
    def fit_labels(self) -> None:
        """Leave out the label of an axis rather than cut it off, or squeeze what is drawn; to be called after
        it has become another, which shows it."""
        before, size = self.unsaid(), self.view.size()
        for axis in self.axes():
            upright = axis.orientation in ("left", "right")
            room = size.height() if upright else size.width()
            enough = self.width() >= _NARROW if upright else self.height() >= _LOW
            fits = self._printing or (enough and axis.label.boundingRect().width() <= room)
            if axis.labelText and axis.label.isVisible() != fits:
                axis.showLabel(fits)
        if self.unsaid() != before:
            self.labels_fitted.emit()


def write_minus(axis: pg.AxisItem) -> None:
    """Have `axis` write negative numbers with the sign that all texts have."""
    written = axis.tickStrings

    def tick_strings(values: Any, scale: float, spacing: float) -> list[str]:
        return [text.replace("-", MINUS) for text in written(values, scale, spacing)]

    axis.tickStrings = tick_strings
