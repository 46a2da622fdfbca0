"""Choosing many folders at once, by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QAbstractItemView, QApplication, QDialogButtonBox, QPushButton
from pytestqt.qtbot import QtBot

from gui.widgets.choosing import FoldersDialog

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Twelve folders, and a file that is none."""
    for number in range(1, 13):
        (tmp_path / f"model-{number}").mkdir()
    (tmp_path / "model-2" / "inner").mkdir()
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


@pytest.fixture
def dialog(qtbot: QtBot, folders: Path) -> Iterator[FoldersDialog]:
    dialog = FoldersDialog(None, "Add sub-models", folders)
    qtbot.addWidget(dialog)
    dialog.open()
    qtbot.waitUntil(lambda: view_of(dialog).model().rowCount(view_of(dialog).rootIndex()) == 12)
    yield dialog
    dialog.close()


def view_of(dialog: FoldersDialog) -> QAbstractItemView:
    return next(view for view in dialog.views if view.isVisible())


def row(dialog: FoldersDialog, number: int) -> QModelIndex:
    view = view_of(dialog)
    return view.model().index(number, 0, view.rootIndex())


def button(dialog: FoldersDialog) -> QPushButton:
    found = dialog.findChild(QDialogButtonBox).buttons()
    return next(one for one in found if isinstance(one, QPushButton) and "Add" in one.text())


def names(dialog: FoldersDialog) -> set[str]:
    return {folder.name for folder in dialog.chosen}


def test_folders_are_listed_as_people_count(dialog: FoldersDialog) -> None:
    listed = [row(dialog, number).data() for number in range(12)]
    assert listed == [f"model-{number}" for number in range(1, 13)]


def test_return_adds_all_that_are_selected(qtbot: QtBot, dialog: FoldersDialog) -> None:
    qtbot.waitUntil(lambda: QApplication.focusWidget() is view_of(dialog))
    qtbot.keyClick(view_of(dialog), Qt.Key.Key_A, CTRL)
    assert button(dialog).text() == "&Add 12 models"
    qtbot.keyClick(view_of(dialog), Qt.Key.Key_Return)
    assert dialog.result() == FoldersDialog.DialogCode.Accepted
    assert names(dialog) == {f"model-{number}" for number in range(1, 13)}


def test_shift_and_arrows_select(qtbot: QtBot, dialog: FoldersDialog) -> None:
    view = view_of(dialog)
    view.setCurrentIndex(row(dialog, 3))
    assert button(dialog).text() == "&Add 1 model"
    for _ in range(2):
        qtbot.keyClick(view, Qt.Key.Key_Down, SHIFT)
    qtbot.keyClick(view, Qt.Key.Key_Enter)
    assert names(dialog) == {"model-4", "model-5", "model-6"}


def test_clicks_with_ctrl_select_and_the_button_adds(qtbot: QtBot, dialog: FoldersDialog) -> None:
    view = view_of(dialog)
    for number in (0, 4, 9):
        area = view.visualRect(row(dialog, number))
        view.scrollTo(row(dialog, number))
        qtbot.mouseClick(view.viewport(), LEFT, CTRL, view.visualRect(row(dialog, number)).center())
        assert area.isValid()
    assert button(dialog).text() == "&Add 3 models"
    qtbot.mouseClick(button(dialog), LEFT)
    assert names(dialog) == {"model-1", "model-5", "model-10"}


def test_a_folder_is_opened_by_keys_and_taken_where_nothing_is_selected(
    qtbot: QtBot, dialog: FoldersDialog, folders: Path
) -> None:
    view = view_of(dialog)
    view.setCurrentIndex(row(dialog, 1))
    qtbot.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: dialog.directory().path() == str(folders / "model-2"))
    assert button(dialog).text() == "&Add this folder"
    qtbot.mouseClick(button(dialog), LEFT)
    assert dialog.chosen == [folders / "model-2"]
