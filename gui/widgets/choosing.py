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
    filters = {"PNG picture (*.png)": ".png", "SVG drawing (*.svg)": ".svg", "Numbers as CSV (*.csv)": ".csv"}
    chosen, kind = QFileDialog.getSaveFileName(parent, "Save the picture", str(start), ";;".join(filters))
    if not chosen:
        return None
    path, suffix = Path(chosen), filters.get(kind, ".png")
    if path == start or not path.suffix:  # the suggested name takes the suffix of the kind that was chosen
        return path.with_suffix(suffix)
    return path


def choose_recipe(parent: QWidget, start: Path) -> Path | None:
    chosen, _ = QFileDialog.getOpenFileName(parent, "Open a recipe", str(start), f"{_RECIPES};;All files (*)")
    return Path(chosen) if chosen else None


def choose_recipe_to_save(parent: QWidget, start: Path) -> Path | None:
    chosen, _ = QFileDialog.getSaveFileName(
        parent, "Save the recipe", str(start / "recipe.yaml"), f"{_RECIPES};;All files (*)"
    )
    if not chosen:
        return None
    path = Path(chosen)
    return path if path.suffix else path.with_suffix(".yaml")
