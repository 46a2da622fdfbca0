"""From a finished merge to the panel in which it is evaluated."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from gui.evaluation.table_model import Column
from gui.window.focus import is_covered
from gui.window.window import MainWindow


def names(window: MainWindow) -> list[str]:
    model = window.evaluation.model
    return [model.index(row, Column.MODEL).data() for row in range(model.rowCount())]


def test_a_finished_merge_is_ticked_among_the_models(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, compiled: None
) -> None:
    assert not window.actions_.evaluate.isEnabled()
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "merged")
    assert names(window) == ["◆ base", "run-1", "run-2", "run-3"]
    qtbot.waitUntil(lambda: window.preflight.checked)
    window.merge_button.click()
    qtbot.waitUntil(lambda: window.merger.result is not None and not window.merging, timeout=20_000)
    qtbot.waitUntil(lambda: window.idle)
    assert names(window)[-1] == "merged"  # the last merge is listed without being asked for
    assert is_covered(window.evaluation)
    path = (tmp_path / "merged").absolute()
    window.evaluating._on_ticked(path, False)
    (button,) = (one for one in window.run.findChildren(QPushButton) if one.text() == "Evaluate this merge")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not is_covered(window.evaluation))
    selected = window.evaluation.selected
    assert selected is not None
    assert (selected.candidate.path, selected.ticked) == (path, True)
    assert window.evaluation.data_field.hasFocus()  # as there are no data yet
    assert window.actions_.evaluate.isEnabled()
    assert names(window).count("merged") == 1
