"""Open folder: the system's program is started, and what goes wrong is said in the window."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.window.window import MainWindow

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the programs of Linux")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has xdg-open be a script, and nothing else be found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(script: str) -> None:
        (folder / "xdg-open").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "xdg-open").chmod(0o755)

    return make


def test_a_folder_is_shown(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, program: Callable[[str], None]
) -> None:
    program(f'echo "$1" > "{tmp_path}/shown"')
    folder = tmp_path / "a folder, with signs #?%20"
    folder.mkdir()
    window.history.open_folder_requested.emit(folder)
    qtbot.waitUntil(lambda: (tmp_path / "shown").exists() and (tmp_path / "shown").read_text() != "")
    assert (tmp_path / "shown").read_text() == f"{folder}\n"
    qtbot.waitUntil(lambda: not window._opener._poll.isActive())
    assert window.run.message.text == ""


@pytest.mark.parametrize("script", [None, "exit 3"])
def test_no_program_for_it_is_told(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, program: Callable[[str], None], script: str | None
) -> None:
    if script is not None:
        program(script)
    window.history.open_folder_requested.emit(tmp_path)
    qtbot.waitUntil(lambda: "no program here that shows" in window.run.message.text)
    assert str(tmp_path) in window.run.message.text
    assert str(tmp_path) in window.log.text


def test_a_folder_that_is_gone_is_told(window: MainWindow, models: Path, tmp_path: Path) -> None:
    window.history.open_folder_requested.emit(tmp_path / "gone")
    assert "gone is not there any more" in window.run.message.text


def test_the_folder_of_a_sub_model_too(window: MainWindow, models: Path, tmp_path: Path) -> None:
    window.models.add_sub_models([tmp_path / "nowhere"])
    window.models.table.selectRow(0)
    window.models.open_selected_folder()
    assert "nowhere is not there any more" in window.run.message.text
