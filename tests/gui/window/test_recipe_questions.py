"""What is asked about recipes and in which order, and where the dialogs that save begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

import gui.pictures.saver
import gui.window.recipes
from core import load_recipe
from core.recipe.tokenizer_section import TokenizerSection
from gui.window.left_out import LeftOutDialog
from gui.window.window import MainWindow
from resources import DEMO_FOLDER

REGMEAN = """\
merge_method: regmean
base_model: base
models:
  - model: run-1
    parameters: {weight: 0.3, density: 0.5}
  - model: run-2
    parameters: {weight: 0.7, density: 0.5}
  - model: run-3+./adapter
parameters: {lambda: 1.0}
tokenizer: {source: union}
dtype: bfloat16
colour: red
"""


def questions(window: MainWindow) -> list[QMessageBox]:
    return [box for box in window.findChildren(QMessageBox) if box.isVisible()]


def press(window: MainWindow, words: str) -> None:
    found = [one for one in window.findChildren(QPushButton) if one.text() == words and one.isVisible()]
    QTest.mouseClick(found[-1], Qt.MouseButton.LeftButton)


def changed(window: MainWindow, models: Path, tmp_path: Path) -> Path:
    """A window with a change that is not saved; the recipe's file."""
    path = models / f"{tmp_path.name}.yaml"
    path.write_text((models / "recipe.yaml").read_text())
    assert window.recipes.load(path)
    window.recipe.set_seed(8)
    return path


# -- opening


def test_a_broken_recipe_that_is_dropped_costs_no_question(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, drop: Callable[..., None]
) -> None:
    changed(window, models, tmp_path)
    (tmp_path / "broken.yaml").write_text("merge_method: [\n")
    drop(window, tmp_path / "broken.yaml")
    qtbot.waitUntil(lambda: "broken.yaml" in window.run.message.text)
    assert questions(window) == []
    assert window.setup().seed == 8


def test_a_recipe_that_can_be_opened_is_worth_one(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, drop: Callable[..., None]
) -> None:
    path = changed(window, models, tmp_path)
    other = models / "other.yaml"
    other.write_text("merge_method: linear\nmodels: [{model: run-1}, {model: run-2}]\n")
    drop(window, other)
    qtbot.waitUntil(lambda: len(questions(window)) == 1)
    assert questions(window)[0].text() == f"{path.name} has changes that are not saved."
    press(window, "Cancel")
    assert window.setup().seed == 8
    drop(window, other)
    qtbot.waitUntil(lambda: len(questions(window)) == 1)
    press(window, "Save")
    qtbot.waitUntil(lambda: window.setup().method == "linear")
    assert load_recipe(path).seed == 8


def test_the_file_that_is_saved_first_is_opened_as_it_was_saved(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    path = changed(window, models, tmp_path)
    window.recipes.open(path)
    qtbot.waitUntil(lambda: len(questions(window)) == 1)
    press(window, "Save")
    qtbot.waitUntil(lambda: window.idle)
    assert window.setup().seed == 8
    assert not window.isWindowModified()


# -- saving


def test_saving_under_the_same_name_asks_where_the_file_has_changed(
    window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = changed(window, models, tmp_path)
    path.write_text("merge_method: linear\n")  # by somebody else
    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", lambda *_: path)
    window.recipes.save_as()
    assert len(questions(window)) == 1
    press(window, "Cancel")
    assert path.read_text() == "merge_method: linear\n"
    window.recipes.save_as()
    press(window, "Overwrite it")
    assert load_recipe(path).seed == 8


def test_dialogs_never_begin_among_the_programs_own_files(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[Path] = []

    def choose(parent: object, start: Path) -> None:
        offered.append(start)

    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", choose)
    monkeypatch.setattr(gui.pictures.saver, "choose_picture_to_save", choose)
    window.recipes.open_demo()
    window.recipes.save_as()
    window.ask_where_to_save_picture(window.pictures.zero_deltas)
    assert [path.parent for path in offered] == [tmp_path, tmp_path]
    assert window.recipes.load(DEMO_FOLDER / "recipe.yaml")  # opened there by hand
    before = (DEMO_FOLDER / "recipe.yaml").read_text()
    window.recipe.set_seed(99)
    assert not window.recipes.save()
    assert DEMO_FOLDER not in offered[-1].parents
    assert (DEMO_FOLDER / "recipe.yaml").read_text() == before


def test_dialogs_begin_where_was_saved_last(
    window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[Path] = []
    (tmp_path / "mine").mkdir()

    def choose(parent: object, start: Path) -> Path:
        offered.append(start)
        return tmp_path / "mine" / start.name

    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", choose)
    monkeypatch.setattr(gui.pictures.saver, "choose_picture_to_save", choose)
    assert window.recipes.load(models / "recipe.yaml", tmp_path / "not" / "there" / "out")
    window.ask_where_to_save_picture(window.pictures.zero_deltas)
    window.ask_where_to_save_picture(window.pictures.zero_deltas)
    window.recipes.save_as()
    window.new_recipe()
    assert [path.parent for path in offered] == [tmp_path, tmp_path / "mine", models]
    assert window.setup().models == ()
    assert window.recipes.folder == tmp_path / "mine"


# -- what is understood only in part


def test_a_recipe_of_mergekits_is_opened_as_far_as_it_is_understood(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = models / "regmean.yaml"
    path.write_text(REGMEAN)
    method = window.setup().method
    window.recipes.open(path)
    qtbot.waitUntil(lambda: len(window.setup().models) == 2)
    setup = window.setup()
    assert [(one.folder.name, one.weight) for one in setup.models] == [("run-1", 0.3), ("run-2", 0.7)]
    assert (setup.method, setup.base, setup.dtype) == (method, models / "base", "bfloat16")
    assert setup.tokenizer == TokenizerSection()
    assert "regmean" in window.run.message.text
    assert not window.recipes.would_be_lost  # the file says all of it, and more
    assert window.windowTitle().startswith("regmean.yaml (in part)[*]")
    press(window, "Show what is left out…")
    dialog = window.findChild(LeftOutDialog)
    assert dialog is not None
    text = dialog.findChild(QPlainTextEdit).toPlainText()
    for word in (
        "'regmean'",
        "Parameter selection",
        "'density'",
        "'lambda'",
        "entry 3",
        "'colour'",
    ):
        assert word in text
    dialog.close()
    offered: list[Path] = []

    def choose(parent: object, start: Path) -> Path:
        offered.append(start)
        return path

    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", choose)
    assert window.isWindowModified()
    assert not window.recipes.save()
    assert offered == [models / "regmean-2.yaml"]
    (question,) = questions(window)
    assert "regmean" in question.informativeText()
    press(window, "Cancel")
    assert path.read_text() == REGMEAN
    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", lambda *_: models / "regmean-2.yaml")
    assert window.recipes.save()
    assert window.document.path == models / "regmean-2.yaml"
    assert not window.isWindowModified()
