"""A button that does what an action does."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QToolButton

__all__ = ["action_button"]


def action_button(action: QAction, arrow: Qt.ArrowType | None = None) -> QToolButton:
    """Its tip has the action's keys; with an `arrow` that is all that it shows."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setAccessibleName(action.text())
    button.setToolTip(f"{action.text()} ({action.shortcut().toString()})")
    if arrow is not None:
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        button.setArrowType(arrow)
    return button
