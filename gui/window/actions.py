"""The menus, and the actions in them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMessageBox

from gui.widgets.messages import without_icons

if TYPE_CHECKING:
    from gui.window.window import MainWindow

__all__ = ["Actions"]

_ABOUT = """\
<p>Paramosaic merges fine-tuned language models.</p>
<p>Parameter selection with zero-delta resampling is described in
<a href="https://arxiv.org/abs/2410.03743">arXiv:2410.03743</a>.</p>
<p>Apache License 2.0</p>"""

_Keys = QKeySequence.StandardKey


class Actions(QObject):
    """Fills the menu bar of a window and keeps its entries up to date."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        models, undo = window.models, window.document.undo
        self._recent = QMenu("Open &recent", window)
        self._recent.aboutToShow.connect(self._fill_recent)
        self._pictures = _action(
            window, "Save all &pictures…", "Ctrl+Shift+P", window.ask_where_to_save_pictures
        )
        leave = _action(window, "&Quit", _Keys.Quit, window.close)
        leave.setMenuRole(QAction.MenuRole.QuitRole)
        if leave.shortcut().isEmpty():
            leave.setShortcut("Ctrl+Q")
        save_as = _action(window, "Save recipe &as…", _Keys.SaveAs, window.save_recipe_as)
        if save_as.shortcut().isEmpty():
            save_as.setShortcut("Ctrl+Shift+S")
        self._merge = _action(window, "&Merge", "Ctrl+Return", window.start_merge)
        self._cancel = _action(window, "&Cancel", "Ctrl+.", window.cancel_merge)
        self._again = _action(
            window, "Merge again with another &seed", "Ctrl+Shift+Return", window.merge_again
        )
        ledger = _action(window, "Show every &tensor…", "Ctrl+T", window.preflight.show_ledger)
        about = _action(window, "&About Paramosaic", "F1", self._on_about)
        about.setMenuRole(QAction.MenuRole.AboutRole)
        recipes: list[QAction | QMenu] = [
            _action(window, "&New recipe", _Keys.New, window.new_recipe),
            _action(window, "&Open recipe…", _Keys.Open, window.ask_for_recipe),
            self._recent,
            _action(window, "&Save recipe", _Keys.Save, window.save_recipe),
            save_as,
            _action(window, "Open the &demo", "Ctrl+D", window.open_demo),
        ]
        seed = window.recipe.seed
        edits = [
            undo.undo_action(window),
            undo.redo_action(window),
            None,
            _action(window, "Random &seed", "Ctrl+R", seed.dice_button.click),
            _action(window, "&Copy the seed", "Ctrl+Shift+C", seed.copy_button.click),
        ]
        selected = models.actions_
        chosen: list[QAction | None] = [
            _action(window, "Choose the &base…", "Ctrl+B", models.ask_for_base),
            _action(window, "Add &models…", "Ctrl+Shift+A", models.ask_for_sub_models),
            _action(window, "Add a training r&un…", "Ctrl+Shift+U", models.ask_for_run_folder),
            None,
            *(selected.toggle, selected.only, selected.weight),
            None,
            *(selected.up, selected.down, selected.base, selected.open, selected.remove),
            None,
            _action(window, "Read the models a&gain", "F5", window.refresh_models),
        ]
        log = [
            _action(window, "&Copy the log", "Ctrl+Shift+L", window.log.copy),
            _action(window, "&Save the log…", "Ctrl+Alt+S", window.log.ask_where_to_save),
        ]
        reset = _action(window, "&Reset the layout", "Ctrl+0", window.layout_.reset)
        self._while_idle: list[QAction | QMenu] = []
        bar = window.menuBar()
        for title, entries in (
            ("&File", [*recipes, None, leave]),
            ("&Edit", edits),
            ("M&odels", chosen),
            ("Me&rge", [self._merge, self._cancel, None, self._again, None, ledger]),
            ("P&ictures", [*window.pictures.actions_, None, self._pictures]),
            ("&View", [*window.layout_.actions(), None, *window.history.actions_, None, *log, None, reset]),
            ("&Help", [about]),
        ):
            menu = bar.addMenu(title)
            for entry in entries:
                if entry is None:
                    menu.addSeparator()
                elif isinstance(entry, QMenu):
                    menu.addMenu(entry)
                else:
                    menu.addAction(entry)
            if title in {"&Edit", "M&odels"}:
                self._while_idle.append(menu)  # its entries enable themselves
        self._while_idle += recipes

    def update(self) -> None:
        """Enable what can be done now."""
        merging = self._window.merging
        for entry in self._while_idle:
            entry.setEnabled(not merging)
        self._pictures.setEnabled(self._window.has_pictures and not merging)
        self._merge.setEnabled(self._window.merge_button.isEnabled())
        self._cancel.setEnabled(merging)
        self._again.setEnabled(not merging and self._window.can_merge_again)

    @Slot()
    def _fill_recent(self) -> None:
        self._recent.clear()
        for number, path in enumerate(self._window.settings.recent_recipes, start=1):
            entry = self._recent.addAction(f"&{number} {path.name}")
            entry.setToolTip(str(path))
            entry.setData(str(path))
            entry.triggered.connect(lambda _, path=path: self._window.open_recipe(Path(path)))
        self._recent.setToolTipsVisible(True)
        if self._recent.isEmpty():
            self._recent.addAction("No recipe yet").setEnabled(False)

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


def _action(window: MainWindow, text: str, keys: _Keys | str | None, slot: object) -> QAction:
    action = QAction(text, window)
    if keys is not None:
        action.setShortcut(keys if isinstance(keys, str) else QKeySequence(keys))
    action.triggered.connect(slot)
    return action
