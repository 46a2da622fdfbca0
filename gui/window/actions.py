"""The menus, and the actions in them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QMessageBox

from gui.document.document import Document
from gui.settings import Settings
from gui.widgets.messages import without_icons
from gui.widgets.paths import short_paths
from gui.widgets.plain import menu_text, tool_tip
from gui.window.dock_action import DockAction, show_focus
from gui.window.help import HelpDialog
from gui.window.layout import WindowLayout
from gui.window.panels import Panels
from gui.window.recipes import Recipes
from gui.window.theme_menu import ThemeMenu

__all__ = ["Actions"]

_ABOUT = """\
<p>Paramosaic merges fine-tuned language models.</p>
<p>Parameter selection with zero-delta resampling is described in
<a href="https://arxiv.org/abs/2410.03743">arXiv:2410.03743</a>.</p>
<p>Apache License 2.0</p>"""

_Keys = QKeySequence.StandardKey


class Actions(QObject):
    """Fills the menu bar of a window and keeps its entries up to date.

    Attributes:
        save_pictures, read_again, make, merge, cancel, again, evaluate, open_study: what the window does
            itself; the others are connected to the parts that do them.
    """

    def __init__(
        self,
        window: QMainWindow,
        panels: Panels,
        document: Document,
        recipes: Recipes,
        layout: WindowLayout,
        settings: Settings,
    ) -> None:
        super().__init__(window)
        self._window, self._document, self._open = window, document, recipes.open
        models, undo, seed = panels.models, document.undo, panels.recipe.seed
        self._recent = QMenu("Open &recent", window)
        self._recent.aboutToShow.connect(self._fill_recent)
        self.save_pictures = _action(window, "Save all &pictures…", "Ctrl+Shift+P")
        self.read_again = _action(window, "Read the models a&gain", "F5")
        self.make = _action(window, "Make &sub-models…", "Ctrl+Shift+M")
        leave = _action(window, "&Quit", _Keys.Quit, window.close)
        leave.setMenuRole(QAction.MenuRole.QuitRole)
        if leave.shortcut().isEmpty():
            leave.setShortcut("Ctrl+Q")
        save_as = _action(window, "Save recipe &as…", _Keys.SaveAs, recipes.save_as)
        if save_as.shortcut().isEmpty():
            save_as.setShortcut("Ctrl+Shift+S")
        self.merge = _action(window, "&Merge", "Ctrl+Return")
        self.cancel = _action(window, "&Cancel", "Ctrl+.")
        self.again = _action(window, "Merge again with another &seed", "Ctrl+Shift+Return")
        self.evaluate = _action(window, "&Evaluate this merge", "Ctrl+Alt+E")
        self.open_study = _action(window, "Open a st&udy…", "Ctrl+Shift+Y")
        scores = QMenu("Sc&ores", window)
        scores.addActions(panels.evaluation.actions_)
        trying = _action(window, "Tr&y it", "Ctrl+Shift+T", layout.show_trying)
        ledger = _action(window, "Show every &tensor…", "Ctrl+T", panels.preflight.show_ledger)
        how = _action(window, "&How to use Paramosaic", _Keys.HelpContents, self._on_help)
        if how.shortcut().isEmpty():
            how.setShortcut("F1")
        about = _action(window, "&About Paramosaic", None, self._on_about)
        about.setMenuRole(QAction.MenuRole.AboutRole)
        files: list[QAction | QMenu] = [
            _action(window, "&New recipe", _Keys.New, recipes.new),
            _action(window, "&Open recipe…", _Keys.Open, recipes.ask_what_to_open),
            self._recent,
            _action(window, "&Save recipe", _Keys.Save, recipes.save),
            save_as,
            _action(window, "Open the &demo", "Ctrl+D", recipes.open_demo),
        ]
        self._of_the_seed = [
            _action(window, "Random &seed", "Ctrl+R", seed.dice_button.click),
            _action(window, "&Copy the seed", "Ctrl+Shift+C", seed.copy_button.click),
        ]
        edits = [undo.undo_action(window), undo.redo_action(window), None, *self._of_the_seed]
        selected = models.actions_
        chosen: list[QAction | None] = [
            _action(window, "Choose the &base…", "Ctrl+B", models.ask_for_base),
            _action(window, "Add &models…", "Ctrl+Shift+A", models.ask_for_sub_models),
            _action(window, "Add a training r&un…", "Ctrl+Shift+U", models.ask_for_run_folder),
            None,
            self.make,
            None,
            *(selected.toggle, selected.only, selected.weight),
            None,
            *(selected.up, selected.down, selected.base, selected.open, selected.remove),
            None,
            self.read_again,
        ]
        log = [
            _action(window, "&Copy the log", "Ctrl+Shift+L", panels.log.copy),
            _action(window, "&Save the log…", "Ctrl+Alt+S", panels.log.ask_where_to_save),
        ]
        reset = _action(window, "&Reset the layout", "Ctrl+0", layout.reset)
        theme = ThemeMenu(settings, window)
        parts = layout.actions()[len(layout.docks) :]
        for part in parts:
            part.triggered.connect(self._on_other_part)
        docks = [DockAction(dock, f"Ctrl+{number}") for number, dock in enumerate(layout.docks, start=1)]
        self._while_idle: list[QAction | QMenu] = []
        bar = window.menuBar()
        for title, entries in (
            ("&File", [*files, None, leave]),
            ("&Edit", edits),
            ("M&odels", chosen),
            (
                "Me&rge",
                [
                    self.merge,
                    self.cancel,
                    None,
                    self.again,
                    None,
                    trying,
                    self.evaluate,
                    scores,
                    self.open_study,
                    None,
                    ledger,
                ],
            ),
            (
                "P&ictures",
                [*panels.pictures.actions_, None, panels.pictures.scores_action, self.save_pictures],
            ),
            (
                "&View",
                [*docks, *parts, None, *panels.history.actions_, None, *log, None, theme, reset],
            ),
            ("&Help", [how, None, about]),
        ):
            menu = bar.addMenu(title)
            menu.setToolTipsVisible(title == "&View")  # of runs, they say why something cannot be done
            for entry in entries:
                if entry is None:
                    menu.addSeparator()
                elif isinstance(entry, QMenu):
                    menu.addMenu(entry)
                else:
                    menu.addAction(entry)
            if title in {"&Edit", "M&odels"}:
                self._while_idle.append(menu)  # its entries enable themselves
        self._while_idle += files

    def update(
        self, *, merging: bool, draws: bool, can_merge: bool, has_result: bool, has_pictures: bool
    ) -> None:
        """Enable what can be done now.

        Args:
            merging: whether a merge runs.
            draws: whether the method does, and so has a seed.
            can_merge: whether one may be started.
            has_result: whether there is one, which would be different with another seed where it draws.
            has_pictures: whether there are any to be saved.
        """
        for entry in self._while_idle:
            entry.setEnabled(not merging)
        for action in self._of_the_seed:
            action.setEnabled(draws)
        self.save_pictures.setEnabled(has_pictures and not merging)
        self.merge.setEnabled(can_merge)
        self.cancel.setEnabled(merging)
        self.again.setEnabled(has_result and draws and not merging)
        self.evaluate.setEnabled(has_result and not merging)

    @Slot()
    def _fill_recent(self) -> None:
        self._recent.clear()
        names = short_paths(self._document.recent)
        for number, path in enumerate(self._document.recent, start=1):
            entry = self._recent.addAction(f"&{number} {menu_text(names[path])}")
            entry.setToolTip(tool_tip(str(path)))
            entry.setData(str(path))
            entry.triggered.connect(lambda _, path=path: self._open(path))
        self._recent.setToolTipsVisible(True)
        if self._recent.isEmpty():
            self._recent.addAction("No recipe yet").setEnabled(False)

    @Slot()
    def _on_other_part(self) -> None:
        show_focus(self._window)

    @Slot()
    def _on_help(self) -> None:
        shown = self._window.findChild(HelpDialog)
        if shown is None:
            shown = HelpDialog(self._window.menuBar(), self._window)
        shown.show()
        shown.raise_()
        shown.activateWindow()

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


def _action(window: QMainWindow, text: str, keys: _Keys | str | None, slot: object = None) -> QAction:
    action = QAction(text, window)
    if keys is not None:
        action.setShortcut(keys if isinstance(keys, str) else QKeySequence(keys))
    if slot is not None:
        action.triggered.connect(slot)
    return action
