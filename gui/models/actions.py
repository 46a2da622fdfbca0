"""What can be done with the selected sub-models: one action each, for menus, keys and buttons."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction

from gui.document.merge_setup import ModelChoice
from gui.models.table_view import SubModelsView

__all__ = ["ModelActions"]


class ModelActions(QObject):
    """The context menu of the table, and its keys while it has the focus. The panel does what they say.

    Attributes:
        add, add_run, make, toggle, only, weight, up, down, base, open, remove: the actions.
    """

    def __init__(self, table: SubModelsView, parent: QObject) -> None:
        super().__init__(parent)
        self._locked = False
        self.add = self._action("Add models…")
        self.add_run = self._action("Add a training run…")
        self.make = self._action("Make sub-models…")
        self.toggle = self._action("Take part", "Space")
        self.only = self._action("Only these take part", "Ctrl+Space")
        self.weight = self._action("Set weight…", "F2")
        self.up = self._action("Move up", "Alt+Up")
        self.down = self._action("Move down", "Alt+Down")
        self.base = self._action("Make this the base", "Ctrl+Shift+B")
        self.open = self._action("Open folder", "Ctrl+Shift+O")
        self.remove = self._action("Remove", "Del")
        self.toggle.setCheckable(True)
        for group in (
            (self.toggle, self.only, self.weight),
            (self.up, self.down, self.base),
            (self.open, self.remove),
            (self.add, self.add_run, self.make),
        ):
            table.addActions(group)
            separator = QAction(self)
            separator.setSeparator(True)
            table.addAction(separator)

    def set_locked(self, locked: bool) -> None:
        """Enable nothing that changes the list; call `update` after it."""
        self._locked = locked
        for action in (self.add, self.add_run, self.make):
            action.setEnabled(not locked)

    def update(self, rows: list[int], choices: Sequence[ModelChoice], *, weighted: bool) -> None:
        """Enable what fits the selected `rows` of the list, which are in order.

        Args:
            rows: their numbers.
            choices: the list.
            weighted: whether there are weights to be set.
        """
        free = bool(rows) and not self._locked
        for action in (self.toggle, self.only, self.remove):
            action.setEnabled(free)
        self.weight.setVisible(weighted)
        self.weight.setEnabled(free and weighted)
        self.toggle.setChecked(bool(rows) and all(choices[row].enabled for row in rows))
        self.base.setEnabled(free and len(rows) == 1)
        self.open.setEnabled(len(rows) == 1)
        self.up.setEnabled(free and rows != list(range(len(rows))))
        last = len(choices)
        self.down.setEnabled(free and rows != list(range(last - len(rows), last)))

    def _action(self, text: str, keys: str | None = None) -> QAction:
        action = QAction(text, self)
        if keys is not None:
            action.setShortcut(keys)
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        return action
