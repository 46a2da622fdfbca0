"""The menu in which light or dark is chosen."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from gui.settings import Settings
from gui.widgets.theme_choice import THEMES, ThemeChoice

__all__ = ["ThemeMenu"]


class ThemeMenu(QMenu):
    """Applies a theme at once and remembers it."""

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__("&Theme", parent)
        self._settings = settings
        group = QActionGroup(self)
        for theme, title in THEMES.items():
            entry = QAction(title, group, checkable=True)
            entry.setData(theme)
            entry.setChecked(theme == settings.theme)
            self.addAction(entry)
        group.triggered.connect(self._on_triggered)

    @Slot(QAction)
    def _on_triggered(self, entry: QAction) -> None:
        self._settings.theme = entry.data()
        ThemeChoice.of(QApplication.instance()).choose(entry.data())
