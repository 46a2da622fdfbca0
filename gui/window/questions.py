"""The questions that the window asks: only where there is something to decide."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from core.text import one_line
from gui.widgets.messages import without_icons

__all__ = ["ask_to_cancel_the_merge", "ask_to_overwrite", "ask_to_save"]


def ask_to_cancel_the_merge(parent: QWidget, then: Callable[[], object]) -> QMessageBox:
    """Do `then` if the merge that runs may be cancelled. Returns the question: the merge may end first."""
    box = _box(parent, "A merge is running.", "Cancel it and close? Nothing of it will be left.")
    stop = box.addButton("Cancel the merge and close", QMessageBox.ButtonRole.AcceptRole)
    keep = box.addButton("Go on merging", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    stop.clicked.connect(lambda: then())
    box.open()
    return box


def ask_to_save(
    parent: QWidget, save: Callable[[Callable[[], object]], object], then: Callable[[], object]
) -> None:
    """Do `then`, once the changes of the recipe were saved or may be lost.

    Args:
        parent: the window.
        save: saves, and does what it is given after that.
        then: what is to be done.
    """
    box = _box(parent, "The recipe has changes that are not saved.", "Save them first?")
    keep = box.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
    lose = box.addButton("Do not save", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(stay)
    keep.clicked.connect(lambda: save(then))
    lose.clicked.connect(lambda: then())
    box.open()


def ask_to_overwrite(
    parent: QWidget, name: str, overwrite: Callable[[], object], save_as: Callable[[], object]
) -> None:
    """What to do about the file `name` of the recipe, which somebody else has changed."""
    box = _box(
        parent,
        f"{one_line(name)} has changed on the disk since it was opened here.",
        "Saving would lose those changes.",
    )
    other = box.addButton("Save as…", QMessageBox.ButtonRole.AcceptRole)
    lose = box.addButton("Overwrite it", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    other.clicked.connect(lambda: save_as())
    lose.clicked.connect(lambda: overwrite())
    box.open()


def _box(parent: QWidget, text: str, question: str) -> QMessageBox:
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Paramosaic")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(text)
    box.setInformativeText(question)
    without_icons(box)
    return box
