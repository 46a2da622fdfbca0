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


def test_a_model_that_is_selected_is_marked_in_the_scores_and_the_other_way_round(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "merged")
    window.layout_.show_evaluation()
    qtbot.waitUntil(lambda: not is_covered(window.evaluation))
    window.evaluation.table.selectRow(2)
    assert window.pictures.named.value == {"run-2"}
    assert not is_covered(window.evaluation)  # the detail does not come before it
    window.pictures.named.mark(frozenset({"run-3"}))
    selected = window.evaluation.selected
    assert selected is not None
    assert selected.name == "run-3"
    window.pictures.named.clear()
    assert window.evaluation.selected is None
