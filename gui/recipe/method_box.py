"""The merge methods to choose from, in groups."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QStandardItem, QStandardItemModel

from core.methods import GROUPS, METHODS, MethodSpec
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.fields import defer_to_window, name_field
from gui.widgets.plain import tool_tip

__all__ = ["MethodBox"]

_MOST_IN_SIGHT = 32
"""Of methods and headings: as many as there are, where the screen is high enough."""


class MethodBox(ChoiceBox):
    """A list of all methods under headings that cannot be chosen; what a method does is its tool tip.

    The data of an item is the name of its method, None of a heading.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setMaxVisibleItems(_MOST_IN_SIGHT)
        defer_to_window(self)
        name_field(self, "Merge method", "How the values of the models become one.")
        self._fill()
        self.choose(next(iter(METHODS)))

    @property
    def method(self) -> MethodSpec:
        return METHODS[self.currentData()]

    def choose(self, name: str) -> None:
        """Choose the method with this name."""
        self.setCurrentIndex(self.findData(name))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._embolden()

    def _fill(self) -> None:
        items = QStandardItemModel(self)
        for group, title in GROUPS.items():
            methods = [spec for spec in METHODS.values() if spec.group == group]
            if not methods:
                continue
            heading = QStandardItem(title)
            heading.setFlags(Qt.ItemFlag.NoItemFlags)
            items.appendRow(heading)
            for spec in methods:
                item = QStandardItem(spec.title)
                item.setData(spec.name, Qt.ItemDataRole.UserRole)
                item.setToolTip(tool_tip(spec.help))
                item.setAccessibleText(spec.title)
                items.appendRow(item)
        self.setModel(items)
        self._embolden()

    def _embolden(self) -> None:
        """Headings are bold, in the font that the list has."""
        font = self.font()
        font.setBold(True)
        items = self.model()
        assert isinstance(items, QStandardItemModel)
        for row in range(items.rowCount()):
            if items.item(row).data(Qt.ItemDataRole.UserRole) is None:
                items.item(row).setFont(font)
