"""The ledger's table: sorted and searched as a person does it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from gui.preflight.ledger import LedgerDialog
from gui.preflight.ledger_model import Column, LedgerModel
from gui.preflight.report import LedgerRow

ROWS = (
    LedgerRow("embed", (50, 16), "BF16", 800, "merged", "", "resamples 4"),
    LedgerRow("layers.0.up", (48, 16), "BF16", 768, "merged", "", "resamples 9"),
    LedgerRow("layers.0.mask", (9,), "BOOL", 9, "copied", "BOOL is not a floating-point type"),
    LedgerRow("head", (), "", 0, "omitted", "tied to embed, and not every input stores it"),
)


@pytest.fixture
def dialog(qtbot: QtBot) -> LedgerDialog:
    dialog = LedgerDialog()
    qtbot.addWidget(dialog)
    dialog.set_rows(ROWS)
    dialog.show()
    return dialog


def names(dialog: LedgerDialog) -> list[str]:
    model = dialog.table.model()
    return [model.index(row, Column.NAME).data() for row in range(model.rowCount())]


def click_header(qtbot: QtBot, dialog: LedgerDialog, column: Column) -> None:
    header = dialog.table.horizontalHeader()
    place = header.rect().center()
    place.setX(header.sectionViewportPosition(column) + 10)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_the_model_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = LedgerModel()
    qtmodeltester.check(model)
    model.set_rows(ROWS)
    model.set_search("layers")
    qtmodeltester.check(model)


def test_the_order_is_that_of_the_files_at_first(dialog: LedgerDialog) -> None:
    assert names(dialog) == ["embed", "layers.0.up", "layers.0.mask", "head"]
    assert dialog.count_text == "4 tensors"


def test_a_row_says_everything(dialog: LedgerDialog) -> None:
    texts = [dialog.model.index(1, column).data() for column in Column]
    assert texts == ["layers.0.up", "48 × 16", "bf16", "merged", "resamples 9", ""]


def test_headers_sort_there_and_back(qtbot: QtBot, dialog: LedgerDialog) -> None:
    click_header(qtbot, dialog, Column.SHAPE)
    assert names(dialog) == ["head", "layers.0.mask", "layers.0.up", "embed"]
    click_header(qtbot, dialog, Column.SHAPE)
    assert names(dialog) == ["embed", "layers.0.up", "layers.0.mask", "head"]
    click_header(qtbot, dialog, Column.NAME)
    assert names(dialog) == ["embed", "head", "layers.0.mask", "layers.0.up"]


def test_a_third_click_brings_the_order_of_the_files_back(qtbot: QtBot, dialog: LedgerDialog) -> None:
    for _ in range(3):
        click_header(qtbot, dialog, Column.NAME)
    assert names(dialog) == [row.name for row in ROWS]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("LAYERS", ["layers.0.up", "layers.0.mask"]),
        ("layers merged", ["layers.0.up"]),
        ("floating", ["layers.0.mask"]),
        ("50 ×", ["embed"]),
        ("nothing like it", []),
    ],
)
def test_typing_searches_every_column(
    qtbot: QtBot, dialog: LedgerDialog, text: str, found: list[str]
) -> None:
    qtbot.keyClick(dialog, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(dialog.search_field, text)
    assert names(dialog) == found
    assert dialog.count_text == f"{len(found)} of 4 tensors"
    dialog.search_field.clear()
    assert len(names(dialog)) == 4


def test_new_rows_keep_the_search_and_the_order(qtbot: QtBot, dialog: LedgerDialog) -> None:
    click_header(qtbot, dialog, Column.NAME)
    qtbot.keyClicks(dialog.search_field, "layers")
    dialog.set_rows([*ROWS, LedgerRow("layers.0.down", (16, 48), "BF16", 768, "merged")])
    assert names(dialog) == ["layers.0.down", "layers.0.mask", "layers.0.up"]
