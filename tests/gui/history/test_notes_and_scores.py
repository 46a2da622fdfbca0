"""What stands beside a run: a note that is written in place, and the loss of its output."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.evaluate.models.digests import reference_digest
from core.evaluate.scores import Scores
from core.evaluate.store.score_store import ScoreStore
from core.runs.history import History, HistoryEntry
from gui.history.panel import HistoryPanel
from gui.history.table_model import Column
from gui.jobs import JobKeeper

Open = Callable[[], HistoryPanel]


@pytest.fixture
def history(tmp_path: Path, models: Path) -> History:
    """Two runs that are done; the outputs are copies of run-1 (the newer) and run-2."""
    history = History(tmp_path / "data" / "history")
    entry = HistoryEntry.begin(load_recipe(models / "recipe.yaml"), tmp_path / "newer")
    for number, name in ((1, "older"), (2, "newer")):
        shutil.copytree(models / f"run-{number}", tmp_path / name)
        date = f"2025-01-0{number}T00:00:00.000+00:00"
        history.add(replace(entry, id=f"run-{number}", date=date, status="done", out=tmp_path / name))
    return history


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "data" / "scores")


@pytest.fixture
def open_panel(qtbot: QtBot, history: History, store: ScoreStore) -> Iterator[Open]:
    keepers: list[JobKeeper] = []

    def opened() -> HistoryPanel:
        jobs = JobKeeper()
        keepers.append(jobs)
        panel = HistoryPanel(history, jobs, store)
        qtbot.addWidget(panel)
        panel.resize(860, 220)
        panel.show()
        panel.refresh()
        settle(qtbot, panel)
        return panel

    yield opened
    for jobs in keepers:
        jobs.stop_all()


def settle(qtbot: QtBot, panel: HistoryPanel) -> None:
    qtbot.waitUntil(lambda: panel._job is None)


def column(panel: HistoryPanel, which: Column) -> list[str]:
    return [panel.model.index(row, which).data() for row in range(panel.model.rowCount())]


def select(panel: HistoryPanel, row: int) -> None:
    panel.table.selectRow(row)
    panel.table.setFocus()


def editor(panel: HistoryPanel) -> QLineEdit:
    found = panel.table.viewport().findChild(QLineEdit)
    assert found is not None
    return found


def evaluate(store: ScoreStore, out: Path, loss: float, data: str) -> None:
    store.put(
        Scores(
            name=out.name,
            path=str(out),
            model_digest=reference_digest(str(out), store.digests),
            data_digest=data.encode().hex().ljust(32, "0")[:32],
            settings={},
            task="causal",
            loss=np.array([loss - 1, loss + 1]),
            tokens=np.array([3, 3]),
            text_bytes=np.array([9, 9]),
            correct=np.array([True, False]),
            lines=np.array([1, 2]),
            tokenizer_digest="",
            seconds=1.0,
        ),
        data=Path("/data") / data,
    )


def test_there_is_no_column_for_what_nobody_knows(open_panel: Open) -> None:
    panel = open_panel()
    assert panel.table.isColumnHidden(Column.LOSS)
    assert panel.table.isColumnHidden(Column.NOTE)


def test_a_note_is_written_in_place_kept_and_found(qtbot: QtBot, history: History, open_panel: Open) -> None:
    panel = open_panel()
    select(panel, 1)
    qtbot.keyClick(panel.table, Qt.Key.Key_F2)
    assert not panel.table.isColumnHidden(Column.NOTE)
    qtbot.keyClicks(editor(panel), "the good one ")
    panel.refresh()  # as when a merge ends: what is typed stays
    settle(qtbot, panel)
    qtbot.keyClick(editor(panel), Qt.Key.Key_Return)
    settle(qtbot, panel)
    qtbot.waitUntil(lambda: [entry.note for entry in history.entries()] == ["", "the good one"])
    settle(qtbot, panel)
    assert column(panel, Column.NOTE) == ["", "the good one"]
    panel.search_field.setText("good")
    assert column(panel, Column.OUTPUT) == ["older"]

    again = open_panel()
    assert not again.table.isColumnHidden(Column.NOTE)
    assert column(again, Column.NOTE) == ["", "the good one"]
    with qtbot.assertNotEmitted(again.reopen_requested):  # a double click there writes
        place = again.table.visualRect(again.model.index(1, Column.NOTE)).center()
        qtbot.mouseClick(again.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.mouseDClick(again.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        assert editor(again).text() == "the good one"
        qtbot.keyClick(editor(again), Qt.Key.Key_Escape)
    settle(qtbot, again)
    assert [entry.note for entry in history.entries()] == ["", "the good one"]


def test_a_note_comes_back_with_a_run_that_was_removed(
    qtbot: QtBot, history: History, open_panel: Open
) -> None:
    history.set_note("run-2", "keep")
    panel = open_panel()
    select(panel, 0)
    qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    settle(qtbot, panel)
    assert len(history.entries()) == 1
    panel.undo_button.click()
    settle(qtbot, panel)
    qtbot.waitUntil(lambda: [entry.note for entry in history.entries()] == ["keep", ""])


def test_a_note_that_begins_and_ends_as_nothing_leaves_no_column(qtbot: QtBot, open_panel: Open) -> None:
    panel = open_panel()
    select(panel, 0)
    qtbot.keyClick(panel.table, Qt.Key.Key_F2)
    qtbot.keyClick(editor(panel), Qt.Key.Key_Escape)
    assert panel.table.isColumnHidden(Column.NOTE)


def test_the_newest_score_of_an_output_stands_beside_its_run(
    qtbot: QtBot, tmp_path: Path, store: ScoreStore, open_panel: Open
) -> None:
    evaluate(store, tmp_path / "older", 2.5, "first.jsonl")
    evaluate(store, tmp_path / "older", 3.25, "second.jsonl")
    panel = open_panel()
    assert column(panel, Column.LOSS) == ["", "3.2500"]
    tip = panel.model.index(1, Column.LOSS).data(Qt.ItemDataRole.ToolTipRole)
    assert "Loss 3.2500 on 2 rows of second.jsonl, 50.0 % right" in tip
    panel.search_field.setText("second.jsonl")
    assert column(panel, Column.OUTPUT) == ["older"]
    panel.search_field.clear()
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        panel.table.sortByColumn(Column.LOSS, order)
        assert column(panel, Column.LOSS) == ["3.2500", ""]  # what has none is last

    shutil.copyfile(tmp_path / "newer" / "model.safetensors", tmp_path / "older" / "model.safetensors")
    panel.refresh()
    settle(qtbot, panel)
    assert set(column(panel, Column.LOSS)) == {""}  # another model lies there now
    assert panel.table.isColumnHidden(Column.LOSS)


def test_outputs_that_are_there_can_be_evaluated(qtbot: QtBot, tmp_path: Path, open_panel: Open) -> None:
    panel = open_panel()
    panel.table.selectAll()
    (evaluate_them,) = (action for action in panel.actions_ if action.text() == "Evaluate")
    with qtbot.waitSignal(panel.evaluate_requested) as asked:
        evaluate_them.trigger()
    assert asked.args == [(tmp_path / "newer", tmp_path / "older")]
    shutil.rmtree(tmp_path / "older")
    panel.refresh()
    settle(qtbot, panel)
    assert not evaluate_them.isEnabled()


def test_all_columns_have_room(tmp_path: Path, history: History, store: ScoreStore, open_panel: Open) -> None:
    evaluate(store, tmp_path / "older", 2.5, "first.jsonl")
    history.set_note("run-1", "a note that is longer than what anybody would have room for in a table")
    panel = open_panel()
    panel.resize(560, 220)
    assert panel.table.horizontalHeader().length() <= panel.table.viewport().width()
    assert panel.table.columnWidth(Column.NOTE) > panel.table.columnWidth(Column.K)
