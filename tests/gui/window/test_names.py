"""Names that look like something else, through the whole window: they are shown as the text that they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtGui import QAction, QTextDocument
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot
from safetensors.torch import save_file

from gui.preflight.ledger import LedgerDialog
from gui.widgets.plain import tool_tip
from gui.window.window import MainWindow

FOLDER = "<img src=x><b>x&\u202e"
"""A slash cannot be in the name of a folder."""
TENSOR = "model.layers.0.<img src=x><b>x</b>&\u202e"
FOLDER_TEXT, TENSOR_TEXT = (name.replace("\u202e", "\\u202e") for name in (FOLDER, TENSOR))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for number, name in enumerate(("base", "one", "two")):
        tensors = {TENSOR: torch.ones(8, 8).bfloat16(), "w": torch.ones(8).bfloat16()}
        for value in tensors.values():
            value[:number] *= 2
        folder = tmp_path / f"{name}{FOLDER}"
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors")
    path = tmp_path / f"{FOLDER}[*].yaml"
    path.write_text(
        "merge_method: parameter_selection\n"
        f"base_model: 'base{FOLDER}'\nmodels:\n- model: 'one{FOLDER}'\n- model: 'two{FOLDER}'\n"
    )
    return path


def drawn(text: str, form: Qt.TextFormat = Qt.TextFormat.AutoText) -> str:
    """What Qt makes of `text` where it decides itself whether that is rich text."""
    if form == Qt.TextFormat.PlainText or (
        form == Qt.TextFormat.AutoText and not GuiQt.mightBeRichText(text)
    ):
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText().replace("\xa0", " ")


def cells(model: QAbstractItemModel) -> Iterator[str]:
    """What the cells of a table show, and their tool tips."""
    for row in range(model.rowCount()):
        for column in range(model.columnCount()):
            index = model.index(row, column)
            yield str(index.data(Qt.ItemDataRole.DisplayRole) or "")
            yield drawn(str(index.data(Qt.ItemDataRole.ToolTipRole) or ""))


def everything_shown(window: QWidget) -> Iterator[str]:
    """Every text in a window as it is drawn, tool tips included."""
    for label in window.findChildren(QLabel):
        yield drawn(label.text(), label.textFormat())
    for widget in window.findChildren(QWidget):
        yield drawn(widget.toolTip())
    for item in (*window.findChildren(QAbstractButton), *window.findChildren(QAction)):
        yield item.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
        yield drawn(item.toolTip())
    for box in window.findChildren(QComboBox):
        yield from (box.itemText(at) for at in range(box.count()))
    for view in window.findChildren(QAbstractItemView):
        if view.model() is not None:
            yield from cells(view.model())


def check(window: QWidget) -> list[str]:
    """Nothing is hidden, and no name was taken for something else."""
    shown = list(everything_shown(window))
    assert not [text for text in shown if "\u202e" in text]
    named = [text for text in shown if "img" in text or "x&" in text]
    wrong = [text for text in named if "<img src=x><b>x" not in text and "…" not in text]
    assert not wrong
    return named


def test_they_are_text_everywhere(qtbot: QtBot, window: MainWindow, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{FOLDER}"
    assert window.load_recipe(recipe, out)
    qtbot.waitUntil(lambda: window.preflight.checked and window.observer.findings is not None)
    qtbot.waitUntil(lambda: window.idle)
    assert window.windowTitle() == f"{FOLDER_TEXT}[*][*].yaml[*] – Paramosaic"
    table = list(cells(window.models.sub_models_model))
    assert f"one{FOLDER_TEXT}" in table
    assert any(f"/one{FOLDER_TEXT}\n" in text for text in table)  # a tool tip
    assert any(f"base{FOLDER_TEXT}" in text for text in check(window))

    window.preflight.show_ledger()
    ledger = window.preflight.findChild(LedgerDialog)
    assert ledger is not None
    rows = list(cells(ledger.model))
    assert rows.count(TENSOR_TEXT) == 2  # the cell and its tool tip
    ledger.close()

    window.models.table.selectRow(1)
    window.models.toggle_selected()
    window.models.toggle_selected()
    assert f"Undo take two{FOLDER_TEXT}" in check(window)

    window.merge_button.click()
    qtbot.waitUntil(lambda: out.exists() and not window.merging, timeout=20000)
    qtbot.waitUntil(lambda: window.history.model.rowCount() == 1)
    assert f"out{FOLDER_TEXT}" in list(cells(window.history.model))
    assert f"written to {tmp_path}/out{FOLDER_TEXT}" in window.run.message.text
    check(window)
    window.recipes.load(tmp_path / f"gone{FOLDER}.yaml")
    assert f"gone{FOLDER_TEXT}.yaml" in window.run.message.text
    assert f"gone{FOLDER_TEXT}.yaml" in window.log.text
    assert f"out{FOLDER_TEXT}" in window.log.text
    assert "\u202e" not in window.log.text
    for menu in (action.menu() for action in window.menuBar().actions()):
        assert menu is not None
        for action in menu.actions():
            if action.menu() is not None:
                action.menu().aboutToShow.emit()
    named = check(window)
    assert f"1 {FOLDER_TEXT}[*].yaml" in named  # of the recipes that were opened last


@pytest.mark.parametrize(
    "text", ["plain", "/a/<b>x</b>\nsecond  line", "x<img src=x>", "a & b < c", "a\u202eb"]
)
def test_a_tool_tip_is_its_text(text: str) -> None:
    assert drawn(tool_tip(text)) == text.replace("\u202e", "\\u202e")


def test_a_tool_tip_is_bounded() -> None:
    assert len(tool_tip("<b>" * 10**6)) < 15_000
