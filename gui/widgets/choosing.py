"""The file dialogs."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QListView, QTreeView, QWidget

__all__ = [
    "choose_folder",
    "choose_folders",
    "choose_picture_to_save",
    "choose_recipe",
    "choose_recipe_to_save",
]

_RECIPES = "Recipes (*.yaml *.yml)"


def choose_folder(parent: QWidget, title: str, start: Path) -> Path | None:
    """One folder that exists, or None."""
    chosen = QFileDialog.getExistingDirectory(parent, title, str(start))
    return Path(chosen) if chosen else None


def choose_folders(parent: QWidget, title: str, start: Path) -> list[Path]:
    """Any number of folders. Qt's own dialog: the systems' ones take a single folder."""
    dialog = QFileDialog(parent, title, str(start))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly, True)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog, True)
    for view in [*dialog.findChildren(QListView, "listView"), *dialog.findChildren(QTreeView, "treeView")]:
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    accepted = dialog.exec() == QFileDialog.DialogCode.Accepted
    chosen = [Path(folder) for folder in dialog.selectedFiles()] if accepted else []
    dialog.deleteLater()
    return chosen


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
