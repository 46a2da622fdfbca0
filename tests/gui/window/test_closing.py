"""Closing the window: what is asked, and when it closes by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QSignalSpy, QTest
from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from core import load_recipe
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


def questions(window: MainWindow) -> list[QMessageBox]:
    return [box for box in window.findChildren(QMessageBox) if box.isVisible()]


def press(window: MainWindow, words: str) -> None:
    (question,) = questions(window)
    button = next(one for one in question.findChildren(QPushButton) if one.text() == words)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def begin_changed(qtbot: QtBot, window: MainWindow, models: Path, out: Path, held: SimpleNamespace) -> Path:
    """Merge a recipe with a change that is not saved, up to its second chunk; the recipe's own copy."""
    recipe = models / "closing.yaml"
    recipe.write_text((models / "recipe.yaml").read_text())
    assert window.recipes.load(recipe, out)
    window.recipe.set_seed(11)
    qtbot.waitUntil(lambda: window.preflight.checked)
    window.start_merge()
    qtbot.waitUntil(held.reached.is_set, timeout=60_000)
    return recipe


def test_closing_asks_everything_before_it_cancels(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    recipe = begin_changed(qtbot, window, models, tmp_path / "out", held_merge)
    stopped = QSignalSpy(window.merger.cancelling)
    before = recipe.read_text()
    window.close()
    press(window, "Go on merging")
    window.close()
    press(window, "Remove it and close")
    assert stopped.count() == 0
    press(window, "Cancel")
    window.close()
    press(window, "Remove it and close")
    QTest.keyClick(questions(window)[0], Qt.Key.Key_Escape)
    assert stopped.count() == 0
    assert (questions(window), recipe.read_text()) == ([], before)
    held_merge.released.set()
    wait_for_merge(qtbot, window, tmp_path / "out")
    assert window.isVisible()


@pytest.mark.parametrize("save", [True, False])
def test_the_window_closes_once_both_are_answered(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace, save: bool
) -> None:
    recipe = begin_changed(qtbot, window, models, tmp_path / "out", held_merge)
    window.close()
    press(window, "Remove it and close")
    press(window, "Save" if save else "Do not save")
    held_merge.released.set()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=30_000)
    assert load_recipe(recipe).seed == (11 if save else 7)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_a_save_that_is_broken_off_leaves_the_merge_alone(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    tmp_path: Path,
    held_merge: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = begin_changed(qtbot, window, models, tmp_path / "out", held_merge)
    recipe.write_text("merge_method: linear\n")  # by somebody else
    stopped = QSignalSpy(window.merger.cancelling)
    window.close()
    press(window, "Remove it and close")
    press(window, "Save")
    press(window, "Cancel")
    assert (questions(window), stopped.count()) == ([], 0)
    held_merge.released.set()
    wait_for_merge(qtbot, window, tmp_path / "out")
    assert window.isVisible()
    assert recipe.read_text() == "merge_method: linear\n"


def test_what_goes_wrong_meanwhile_leaves_the_progress_in_sight(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    begin_changed(qtbot, window, models, tmp_path / "out", held_merge)
    assert window.run.bar.isVisible()
    window.history.open_folder_requested.emit(tmp_path / "gone")
    assert "is not there any more" in window.run.message.text
    assert window.run.bar.isVisible()
    held_merge.released.set()
    wait_for_merge(qtbot, window, tmp_path / "out")
    assert window.run.message.text.startswith("Merged")
