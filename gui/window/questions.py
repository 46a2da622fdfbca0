"""The questions that the window asks: only where there is something to decide."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from gui.widgets.messages import without_icons

__all__ = ["ask_to_cancel_the_merge", "ask_to_save"]


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


def ask_to_save(parent: QWidget, save: Callable[[], bool], then: Callable[[], object]) -> None:
    """Do `then`, once the changes of the recipe were saved or may be lost."""
    box = _box(parent, "The recipe has changes that are not saved.", "Save them first?")
    keep = box.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
    lose = box.addButton("Do not save", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(stay)
    keep.clicked.connect(lambda: then() if save() else None)
    lose.clicked.connect(lambda: then())
    box.open()


def _box(parent: QWidget, text: str, question: str) -> QMessageBox:
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Paramosaic")
    box.setText(text)
    box.setInformativeText(question)
    without_icons(box)
    return box
