"""Cells with a check box, as they are drawn."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

__all__ = ["CheckDelegate"]


class CheckDelegate(QStyledItemDelegate):
    """Draws check boxes with an outline that dark backgrounds show too."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        colours = option.palette
        # Fusion takes the outline from the colour of windows, which is much like that of lists.
        outline = colours.color(QPalette.ColorGroup.Active, QPalette.ColorRole.PlaceholderText)
        colours.setColor(QPalette.ColorRole.Window, outline)
        option.palette = colours
