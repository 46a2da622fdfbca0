"""Two runs of the history: selected by mouse or keys, and compared where that means something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtTest import QSignalSpy, QTest
from PySide6.QtWidgets import QMenu, QStyle, QStyleOptionViewItem
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.runs.history import History, HistoryEntry
from gui.history.panel import HistoryPanel
from gui.history.table_model import Column
from gui.jobs import JobKeeper
from gui.widgets.theme import SUCCESS

Open = Callable[[list[HistoryEntry]], HistoryPanel]


@pytest.fixture
def begun(models: Path, tmp_path: Path) -> Callable[..., HistoryEntry]:
    """Makes the entry of a run that is done, one minute after the one before; its output is there."""
    count, recipe = [0], load_recipe(models / "recipe.yaml")

    def make(out: str, **changes: object) -> HistoryEntry:
        count[0] += 1
        (tmp_path / out).mkdir(parents=True, exist_ok=True)
        entry = HistoryEntry.begin(recipe, tmp_path / out)
        date = f"2025-01-01T00:{count[0] % 60:02}:00.000+00:00"
        return replace(entry, id=f"run-{count[0]}", date=date, **{"status": "done", **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def open_panel(qtbot: QtBot, tmp_path: Path) -> Open:
    def opened(entries: list[HistoryEntry]) -> HistoryPanel:
        history, jobs = History(tmp_path / "history"), JobKeeper()
        for entry in entries:
            history.add(entry)
        panel = HistoryPanel(history, jobs)
        jobs.setParent(panel)
        qtbot.addWidget(panel, before_close_func=lambda _: jobs.stop_all())
        panel.resize(860, 220)
        panel.show()
        panel.refresh()
        qtbot.waitUntil(lambda: panel.table.loaded)
        return panel

    return opened


def click(panel: HistoryPanel, row: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    place = panel.table.visualRect(panel.model.index(row, Column.METHOD)).center()
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, keys, place)


def names(panel: HistoryPanel) -> list[str]:
    return [panel.model.index(row, Column.OUTPUT).data() for row in range(panel.model.rowCount())]


def _told(panel: HistoryPanel) -> str:
    """What stands beside the buttons, whole: its tool tip has what has no room there."""
    return panel.note.text() + panel.note.toolTip()


def test_exactly_two_are_compared_the_later_one_first(
    open_panel: Open, begun: Callable[..., HistoryEntry]
) -> None:
    panel = open_panel([begun("a"), begun("b"), begun("c")])
    spy, compare = QSignalSpy(panel.compare_requested), panel._compare
    assert (compare.isEnabled(), compare.toolTip()[:15]) == (False, "Select two runs")
    click(panel, 2)
    assert (compare.isEnabled(), compare.toolTip()[:15]) == (False, "Select two runs")
    click(panel, 0, Qt.KeyboardModifier.ControlModifier)
    assert compare.isEnabled()
    assert panel.selected() is None
    assert not panel._reopen.isEnabled()
    compare.trigger()
    assert [entry.out.name for entry in spy.at(0)] == ["c", "a"]
    click(panel, 1, Qt.KeyboardModifier.ControlModifier)
    assert (compare.isEnabled(), compare.toolTip()) == (False, "Select two runs only, not 3")


def test_by_keys_alone(open_panel: Open, begun: Callable[..., HistoryEntry]) -> None:
    panel = open_panel([begun("a"), begun("b"), begun("c")])
    spy = QSignalSpy(panel.compare_requested)
    panel.table.setFocus()
    QTest.keyClick(panel.table, Qt.Key.Key_Down)
    QTest.keyClick(panel.table, Qt.Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(panel.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(
        panel.table, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert [entry.out.name for entry in spy.at(0)] == ["c", "b"]


def test_why_two_are_not_compared(
    open_panel: Open, begun: Callable[..., HistoryEntry], tmp_path: Path
) -> None:
    gone, failed, fine = begun("gone"), begun("failed", status="failed"), begun("fine")
    (tmp_path / "gone").rmdir()
    again = replace(fine, id="run-9", date="2025-01-01T00:09:00.000+00:00", out=fine.out)
    panel = open_panel([gone, failed, fine, again])
    compare = panel._compare
    whys = ((1, "was overwritten by a later run"), (2, "did not come to its end"), (3, "is gone"))
    for row, why in whys:
        click(panel, 0)
        click(panel, row, Qt.KeyboardModifier.ControlModifier)
        assert not compare.isEnabled()
        assert why in compare.toolTip()
        assert why in _told(panel)
        assert panel.note.text().startswith("2 selected; one ")
        assert "…" not in panel.note.text()
    panel.table.customContextMenuRequested.emit(panel.table.visualRect(panel.model.index(0, 0)).center())
    menu = panel.findChild(QMenu)
    assert menu is not None
    assert menu.toolTipsVisible()
    assert compare in menu.actions()
    menu.close()


def test_an_arrow_key_begins_with_the_first_run(open_panel: Open, begun: Callable[..., HistoryEntry]) -> None:
    panel = open_panel([begun("a"), begun("b"), begun("c")])
    panel.table.setFocus()
    chosen = []
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Up):
        QTest.keyClick(panel.table, key)
        chosen.append(panel.selected().out.name)  # type: ignore[union-attr]
    assert chosen == ["c", "b", "c"]


def test_an_output_that_was_overwritten_is_no_longer_that_of_the_earlier_run(
    qtbot: QtBot, open_panel: Open, begun: Callable[..., HistoryEntry]
) -> None:
    earlier = begun("merged")
    later = replace(earlier, id="run-9", date="2025-01-01T00:09:00.000+00:00")
    panel = open_panel([earlier, later])
    offered = QSignalSpy(panel.loaded)
    panel.refresh()
    qtbot.waitUntil(lambda: offered.count() > 0)
    assert [entry.id for entry in offered.at(0)[0]] == ["run-9"]
    for row, own in ((0, True), (1, False)):
        click(panel, row)
        cell = panel.model.index(row, Column.OUTPUT)
        assert panel._open.isEnabled() == own
        assert ("overwritten" in cell.data(Qt.ItemDataRole.ToolTipRole)) != own
        assert ("was overwritten by a later run" in _told(panel)) != own
        assert (cell.data(Qt.ItemDataRole.FontRole) is None) == own


def test_the_mark_of_a_selected_run_is_seen(open_panel: Open, begun: Callable[..., HistoryEntry]) -> None:
    panel = open_panel([begun("a")])
    click(panel, 0)
    option, index = QStyleOptionViewItem(), panel.model.index(0, Column.RESULT)
    panel.table.initViewItemOption(option)
    option.state |= QStyle.StateFlag.State_Selected
    panel.table.itemDelegateForColumn(Column.RESULT).initStyleOption(option, index)  # type: ignore[attr-defined]
    chip = option.icon.pixmap(option.decorationSize).toImage()
    assert chip.pixelColor(0, 0) == panel.palette().color(QPalette.ColorRole.HighlightedText)
    assert chip.pixelColor(chip.rect().center()) == SUCCESS


def test_while_a_merge_runs_nothing_is_compared_or_opened_again(
    open_panel: Open, begun: Callable[..., HistoryEntry]
) -> None:
    panel = open_panel([begun("a"), begun("b")])
    wait = (False, "As soon as the merge is done")
    panel.table.selectAll()
    panel.set_merging(True)
    assert (panel._compare.isEnabled(), panel._compare.toolTip()) == wait
    click(panel, 0)
    for action in (panel._reopen, panel._resume):
        assert (action.isEnabled(), action.toolTip()) == wait
    spy = QSignalSpy(panel.reopen_requested)
    QTest.keyClick(panel.table, Qt.Key.Key_Return)
    panel.table.doubleClicked.emit(panel.model.index(0, 0))
    assert spy.count() == 0
    panel.set_merging(False)
    assert panel._reopen.isEnabled()
    assert "into the fields" in panel._reopen.toolTip()
    panel.table.selectAll()
    assert panel._compare.isEnabled()


def test_several_are_removed_and_brought_back(
    qtbot: QtBot, open_panel: Open, begun: Callable[..., HistoryEntry]
) -> None:
    panel = open_panel([begun(name) for name in "abcd"])
    click(panel, 1)
    click(panel, 2, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: panel._job is None)
    assert names(panel) == ["d", "a"]
    assert "2 runs" in panel.note.toolTip() + panel.note.text()
    assert panel.selected().out.name == "a"  # type: ignore[union-attr]
    panel.undo_button.click()
    qtbot.waitUntil(lambda: panel._job is None)
    assert names(panel) == ["d", "c", "b", "a"]
    assert [entry.out.name for entry in panel._selected] == ["c", "b"]


def test_folders_of_one_name_are_told_apart(open_panel: Open, begun: Callable[..., HistoryEntry]) -> None:
    outs = ["alice/merged", "bob/merged", "bob/x/merged", "carol/x/merged", "bob/merged-10", "bob/merged-2"]
    panel = open_panel([begun(out) for out in outs])
    told = ["alice/merged", "bob/merged", "bob/x/merged", "carol/x/merged", "merged-10", "merged-2"]
    assert names(panel) == list(reversed(told))
    panel.table.sortByColumn(Column.OUTPUT, Qt.SortOrder.AscendingOrder)
    assert names(panel)[-2:] == ["merged-2", "merged-10"]
    for row in range(6):
        assert "/merged" in panel.model.index(row, Column.OUTPUT).data(Qt.ItemDataRole.ToolTipRole)


def test_the_end_of_a_long_path_stays_in_sight(open_panel: Open, begun: Callable[..., HistoryEntry]) -> None:
    long = "a-folder-with-a-name-that-is-rather-long-as-they-are/and-another-one-that-is-no-shorter-at-all"
    panel = open_panel([begun(f"one/{long}/merged"), begun(f"two/{long}/merged")])
    panel.resize(700, 200)
    option = QStyleOptionViewItem()
    delegate = panel.table.itemDelegateForColumn(Column.OUTPUT)
    delegate.initStyleOption(option, panel.model.index(0, Column.OUTPUT))  # type: ignore[attr-defined]
    assert option.textElideMode == Qt.TextElideMode.ElideLeft


def test_a_narrow_table_has_all_its_columns_in_sight(
    open_panel: Open, begun: Callable[..., HistoryEntry]
) -> None:
    panel = open_panel([begun("a")])
    header = panel.table.horizontalHeader()
    method = header.sectionSize(Column.METHOD)
    panel.resize(600, 200)
    assert header.length() <= panel.table.viewport().width()
    assert header.sectionSize(Column.METHOD) < method
    panel.resize(860, 200)
    assert header.sectionSize(Column.METHOD) == method
    assert header.length() == panel.table.viewport().width()
    header.resizeSection(Column.METHOD, method + 20)  # which is the user's from now on
    panel.resize(900, 200)
    assert header.sectionSize(Column.METHOD) == method + 20
    assert header.length() == panel.table.viewport().width()


def test_a_history_of_hundreds_is_read_and_searched(
    qtbot: QtBot, open_panel: Open, begun: Callable[..., HistoryEntry]
) -> None:
    entries = []
    for number in range(200):
        entry = begun(f"{number}/merged", seed=number)
        entries.append(
            replace(entry, id=f"run-{number}", date=f"2025-01-01T{number // 60:02}:{number % 60:02}:00+00:00")
        )
    panel = open_panel(entries)
    assert panel.model.rowCount() == 200
    QTest.keyClicks(panel.search_field, "199/merged")
    assert names(panel) == ["199/merged"]
