"""The table of runs: finding one, opening its recipe again, taking it off the list."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QToolButton
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.errors import OutputError
from core.runs.history import History, HistoryEntry
from gui.history.panel import HistoryPanel
from gui.history.table_model import Column, HistoryModel, HistoryRow
from gui.jobs import JobKeeper

Open = Callable[[], HistoryPanel]


@pytest.fixture
def entry(models: Path, tmp_path: Path) -> HistoryEntry:
    return HistoryEntry.begin(load_recipe(models / "recipe.yaml"), tmp_path / "merged")


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


@pytest.fixture
def three(history: History, entry: HistoryEntry, tmp_path: Path) -> list[HistoryEntry]:
    """Oldest first: a run whose output is there, one whose output is gone, one that failed."""
    (tmp_path / "apple").mkdir()
    entries = [
        made(entry, 1, status="done", seconds=60.0, before_s=2.0, seed=30, out=tmp_path / "apple"),
        made(entry, 2, status="done", seconds=0.5, seed=4, out=tmp_path / "Banana"),
        made(entry, 3, status="failed", message="No space left.", seed=100, out=tmp_path / "cherry"),
    ]
    for item in entries:
        history.add(item)
    return entries


@pytest.fixture
def open_panel(qtbot: QtBot, history: History) -> Open:
    """Opens a panel on the history, and waits until it has been read."""

    def opened() -> HistoryPanel:
        jobs = JobKeeper()
        panel = HistoryPanel(history, jobs)
        jobs.setParent(panel)
        qtbot.addWidget(panel, before_close_func=lambda _: jobs.stop_all())
        panel.resize(860, 220)
        panel.show()
        panel.refresh()
        settle(qtbot, panel)
        return panel

    return opened


def made(entry: HistoryEntry, number: int, **changes: object) -> HistoryEntry:
    date = f"2025-01-{1 + number // 1000:02}T{number // 60 % 24:02}:{number % 60:02}:00.000+00:00"
    return replace(entry, id=f"run-{number}", date=date, **changes)  # type: ignore[arg-type]


def settle(qtbot: QtBot, panel: HistoryPanel) -> None:
    qtbot.waitUntil(lambda: panel._job is None)


def column(panel: HistoryPanel, which: Column) -> list[str]:
    return [panel.model.index(row, which).data() for row in range(panel.model.rowCount())]


def click_row(qtbot: QtBot, panel: HistoryPanel, row: int, *, double: bool = False) -> None:
    place = panel.table.visualRect(panel.model.index(row, Column.METHOD)).center()
    qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    if double:
        qtbot.mouseDClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def click_header(qtbot: QtBot, panel: HistoryPanel, which: Column) -> None:
    header = panel.table.horizontalHeader()
    place = QPoint(
        header.sectionViewportPosition(which) + header.sectionSize(which) // 2, header.height() // 2
    )
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def button(panel: HistoryPanel, name: str) -> QToolButton:
    return next(item for item in panel.findChildren(QToolButton) if item.accessibleName() == name)


def press(qtbot: QtBot, panel: HistoryPanel, name: str) -> None:
    qtbot.mouseClick(button(panel, name), Qt.MouseButton.LeftButton)


# -- what it shows


def test_runs_are_listed_newest_first(three: list[HistoryEntry], open_panel: Open) -> None:
    panel = open_panel()
    assert column(panel, Column.OUTPUT) == ["cherry", "Banana", "apple"]
    assert column(panel, Column.DATE) == [entry.local_date for entry in reversed(three)]
    assert column(panel, Column.RESULT) == ["Failed", "Done", "Done"]
    assert column(panel, Column.TIME) == ["–", "0.5 s", "1 min 2 s"]
    assert set(column(panel, Column.METHOD)) == {"Parameter selection"}
    assert (set(column(panel, Column.K)), set(column(panel, Column.N))) == ({"3"}, {"4"})


def test_n_and_seed_where_they_mean_something(
    history: History, entry: HistoryEntry, open_panel: Open
) -> None:
    history.add(made(entry, 1, draws=False, n=0))
    history.add(made(entry, 2, n=None, n_differs=True))
    history.add(made(entry, 3, n=0))
    history.add(made(entry, 4, n=None))
    panel = open_panel()
    assert column(panel, Column.N) == ["–", "0", "rules", "–"]
    assert column(panel, Column.SEED) == ["7", "7", "7", "–"]


def test_an_output_that_is_gone_is_struck_through(three: list[HistoryEntry], open_panel: Open) -> None:
    panel = open_panel()
    model = panel.model
    font = Qt.ItemDataRole.FontRole
    struck = [model.index(row, Column.OUTPUT).data(font) for row in range(3)]
    assert [item is not None and item.strikeOut() for item in struck] == [False, True, False]
    assert "(gone)" in model.index(1, Column.OUTPUT).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "(gone)" in model.index(1, Column.DATE).data(Qt.ItemDataRole.ToolTipRole)
    grey = QPalette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
    colours = [model.index(row, Column.OUTPUT).data(Qt.ItemDataRole.ForegroundRole) for row in range(3)]
    assert [colour == grey for colour in colours] == [True, True, False]


def test_a_run_that_warned_of_something_says_so(
    qtbot: QtBot, history: History, entry: HistoryEntry, open_panel: Open
) -> None:
    said = tuple(f"run-{number} is the base in every merged number" for number in range(12))
    history.add(made(entry, 1, status="done", warnings=said))
    history.add(made(entry, 2, status="done", warnings=said[:1]))
    history.add(made(entry, 3, status="done"))
    panel = open_panel()
    assert column(panel, Column.RESULT) == ["Done", "Done, warned", "Done, warned"]
    tips = [panel.model.index(row, Column.RESULT).data(Qt.ItemDataRole.ToolTipRole) for row in range(3)]
    assert ["run-0 is the base" in tip for tip in tips] == [False, True, True]
    assert "2 more warnings" in tips[2]
    header = panel.table.horizontalHeader()
    needed = panel.table.fontMetrics().horizontalAdvance("Done, warned") + panel.table.iconSize().width()
    assert header.sectionSize(Column.RESULT) > needed
    click_row(qtbot, panel, 1)
    assert "1 warning: run-0 is the base" in panel.note.toolTip() + panel.note.text()


def test_a_click_on_a_heading_sorts(qtbot: QtBot, three: list[HistoryEntry], open_panel: Open) -> None:
    panel = open_panel()
    click_header(qtbot, panel, Column.SEED)
    assert column(panel, Column.SEED) == ["4", "30", "100"]
    click_header(qtbot, panel, Column.SEED)
    assert column(panel, Column.SEED) == ["100", "30", "4"]
    click_header(qtbot, panel, Column.OUTPUT)
    assert column(panel, Column.OUTPUT) == ["apple", "Banana", "cherry"]
    click_header(qtbot, panel, Column.RESULT)
    assert column(panel, Column.OUTPUT) == ["Banana", "apple", "cherry"]  # equal ones, newest first


def test_typing_searches(qtbot: QtBot, three: list[HistoryEntry], open_panel: Open) -> None:
    panel = open_panel()
    qtbot.keyClicks(panel.search_field, "run-2 BAN")
    assert column(panel, Column.OUTPUT) == ["Banana"]
    qtbot.keyClicks(panel.search_field, "d")
    assert column(panel, Column.OUTPUT) == []
    panel.search_field.clear()
    assert len(column(panel, Column.OUTPUT)) == 3


def test_an_empty_history_says_what_comes_here(qtbot: QtBot, open_panel: Open) -> None:
    panel = open_panel()
    view = panel.table.viewport()
    said = view.grab().toImage()
    panel.table.loaded = False
    assert view.grab().toImage() != said
    assert not any(button(panel, name).isEnabled() for name in ("Reopen recipe", "Remove from history"))


def test_files_left_out_are_told(history: History, three: list[HistoryEntry], open_panel: Open) -> None:
    (history.folder / "odd.json").write_text("{")
    assert "1 file that cannot be read" in open_panel().note.toolTip() + open_panel().note.text()


def test_a_history_that_cannot_be_read_says_so(tmp_path: Path, open_panel: Open) -> None:
    (tmp_path / "history").write_text("in the way")
    panel = open_panel()
    assert "Cannot read the history" in panel.note.toolTip() + panel.note.text()


# -- what it does


@pytest.mark.parametrize("way", ["double click", "Enter", "Return", "button"])
def test_a_recipe_is_reopened(
    qtbot: QtBot, three: list[HistoryEntry], models: Path, open_panel: Open, way: str
) -> None:
    panel = open_panel()
    click_row(qtbot, panel, 1)
    with qtbot.waitSignal(panel.reopen_requested) as asked:
        if way == "double click":
            click_row(qtbot, panel, 1, double=True)
        elif way == "button":
            press(qtbot, panel, "Reopen recipe")
        else:
            qtbot.keyClick(panel.table, Qt.Key.Key_Enter if way == "Enter" else Qt.Key.Key_Return)
    assert asked.args[0].id == "run-2"
    assert asked.args[0].recipe() == load_recipe(models / "recipe.yaml")


def test_the_folder_can_be_opened_where_there_is_one(
    qtbot: QtBot, three: list[HistoryEntry], tmp_path: Path, open_panel: Open
) -> None:
    panel = open_panel()
    for row, there in ((0, False), (1, False), (2, True)):
        click_row(qtbot, panel, row)
        assert button(panel, "Open folder").isEnabled() == there
    with qtbot.waitSignal(panel.open_folder_requested) as asked:
        press(qtbot, panel, "Open folder")
    assert asked.args == [tmp_path / "apple"]


def test_selecting_tells_which_and_shows_more_of_it(
    qtbot: QtBot, three: list[HistoryEntry], open_panel: Open
) -> None:
    panel = open_panel()
    told: list[HistoryEntry | None] = []
    panel.selected_changed.connect(told.append)
    assert panel.selected() is None
    click_row(qtbot, panel, 0)
    assert panel.note.text() == "No space left."
    qtbot.keyClick(panel.table, Qt.Key.Key_Down)
    panel.refresh()
    settle(qtbot, panel)
    assert [item.id for item in told if item] == ["run-3", "run-2"]
    assert panel.selected() == three[1]


@pytest.mark.parametrize("way", ["Delete", "button"])
def test_removing_can_be_undone_and_leaves_the_files(
    qtbot: QtBot, history: History, three: list[HistoryEntry], tmp_path: Path, open_panel: Open, way: str
) -> None:
    panel = open_panel()
    click_row(qtbot, panel, 2)
    if way == "Delete":
        qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    else:
        press(qtbot, panel, "Remove from history")
    assert column(panel, Column.OUTPUT) == ["cherry", "Banana"]
    settle(qtbot, panel)
    assert column(panel, Column.OUTPUT) == ["cherry", "Banana"]
    assert len(history.entries()) == 2
    assert (tmp_path / "apple").is_dir()
    assert panel.selected() == three[1]
    assert "Removed the run" in panel.note.toolTip() + panel.note.text()
    qtbot.mouseClick(panel.undo_button, Qt.MouseButton.LeftButton)
    settle(qtbot, panel)
    assert column(panel, Column.OUTPUT) == ["cherry", "Banana", "apple"]
    assert len(history.entries()) == 3
    assert panel.selected() == three[0]
    assert panel.undo_button.isHidden()


def test_going_on_takes_the_undo_away(qtbot: QtBot, three: list[HistoryEntry], open_panel: Open) -> None:
    panel = open_panel()
    click_row(qtbot, panel, 0)
    press(qtbot, panel, "Remove from history")
    settle(qtbot, panel)
    assert panel.undo_button.isVisible()
    click_row(qtbot, panel, 1)
    assert panel.undo_button.isHidden()
    assert "apple" in panel.note.toolTip() + panel.note.text()


def test_removing_all_leaves_nothing_selected(
    qtbot: QtBot, history: History, three: list[HistoryEntry], open_panel: Open
) -> None:
    panel = open_panel()
    click_row(qtbot, panel, 0)
    for _ in range(3):
        qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    settle(qtbot, panel)
    assert (column(panel, Column.OUTPUT), panel.selected(), history.entries()) == ([], None, ())


def test_a_removal_that_fails_is_told_and_the_run_comes_back(
    qtbot: QtBot, three: list[HistoryEntry], open_panel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: History, entry_id: str) -> None:
        raise OutputError(f"cannot remove {entry_id}")

    panel = open_panel()
    click_row(qtbot, panel, 0)
    monkeypatch.setattr(History, "remove", refuse)
    press(qtbot, panel, "Remove from history")
    settle(qtbot, panel)
    assert column(panel, Column.OUTPUT) == ["cherry", "Banana", "apple"]
    assert panel.note.text() == "Cannot remove run-3."


def test_changes_while_the_history_is_read_are_all_made(
    qtbot: QtBot,
    history: History,
    three: list[HistoryEntry],
    open_panel: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = open_panel()
    click_row(qtbot, panel, 0)
    reached, released = threading.Event(), threading.Event()
    read = History.read

    def waiting_read(self: History) -> object:
        found = read(self)
        reached.set()
        assert released.wait(30)
        return found

    monkeypatch.setattr(History, "read", waiting_read)
    panel.refresh()
    qtbot.waitUntil(reached.is_set)
    qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    assert column(panel, Column.OUTPUT) == ["apple"]
    released.set()
    settle(qtbot, panel)
    monkeypatch.undo()
    assert column(panel, Column.OUTPUT) == ["apple"]
    assert [item.id for item in history.entries()] == ["run-1"]


def test_a_refresh_keeps_the_selection_and_the_place(
    qtbot: QtBot, history: History, entry: HistoryEntry, open_panel: Open
) -> None:
    for number in range(200):
        history.add(made(entry, number, status="cancelled"))
    panel = open_panel()
    panel.table.verticalScrollBar().setValue(100)
    click_row(qtbot, panel, 102)
    selected = panel.selected()
    assert selected is not None
    history.add(made(entry, 300, status="cancelled"))
    panel.refresh()
    settle(qtbot, panel)
    assert panel.model.rowCount() == 201
    assert panel.selected() == selected
    assert abs(panel.table.verticalScrollBar().value() - 100) <= 2


def test_the_list_keeps_the_rules_of_item_models(qtmodeltester: ModelTester, entry: HistoryEntry) -> None:
    model = HistoryModel()
    qtmodeltester.check(model)
    model.set_rows(
        [HistoryRow(made(entry, number, seed=number % 3), gone=number == 2) for number in range(5)]
    )
    qtmodeltester.check(model)
    model.sort(Column.SEED)
    model.remove("run-3")
    model.set_search("run")
    assert model.rowCount() == 4
    model.set_search("nothing like it")
    assert (model.rowCount(), model.total) == (0, 4)
    qtmodeltester.check(model)
