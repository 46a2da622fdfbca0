"""The commands of an evaluation's table, for its menu and its keys."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from gui.evaluation.figures import ResultRow

__all__ = ["ResultCommands"]


class ResultCommands:
    """Attributes:
    reference: to compare all with the selected model. remove: to take it off the list.
    copy, export: the numbers for the clipboard, and as a file.
    all: these, in the order of the menu.
    """

    def __init__(self, table: QWidget) -> None:
        self.reference = _action("Compare &all with this one", "", table)
        self.remove = _action("&Take off this list", "Del", table)
        self.copy = _action("&Copy all numbers", "", table)
        self.export = _action("&Save the numbers…", "", table)
        self.all = (self.reference, self.remove, self.copy, self.export)

    def update(self, row: ResultRow | None, *, removable: bool, running: bool, scored: bool) -> None:
        """What can be done now.

        Args:
            row: that is selected.
            removable: whether its model can be taken off the list.
            running: whether an evaluation runs.
            scored: whether there are numbers.
        """
        self.reference.setEnabled(row is not None and not row.is_reference and not running)
        self.remove.setEnabled(removable and not running)
        self.copy.setEnabled(scored)
        self.export.setEnabled(scored)


def _action(text: str, keys: str, table: QWidget) -> QAction:
    action = QAction(text, table)
    if keys:
        action.setShortcut(QKeySequence(keys))
    action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
    table.addAction(action)
    return action
