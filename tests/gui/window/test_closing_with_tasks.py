"""Closing the window while other processes work for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from gui.background.processes import is_running
from gui.background.task import Task
from gui.background.tasks import BackgroundTasks
from gui.window.recipes import Recipes
from gui.window.window import MainWindow

FAKE = Path(__file__).parents[1] / "background" / "fake_child.py"


@pytest.fixture
def task(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> Iterator[Task]:
    """One that runs until it is stopped."""
    window.tasks.command = [sys.executable, "-S", "-E", str(FAKE)]
    task = window.tasks.start("train", [f"wait:{tmp_path / 'gate'}"], "Sub-models of base")
    qtbot.waitUntil(lambda: (task.folder / "progress.jsonl").exists())
    yield task
    if is_running(task.pid, task.process_began):
        os.kill(task.pid, signal.SIGKILL)
    follow_to_the_end(qtbot, window.tasks)


def follow_to_the_end(qtbot: QtBot, tasks: BackgroundTasks) -> None:
    qtbot.waitUntil(lambda: (tasks.look(), not tasks.running)[1])


def questions(window: MainWindow) -> list[QMessageBox]:
    return [box for box in window.findChildren(QMessageBox) if box.isVisible()]


def press(window: MainWindow, words: str) -> None:
    (question,) = questions(window)
    button = next(one for one in question.findChildren(QPushButton) if one.text() == words)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_they_may_go_on(window: MainWindow, task: Task) -> None:
    window.close()
    (question,) = questions(window)
    assert question.text() == "Sub-models of base is still running."
    QTest.keyClick(question, Qt.Key.Key_Escape)
    assert window.isVisible()
    window.close()
    press(window, "Stay")
    assert window.isVisible()
    window.close()
    press(window, "Go on in the background")
    assert not window.isVisible()
    assert is_running(task.pid, task.process_began)


def test_they_may_be_stopped(
    qtbot: QtBot, window: MainWindow, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recipes, "would_be_lost", True)  # changes that are not saved
    window.close()
    press(window, "Stop it")
    press(window, "Cancel")  # nothing is done yet
    assert window.isVisible()
    assert not window.tasks.running[0].stopping
    window.close()
    press(window, "Stop it")
    press(window, "Do not save")
    assert not window.isVisible()
    follow_to_the_end(qtbot, window.tasks)
    assert window.tasks.tasks[0].state == "cancelled"


def test_a_signal_to_the_window_leaves_them_going(window: MainWindow, task: Task) -> None:
    window.close_at_once()
    assert (questions(window), window.isVisible()) == ([], False)
    assert is_running(task.pid, task.process_began)
