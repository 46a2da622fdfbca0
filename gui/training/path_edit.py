"""A field for a path."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QLineEdit

from gui.widgets.dropped import dropped_paths

__all__ = ["PathEdit"]


class PathEdit(QLineEdit):
    """A path, which can be dropped onto it."""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event.mimeData()):
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        paths = dropped_paths(event.mimeData())
        if not paths:
            super().dropEvent(event)
            return
        event.setDropAction(Qt.DropAction.CopyAction)  # or the file manager deletes it
        event.accept()
        self.setText(str(paths[0]))
