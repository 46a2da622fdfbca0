"""The coloured discs that stand for sub-models."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPen, QPixmap

from gui.widgets.theme import model_colour

__all__ = ["model_chip"]

_SIDE = 48
"""Pixels; icons are drawn this large and shown smaller."""


def model_chip(number: int | None) -> QIcon:
    """A disc in the colour of model `number` of those that take part; a grey ring for None."""
    if number is not None:
        return _disc(model_colour(number).rgba())
    colours = QGuiApplication.palette()
    return _ring(colours.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text).rgba())


@lru_cache(maxsize=1024)
def _disc(rgba: int) -> QIcon:
    colour = QColor.fromRgba(rgba)
    return _icon(_drawn(colour, colour), _drawn(QColor(Qt.GlobalColor.white), colour))


@lru_cache(maxsize=16)
def _ring(rgba: int) -> QIcon:
    clear = QColor(Qt.GlobalColor.transparent)
    return _icon(_drawn(QColor.fromRgba(rgba), clear), _drawn(QColor(Qt.GlobalColor.white), clear))


def _icon(usual: QPixmap, selected: QPixmap) -> QIcon:
    icon = QIcon(usual)
    icon.addPixmap(selected, QIcon.Mode.Selected)
    return icon


def _drawn(edge: QColor, fill: QColor) -> QPixmap:
    width = _SIDE / 8
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(edge, width))
    painter.setBrush(fill)
    painter.drawEllipse(QRectF(width / 2, width / 2, _SIDE - width, _SIDE - width))
    painter.end()
    return pixmap
