"""The panel of the trainings takes no room from what stands beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from pytestqt.qtbot import QtBot

from gui.window.window import MainWindow

FAKE = Path(__file__).parents[1] / "background" / "fake_child.py"


@pytest.fixture
def making(qtbot: QtBot, window: MainWindow) -> Iterator[MainWindow]:
    """A small window whose tasks are fake ones; all of them end with the test."""
    window.tasks.command = [sys.executable, "-S", "-E", str(FAKE)]
    window.resize(960, 640)
    qtbot.waitUntil(lambda: window.size() == QSize(960, 640))
    yield window
    for task in window.tasks.running:
        window.tasks.stop(task)
    qtbot.waitUntil(lambda: (window.tasks.look(), not window.tasks.running)[1])


def fail(qtbot: QtBot, window: MainWindow, out: Path) -> None:
    said = '{"kind":"failed","message":"%s","hint":"Free some."}' % ("There is no room on the disk. " * 20)
    window.making._start([f"say:{said}", "exit:1", "--orders", "2", "--out", str(out)], f"Making {out.name}")
    qtbot.waitUntil(lambda: (window.tasks.look(), not window.tasks.running)[1])
    qtbot.waitUntil(lambda: window.training.go_on_button.isVisible())


def test_failed_trainings_leave_the_set_up_as_wide_as_it_was(
    qtbot: QtBot, making: MainWindow, tmp_path: Path
) -> None:
    making.layout_.show_training()
    setup = making.layout_.docks[0]
    before, least = setup.width(), making.minimumSizeHint().width()
    for name in ("one", "a-folder-of-runs-with-a-long-name"):
        fail(qtbot, making, tmp_path / name)
        qtbot.wait(50)
        assert setup.width() == before
        assert making.size() == QSize(960, 640)
    assert making.training.choice.isVisible()
    assert making.minimumSizeHint().width() <= least


def test_a_wide_panel_says_the_buttons_in_full(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    making.layout_.show_training()
    for name in ("one", "another"):
        fail(qtbot, making, tmp_path / name)
    tools = making.training.tools
    qtbot.waitUntil(lambda: tools.use_button.text() == "Use")
    making.resize(1400, 800)
    qtbot.waitUntil(lambda: tools.use_button.text() == "Use these sub-models")
    buttons = (tools.go_on_button, tools.open_button, tools.use_button, tools.dismiss_button)
    qtbot.waitUntil(lambda: all(button.width() >= button.minimumSizeHint().width() for button in buttons))
