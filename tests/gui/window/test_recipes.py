"""Recipes in the window: opened, changed, undone, saved, and kept from being lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

import gui.window.recipes
from core import load_recipe
from gui.window.window import MainWindow

EVERYTHING = """\
merge_method: parameter_selection
base_model: base
parameters: {resamples: 9}
models:
  - model: run-2
    parameters: {weight: 0.5}
  - model: run-1
seed: 18446744073709551615
dtype: float32
out_dtype: bfloat16
zero_tolerance: 1e-6
nonfinite: error
"""


def answer(window: MainWindow, words: str) -> None:
    question = window.findChild(QMessageBox)
    assert question is not None
    next(button for button in question.findChildren(QPushButton) if button.text() == words).click()


def test_an_opened_recipe_comes_back_when_it_is_saved(
    window: MainWindow, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "all.yaml").write_text(EVERYTHING)
    assert window.recipes.load(models / "all.yaml")
    assert not window.isWindowModified()
    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", lambda *_: models / "again.yaml")
    assert window.recipes.save_as()
    asked, again = load_recipe(models / "all.yaml"), load_recipe(models / "again.yaml")
    assert [entry.path for entry in again.models] == [entry.path for entry in asked.models]
    assert (again.plain_value("weight"), again.resamples) == ((0.5, 1.0), 9)
    for key in ("dtype", "out_dtype", "zero_tolerance", "nonfinite", "vocab", "seed", "base"):
        assert getattr(again, key) == getattr(asked, key)
    assert str(models) not in (models / "again.yaml").read_text()
    assert window.settings.recent_recipes == [models / "again.yaml", models / "all.yaml"]


def test_a_broken_recipe_is_told_inline(window: MainWindow, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("merge_method: liner\n")
    assert not window.recipes.load(path)
    assert "liner" in window.run.message.text
    assert "linear" in window.run.message.text  # the hint
    assert window.setup().models == ()


def test_changes_are_marked_undone_and_redone(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.recipes.load(models / "recipe.yaml")
    before = window.setup()
    edit = next(action for action in window.menuBar().actions() if action.text() == "&Edit").menu()
    undo, redo = edit.actions()[:2]
    assert not undo.isEnabled()
    window.recipe.set_seed(8)
    window.models.table.selectRow(2)
    window.models.remove_selected()
    assert window.isWindowModified()
    changed = window.setup()
    assert (changed.seed, len(changed.models)) == (8, 2)
    undo.trigger()
    assert [choice.folder.name for choice in window.setup().models] == ["run-1", "run-2", "run-3"]
    assert window.setup().seed == 8
    undo.trigger()
    assert window.setup() == before
    assert not window.isWindowModified()
    assert not undo.isEnabled()
    redo.trigger()
    redo.trigger()
    assert window.setup() == changed
    assert window.recipes.save()
    assert not window.isWindowModified()
    assert load_recipe(models / "recipe.yaml").seed == 8
    undo.trigger()
    undo.trigger()
    window.recipes.save()  # as it was, for the other tests


def test_a_recipe_with_changes_is_not_lost_unasked(window: MainWindow, models: Path) -> None:
    window.recipes.load(models / "recipe.yaml")
    window.recipe.set_seed(8)
    window.recipes.new()
    answer(window, "Cancel")
    assert window.setup().seed == 8
    window.close()
    assert window.isVisible()
    answer(window, "Cancel")
    window.recipes.new()
    answer(window, "Do not save")
    assert (window.setup().models, window.setup().base, window.document.path) == ((), None, None)
    assert load_recipe(models / "recipe.yaml").seed == 7


def test_a_merged_recipe_may_go(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> None:
    """It is in the history."""
    window.recipes.load(models / "recipe.yaml", tmp_path / "out")
    window.recipe.set_seed(8)
    qtbot.waitUntil(lambda: window.preflight.checked)
    window.merge_button.click()
    qtbot.waitUntil(lambda: (tmp_path / "out").exists() and not window.merging)
    window.close()
    assert not window.isVisible()


def test_a_recipe_that_is_not_complete_is_not_saved_and_says_why(window: MainWindow, models: Path) -> None:
    window.models.add_sub_models([models / "run-1"])
    assert not window.recipes.save_to(models / "incomplete.yaml")
    assert window.run.message.text.endswith("Choose the base model.")
    assert not (models / "incomplete.yaml").exists()
