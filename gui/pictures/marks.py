"""What is drawn into plots at a size in pixels: discs, crosses, arrowheads, and words in cells.

pyqtgraph's own scatter plots draw from a sheet of symbols, which drawings (SVG) show whole, and its texts
are slow where there are hundreds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

__all__ = ["Arrowheads", "CellTexts", "Crosses", "Discs"]


_ROUNDING = 0.01
"""In pixels: a rectangle knows its width, and so not to the last digit where it ends."""


class _Marks(pg.GraphicsObject):
    """Something at points of a plot, drawn upright and at its size in pixels whatever the zoom."""

    def __init__(self) -> None:
        super().__init__()
        self._points: Sequence[tuple[float, float]] = ()

    def boundingRect(self) -> QRectF:
        view = self.getViewBox()
        return QRectF() if view is None else view.viewRect()

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        view = self.getViewBox()
        if view is None or not self._points:
            return
        width, height = view.viewPixelSize()
        seen = view.viewRect()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, (x, y) in enumerate(self._points):
            beside, above = self.reach(number)
            beside, above = beside - _ROUNDING, above - _ROUNDING
            left, right = x - beside * width, x + beside * width
            top, bottom = y - above * height, y + above * height
            if (
                seen.left() <= left
                and right <= seen.right()
                and seen.top() <= top
                and bottom <= seen.bottom()
            ):
                painter.save()
                painter.translate(x, y)
                painter.scale(width, height if view.yInverted() else -height)
                self.draw(painter, number)
                painter.restore()

    def draw(self, painter: QPainter, number: int) -> None:
        """Draw one of them around the origin, in pixels."""
        raise NotImplementedError

    def reach(self, number: int) -> tuple[float, float]:
        """How much of one has to be seen, beside and above its middle, for it to be drawn. [pixels]"""
        return 0.0, 0.0


class Discs(_Marks):
    """Discs, each in a colour of its own."""

    def __init__(self, size: float) -> None:
        """`size` is the diameter, in pixels."""
        super().__init__()
        self._size, self._room = size, math.inf
        self._brushes: Sequence[QBrush] = ()
        self._pen = QPen(Qt.PenStyle.NoPen)

    def show_discs(
        self, points: Sequence[tuple[float, float]], colours: Sequence[QColor], edge: QColor | None = None
    ) -> None:
        """Show other discs.

        Args:
            points: their middles.
            colours: one each.
            edge: of all of them; None for none.
        """
        self._points = list(points)
        self._brushes = [QBrush(colour) for colour in colours]
        self._pen = QPen(Qt.PenStyle.NoPen) if edge is None else QPen(edge)
        self.update()

    def fit(self, room: float) -> None:
        """Be no larger than `room`, in pixels."""
        self._room = room
        self.update()

    @property
    def points(self) -> list[tuple[float, float]]:
        return list(self._points)

    def draw(self, painter: QPainter, number: int) -> None:
        painter.setPen(self._pen)
        painter.setBrush(self._brushes[number])
        radius = min(self._size, self._room) / 2
        painter.drawEllipse(QPointF(0, 0), radius, radius)


class Crosses(Discs):
    """The same as lines that cross each other, ×."""

    def draw(self, painter: QPainter, number: int) -> None:
        painter.setPen(QPen(self._brushes[number].color()))
        arm = min(self._size, self._room) / 2
        painter.drawLine(QPointF(-arm, -arm), QPointF(arm, arm))
        painter.drawLine(QPointF(-arm, arm), QPointF(arm, -arm))


class Arrowheads(Discs):
    """The same as triangles that point to the left or to the right, with their tips at the points."""

    _ways: Sequence[int] = ()

    def show_arrowheads(
        self, points: Sequence[tuple[float, float]], ways: Sequence[int], colours: Sequence[QColor]
    ) -> None:
        """Show others; `ways` are −1 for the left and 1 for the right."""
        self._ways = list(ways)
        self.show_discs(points, colours)

    def draw(self, painter: QPainter, number: int) -> None:
        painter.setPen(self._pen)
        painter.setBrush(self._brushes[number])
        back, half = -self._ways[number] * self._size, self._size / 2
        painter.drawPolygon(QPolygonF([QPointF(0, 0), QPointF(back, -half), QPointF(back, half)]))


class CellTexts(_Marks):
    """Words in the middle of cells."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: Sequence[str] = ()
        self._colours: Sequence[QColor] = ()
        self._font = QFont()

    def show_texts(
        self,
        points: Sequence[tuple[float, float]],
        texts: Sequence[str],
        colours: Sequence[QColor],
        font: QFont,
    ) -> None:
        """Show other words, one at each point."""
        self._points, self._texts, self._colours, self._font = list(points), texts, colours, font
        self.update()

    @property
    def texts(self) -> list[str]:
        return list(self._texts)

    def reach(self, number: int) -> tuple[float, float]:
        """All of it: half of a number is another number."""
        metrics = QFontMetricsF(self._font)
        return metrics.horizontalAdvance(self._texts[number]) / 2, metrics.height() / 2

    def draw(self, painter: QPainter, number: int) -> None:
        painter.setFont(self._font)
        painter.setPen(self._colours[number])
        room = QRectF(-100, -50, 200, 100)
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter, self._texts[number])
