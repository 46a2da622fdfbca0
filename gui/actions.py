"""The menus, and the actions in them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMessageBox

from gui.messages import without_icons

if TYPE_CHECKING:
    from gui.window import MainWindow

__all__ = ["Actions"]

_ABOUT = """\
<p>Paramosaic merges fine-tuned language models.</p>
<p>Parameter selection with zero-delta resampling is described in
<a href="https://arxiv.org/abs/2410.03743">arXiv:2410.03743</a>.</p>
<p>Apache License 2.0</p>"""


class Actions(QObject):
    """Fills the menu bar of a window and keeps its entries up to date."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._open = _action(window, "&Open recipe…", QKeySequence.StandardKey.Open, window.ask_for_recipe)
        self._save = _action(
            window, "&Save recipe…", QKeySequence.StandardKey.Save, window.ask_where_to_save_recipe
        )
        self._pictures = _action(window, "Save &pictures…", None, window.ask_where_to_save_pictures)
        self._demo = _action(window, "Open the &demo", None, window.open_demo)
        leave = _action(window, "&Quit", QKeySequence.StandardKey.Quit, window.close)
        leave.setMenuRole(QAction.MenuRole.QuitRole)
        if leave.shortcut().isEmpty():
            leave.setShortcut("Ctrl+Q")
        self._base = _action(window, "Choose the &base…", "Ctrl+B", window.models.ask_for_base)
        self._add = _action(window, "&Add sub-models…", "Ctrl+Shift+A", window.models.ask_for_sub_models)
        self._merge = _action(window, "&Merge", "Ctrl+Return", window.start_merge)
        self._cancel = _action(window, "&Cancel", "Ctrl+.", window.cancel_merge)
        about = _action(window, "&About Paramosaic", None, self._on_about)
        about.setMenuRole(QAction.MenuRole.AboutRole)
        bar = window.menuBar()
        for title, entries in (
            ("&File", (self._open, self._save, None, self._pictures, None, self._demo, None, leave)),
            ("M&odels", (self._base, self._add)),
            ("Me&rge", (self._merge, self._cancel)),
            ("&Help", (about,)),
        ):
            menu = bar.addMenu(title)
            for entry in entries:
                if entry is None:
                    menu.addSeparator()
                else:
                    menu.addAction(entry)

    def update(self, *, merging: bool, ready: bool, has_pictures: bool) -> None:
        for action in (self._open, self._save, self._demo, self._base, self._add):
            action.setEnabled(not merging)
        self._pictures.setEnabled(has_pictures and not merging)
        self._merge.setEnabled(ready and not merging)
        self._cancel.setEnabled(merging)

    @Slot()
    def _on_about(self) -> None:
        try:
            number = version("paramosaic")
        except PackageNotFoundError:
            number = ""
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("About Paramosaic")
        box.setIconPixmap(self._window.windowIcon().pixmap(64, 64))
        box.setText(f"<h3>Paramosaic {number}</h3>")
        box.setInformativeText(_ABOUT)
        box.addButton(QMessageBox.StandardButton.Close)
        without_icons(box)
        box.open()


def _action(
    window: MainWindow, text: str, keys: QKeySequence.StandardKey | str | None, slot: object
) -> QAction:
    action = QAction(text, window)
    if keys is not None:
        action.setShortcut(keys if isinstance(keys, str) else QKeySequence(keys))
    action.triggered.connect(slot)
    return action
