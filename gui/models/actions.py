"""What can be done with the selected sub-models: one action each, for menus, keys and buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction

if TYPE_CHECKING:
    from gui.models.panel import ModelsPanel

__all__ = ["ModelActions"]


class ModelActions(QObject):
    """The context menu of a panel's table, and its keys while the table has the focus.

    Attributes:
        add, add_run, toggle, only, weight, up, down, base, open, remove: the actions.
    """

    def __init__(self, panel: ModelsPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.add = self._action("Add models…", None, panel.ask_for_sub_models)
        self.add_run = self._action("Add a training run…", None, panel.ask_for_run_folder)
        self.toggle = self._action("Take part", "Space", panel.toggle_selected)
        self.only = self._action("Only these take part", "Ctrl+Space", panel.enable_only_selected)
        self.weight = self._action("Set weight…", "F2", panel.table.edit_weight)
        self.up = self._action("Move up", "Alt+Up", lambda: panel.move_selected(-1))
        self.down = self._action("Move down", "Alt+Down", lambda: panel.move_selected(1))
        self.base = self._action("Make this the base", "Ctrl+Shift+B", panel.make_selected_the_base)
        self.open = self._action("Open folder", "Ctrl+Shift+O", panel.open_selected_folder)
        self.remove = self._action("Remove", "Del", panel.remove_selected)
        self.toggle.setCheckable(True)
        for group in (
            (self.toggle, self.only, self.weight),
            (self.up, self.down, self.base),
            (self.open, self.remove),
            (self.add, self.add_run),
        ):
            panel.table.addActions(group)
            separator = QAction(self)
            separator.setSeparator(True)
            panel.table.addAction(separator)

    def update(self) -> None:
        """Enable what fits the selection."""
        rows = self._panel.table.selected_rows()
        choices = self._panel.choices()
        for action in (self.toggle, self.only, self.weight, self.remove):
            action.setEnabled(bool(rows))
        self.toggle.setChecked(bool(rows) and all(choices[row].enabled for row in rows))
        self.base.setEnabled(len(rows) == 1)
        self.open.setEnabled(len(rows) == 1)
        self.up.setEnabled(bool(rows) and rows != list(range(len(rows))))
        last = len(choices)
        self.down.setEnabled(bool(rows) and rows != list(range(last - len(rows), last)))

    def _action(self, text: str, keys: str | None, slot: Callable[[], None]) -> QAction:
        action = QAction(text, self)
        if keys is not None:
            action.setShortcut(keys)
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda: slot())
        return action
