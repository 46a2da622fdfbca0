"""The file dialogs."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialogButtonBox,
    QFileDialog,
    QFileSystemModel,
    QGridLayout,
    QLineEdit,
    QListView,
    QTreeView,
    QWidget,
)

from core.text import natural_key
from gui.widgets.messages import without_icons
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import secondary
from gui.words import plural

__all__ = [
    "FoldersDialog",
    "choose_data",
    "choose_folder",
    "choose_folders",
    "choose_picture_to_save",
    "choose_recipe",
    "choose_recipe_to_save",
    "choose_study",
    "choose_table_to_save",
]

_DATE = 3
"""The column of QFileSystemModel with the date."""

_PATHS_BEGIN = ("/", "~")
"""What a path begins with, which is then typed and not looked for in the list."""

_RECIPES = "Recipes (*.yaml *.yml)"
_DATA = "Data (*.jsonl *.csv *.txt *.md)"


def choose_folder(parent: QWidget, title: str, start: Path) -> Path | None:
    """One folder that exists, or None."""
    dialog = QFileDialog(parent, title, str(start))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly, True)
    dialog.setProxyModel(_InNaturalOrder(dialog))  # which a dialog of the system ignores
    accepted = dialog.exec() == QFileDialog.DialogCode.Accepted
    chosen = dialog.selectedFiles() if accepted else []
    dialog.deleteLater()
    return Path(chosen[0]) if chosen else None


def choose_folders(parent: QWidget, title: str, start: Path) -> list[Path]:
    """Any number of folders of models, as a FoldersDialog lets choose them."""
    dialog = FoldersDialog(parent, title, start)
    accepted = dialog.exec() == QFileDialog.DialogCode.Accepted
    dialog.deleteLater()
    return dialog.chosen if accepted else []


class FoldersDialog(QFileDialog):
    """Chooses any number of folders of models. Qt's own dialog: the systems' ones take a single folder.

    Return and the button take all that are selected; the button says how many. Where nothing is selected, it
    is the folder whose path or name is typed, or else the one that is shown. A path is typed into the field
    of the name wherever the focus is.

    Attributes:
        chosen: the folders, once it was accepted.
        name_field: the field of the name.
        views: the two lists of folders, one of which is shown; they have the same selection.
    """

    def __init__(self, parent: QWidget | None, title: str, start: Path) -> None:
        super().__init__(parent, title, str(start))
        self.chosen: list[Path] = []
        self.setFileMode(QFileDialog.FileMode.Directory)
        self.setOption(QFileDialog.Option.ShowDirsOnly, True)
        self.setOption(QFileDialog.Option.DontUseNativeDialog, True)
        self.setProxyModel(_InNaturalOrder(self))  # before the views are asked for their selection
        self.views: list[QAbstractItemView] = [
            *self.findChildren(QListView, "listView"),
            *self.findChildren(QTreeView, "treeView"),
        ]
        field = self.findChild(QLineEdit, "fileNameEdit")
        assert field is not None
        self.name_field = field
        for view in self.views:
            view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
            view.installEventFilter(self)
        help_ = PlainLabel(
            "Ctrl or Shift and a click select several, Ctrl+A all. "
            "Return adds what is selected, Alt+Down opens a folder, Alt+Up leaves it. "
            "A path can be typed, too."
        )
        help_.setWordWrap(True)
        secondary(help_)
        without_icons(self.findChild(QDialogButtonBox) or self)
        layout = self.layout()
        assert isinstance(layout, QGridLayout)
        layout.addWidget(help_, layout.rowCount(), 0, 1, layout.columnCount())
        self.views[0].selectionModel().selectionChanged.connect(self._on_selection_changed)
        self.name_field.textChanged.connect(self._on_selection_changed)
        self.directoryEntered.connect(self._on_selection_changed)
        self._on_selection_changed()

    def selected(self) -> list[Path]:
        """The folders that are selected in the list; Qt keeps what was selected in the folder before."""
        shown = self.views[0].rootIndex()
        rows = [row for row in self.views[0].selectionModel().selectedRows() if row.parent() == shown]
        return [Path(row.data(QFileSystemModel.Roles.FilePathRole)) for row in rows]

    def accept(self) -> None:
        self.chosen = self.selected()
        if self.chosen:
            self.done(QFileDialog.DialogCode.Accepted)
        else:
            super().accept()  # which checks what was typed
            self.chosen = [Path(folder) for folder in self.selectedFiles()]

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        for view in self.views:
            if view.isVisible():
                view.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and watched in self.views:
            assert isinstance(watched, QAbstractItemView)
            opens = event.key() == Qt.Key.Key_Down and event.modifiers() & Qt.KeyboardModifier.AltModifier
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.accept()  # Qt would open the folder that has the focus, where none is selected
                return True
            if event.text() in _PATHS_BEGIN:  # no name in the list does, and Qt would look for one
                self.name_field.setFocus(Qt.FocusReason.ShortcutFocusReason)
                self.name_field.selectAll()
                self.name_field.insert(event.text())
                return True
            if opens and watched.currentIndex().isValid():
                watched.activated.emit(watched.currentIndex())
                return True
        return super().eventFilter(watched, event)

    @Slot()
    def _on_selection_changed(self) -> None:
        # Their number only, as asking for each takes a second where there are thousands. A range is of rows.
        shown = self.views[0].rootIndex()
        selection = self.views[0].selectionModel().selection()
        ranges = [selection.at(number) for number in range(selection.count())]
        number = sum(one.height() for one in ranges if one.left() == 0 and one.parent() == shown)
        typed = self.name_field.text()
        path = "/" in typed or typed.startswith(_PATHS_BEGIN)
        alone = "&Add what is typed" if path else "&Add this folder"
        words = f"&Add {plural(number, 'model')}" if number else alone
        self.setLabelText(QFileDialog.DialogLabel.Accept, words)


class _InNaturalOrder(QSortFilterProxyModel):
    """Folders by name, model-2 before model-10, or by date; Qt's own order depends on the system."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._keys: dict[str, tuple[list[tuple[int, str]], str]] = {}

    def lessThan(
        self,
        source_left: QModelIndex | QPersistentModelIndex,
        source_right: QModelIndex | QPersistentModelIndex,
    ) -> bool:
        files = self.sourceModel()
        assert isinstance(files, QFileSystemModel)
        if source_left.column() == _DATE:
            return files.lastModified(source_left) < files.lastModified(source_right)
        return self._key(files.fileName(source_left)) < self._key(files.fileName(source_right))

    def _key(self, name: str) -> tuple[list[tuple[int, str]], str]:
        """A name is compared with a dozen others when thousands are put in order, and taken apart once."""
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = natural_key(name)
        return key


def choose_picture_to_save(parent: QWidget, start: Path) -> Path | None:
    """A file for a picture or its numbers, with the suffix of what was chosen; `start` suggests a name."""
    filters = {"PNG picture (*.png)": "png", "SVG drawing (*.svg)": "svg", "Numbers as CSV (*.csv)": "csv"}
    dialog = _saving(parent, "Save the picture", start, list(filters))
    dialog.setDefaultSuffix("png")

    def suggest(kind: str) -> None:
        """So that the dialog asks about the very file that would be overwritten."""
        suffix = filters.get(kind, "png")
        dialog.setDefaultSuffix(suffix)
        chosen = [Path(name) for name in dialog.selectedFiles()]
        if chosen and chosen[0].suffix[1:] in filters.values():
            dialog.selectFile(chosen[0].with_suffix(f".{suffix}").name)

    dialog.filterSelected.connect(suggest)
    return _accepted(dialog)


def choose_data(parent: QWidget, start: Path) -> Path | None:
    """A file with samples."""
    chosen, _ = QFileDialog.getOpenFileName(
        parent, "Choose a data file", str(start), f"{_DATA};;All files (*)"
    )
    return Path(chosen) if chosen else None


def choose_study(parent: QWidget, start: Path) -> Path | None:
    """What a study wrote."""
    chosen, _ = QFileDialog.getOpenFileName(
        parent, "Open a study", str(start), "Studies (study.json);;All files (*)"
    )
    return Path(chosen) if chosen else None


def choose_table_to_save(parent: QWidget, start: Path) -> Path | None:
    """A file for numbers; `start` suggests one. The dialog has asked whether one that is there may go."""
    dialog = _saving(parent, "Save the numbers", start, ["Numbers as CSV (*.csv)", "All files (*)"])
    dialog.setDefaultSuffix("csv")
    return _accepted(dialog)


def choose_recipe(parent: QWidget, start: Path) -> Path | None:
    chosen, _ = QFileDialog.getOpenFileName(parent, "Open a recipe", str(start), f"{_RECIPES};;All files (*)")
    return Path(chosen) if chosen else None


def choose_recipe_to_save(parent: QWidget, start: Path) -> Path | None:
    """A file for a recipe; `start` suggests one. The dialog has asked whether one that is there may go."""
    dialog = _saving(parent, "Save the recipe", start, [_RECIPES, "All files (*)"])
    dialog.setDefaultSuffix("yaml")
    return _accepted(dialog)


def _saving(parent: QWidget, title: str, start: Path, filters: list[str]) -> QFileDialog:
    dialog = QFileDialog(parent, title, str(start.parent))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setFileMode(QFileDialog.FileMode.AnyFile)
    dialog.setNameFilters(filters)
    dialog.selectFile(start.name)
    return dialog


def _accepted(dialog: QFileDialog) -> Path | None:
    accepted = dialog.exec() == QFileDialog.DialogCode.Accepted
    chosen = dialog.selectedFiles() if accepted else []
    dialog.deleteLater()
    return Path(chosen[0]) if chosen else None
