"""The log: what it keeps, and what can be done with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QToolButton
from pytestqt.qtbot import QtBot

from gui.settings import Settings
from gui.widgets.places import Places
from gui.window.log_panel import LogPanel


@pytest.fixture
def log(qtbot: QtBot, settings: Settings) -> LogPanel:
    panel = LogPanel(Places(settings))
    qtbot.addWidget(panel)
    panel.resize(860, 200)
    panel.show()
    return panel


def press(qtbot: QtBot, log: LogPanel, text: str) -> None:
    button = next(item for item in log.findChildren(QToolButton) if item.text() == text)
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_lines_come_with_the_time_of_day(log: LogPanel) -> None:
    log.add("Merging into /models/<b>out</b> & more")
    log.add("A tensor is not in every model", "warning")
    log.add("Cannot write.\nFree some space.", "error")
    lines = log.text.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d\t", "", line) for line in lines] == [
        "Merging into /models/<b>out</b> & more",
        "Warning: A tensor is not in every model",
        "Error: Cannot write.",
        "\tFree some space.",
    ]


def test_spaces_and_odd_names_are_kept(log: LogPanel) -> None:
    log.add("two  spaces, \udcff and \x1b")
    assert log.text.endswith("two  spaces, \\udcff and \\x1b")


def test_it_cannot_be_written_into(qtbot: QtBot, log: LogPanel) -> None:
    log.add("one")
    before = log.text
    qtbot.keyClicks(log.view, "something")
    assert log.text == before


def test_the_end_stays_in_view(log: LogPanel) -> None:
    bar = log.view.verticalScrollBar()
    for number in range(100):
        log.add(f"line {number}")
    assert bar.value() == bar.maximum() > 0
    bar.setValue(10)
    log.add("one more")
    assert bar.value() == 10
    bar.setValue(bar.maximum())
    log.add("and one more")
    assert bar.value() == bar.maximum()


def test_it_forgets_the_oldest_lines(log: LogPanel) -> None:
    for number in range(5100):
        log.add(f"line {number}")
    assert len(log.text.splitlines()) == 5000
    assert log.text.splitlines()[0].endswith("line 100")


def test_it_is_copied_whole(qtbot: QtBot, log: LogPanel) -> None:
    log.add("one")
    log.add("two")
    press(qtbot, log, "Copy all")
    assert QGuiApplication.clipboard().text() == log.text
    assert log.text.count("\n") == 1


def test_it_is_saved(qtbot: QtBot, log: LogPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.txt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    log.add("größer → kleiner")
    press(qtbot, log, "Save…")
    assert path.read_text(encoding="utf-8") == log.text + "\n"
    path.unlink()
    path.mkdir()
    press(qtbot, log, "Save…")
    assert "Error: cannot write" in log.text


def test_it_is_emptied(qtbot: QtBot, log: LogPanel) -> None:
    buttons = log.findChildren(QToolButton)
    assert not any(button.isEnabled() for button in buttons)
    log.add("one")
    press(qtbot, log, "Clear")
    assert log.text == ""
    assert not any(button.isEnabled() for button in buttons)
