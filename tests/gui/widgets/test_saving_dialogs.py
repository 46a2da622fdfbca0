"""The dialogs that save ask about the very file that would be overwritten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from gui.widgets.choosing import choose_picture_to_save, choose_recipe_to_save


def while_open(steps: list[Callable[[QFileDialog], None]]) -> None:
    """Do one step after the other as soon as a dialog is open."""

    def step() -> None:
        dialog = next(one for one in QApplication.topLevelWidgets() if isinstance(one, QFileDialog))
        steps.pop(0)(dialog)
        if steps:
            QTimer.singleShot(0, step)

    QTimer.singleShot(0, step)


def typed(text: str) -> Callable[[QFileDialog], None]:
    def type_and_save(dialog: QFileDialog) -> None:
        field = dialog.findChild(QLineEdit, "fileNameEdit")
        assert field is not None
        field.setText(text)
        QTimer.singleShot(0, lambda: QTest.keyClick(field, Qt.Key.Key_Return))

    return type_and_save


def refuse(questions: list[str]) -> Callable[[QFileDialog], None]:
    """Answer No to what is asked, and give up."""

    def answer(dialog: QFileDialog) -> None:
        every = QApplication.topLevelWidgets()
        boxes = [one for one in every if isinstance(one, QMessageBox) and one.isVisible()]
        if not boxes:
            QTimer.singleShot(0, lambda: answer(dialog))
            return
        questions.append(boxes[0].text())
        boxes[0].button(QMessageBox.StandardButton.No).click()
        QTimer.singleShot(0, dialog.reject)

    return answer


def test_the_suffix_that_is_added_is_asked_about(qtbot: QtBot, tmp_path: Path) -> None:
    parent, asked = QWidget(), list[str]()
    qtbot.addWidget(parent)
    (tmp_path / "mine.yaml").write_text("kept")
    while_open([typed("mine"), refuse(asked)])
    assert choose_recipe_to_save(parent, tmp_path / "recipe.yaml") is None
    assert len(asked) == 1
    assert "mine.yaml" in asked[0]
    while_open([typed("other")])
    assert choose_recipe_to_save(parent, tmp_path / "recipe.yaml") == tmp_path / "other.yaml"


def test_the_suggested_picture_takes_the_suffix_of_its_kind(qtbot: QtBot, tmp_path: Path) -> None:
    parent, asked = QWidget(), list[str]()
    qtbot.addWidget(parent)
    (tmp_path / "map.csv").write_text("kept")

    def numbers(dialog: QFileDialog) -> None:
        dialog.selectNameFilter("Numbers as CSV (*.csv)")
        dialog.filterSelected.emit("Numbers as CSV (*.csv)")
        field = dialog.findChild(QLineEdit, "fileNameEdit")
        QTimer.singleShot(0, lambda: QTest.keyClick(field, Qt.Key.Key_Return))

    while_open([numbers, refuse(asked)])
    assert choose_picture_to_save(parent, tmp_path / "map.png") is None
    assert "map.csv" in asked[0]
    while_open([typed("mine.svg")])
    assert choose_picture_to_save(parent, tmp_path / "map.png") == tmp_path / "mine.svg"
