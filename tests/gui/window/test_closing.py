"""Closing the window: what is asked, and when it closes by itself."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from gui.window.window import MainWindow


def open_recipe(qtbot: QtBot, window: MainWindow, models: Path, out: Path) -> None:
    assert window.recipes.load(models / "recipe.yaml", out)
    qtbot.waitUntil(lambda: window.preflight.checked)


def wait_for_merge(qtbot: QtBot, window: MainWindow, out: Path) -> None:
    qtbot.waitUntil(lambda: out.exists() and not window.merging, timeout=30_000)


def test_a_merge_that_ends_by_itself_takes_its_question_along(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_merge: object
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    window.start_merge()
    qtbot.waitUntil(held_merge.reached.is_set, timeout=60_000)  # type: ignore[attr-defined]
    window.close()
    question = window.findChild(QMessageBox)
    assert question is not None
    held_merge.released.set()  # type: ignore[attr-defined]
    wait_for_merge(qtbot, window, tmp_path / "out")
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is None)
    assert window.isVisible()
