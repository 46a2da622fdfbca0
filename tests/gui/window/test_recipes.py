"""Recipes in the window: opened, changed, undone, saved, and kept from being lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

import gui.window.recipe_job
import gui.window.recipes
from core import load_recipe
from core.methods import MethodSpec
from core.recipe.foreign import UnderstoodRecipe
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
missing: omit
"""


def answer(window: MainWindow, words: str) -> None:
    question = window.findChildren(QMessageBox)[-1]
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
    for key in ("dtype", "out_dtype", "zero_tolerance", "nonfinite", "vocab", "missing", "seed", "base"):
        assert getattr(again, key) == getattr(asked, key)
    assert str(models) not in (models / "again.yaml").read_text()
    assert window.settings.recent_recipes == [models / "again.yaml", models / "all.yaml"]


def test_recent_recipes_of_one_name_are_told_apart(window: MainWindow, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        window.settings.add_recent_recipe(tmp_path / folder / "recipe.yaml")
    window.actions_._fill_recent()
    texts = [action.text() for action in window.actions_._recent.actions()]
    assert texts == ["&1 second/recipe.yaml", "&2 first/recipe.yaml"]


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


class TestAFileThatSomebodyElseChanged:
    """It is not overwritten unasked."""

    @pytest.fixture
    def path(self, window: MainWindow, models: Path) -> Path:
        path = models / "shared.yaml"
        path.write_text(EVERYTHING)
        assert window.recipes.load(path)
        window.recipe.set_seed(8)
        stamp = path.stat()
        path.write_text(EVERYTHING.replace("0.5", "0.7"))  # of the same size, and at the same time
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
        return path

    def test_cancel(self, window: MainWindow, path: Path) -> None:
        assert not window.recipes.save()
        answer(window, "Cancel")
        assert "0.7" in path.read_text()
        assert window.isWindowModified()

    def test_overwrite(self, window: MainWindow, path: Path) -> None:
        assert not window.recipes.save()
        answer(window, "Overwrite it")
        assert load_recipe(path).seed == 8
        assert not window.isWindowModified()
        window.recipe.set_seed(9)
        assert window.recipes.save()  # it is as we left it
        assert load_recipe(path).seed == 9

    def test_save_as(self, window: MainWindow, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = path.with_name("mine.yaml")
        monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", lambda *_: other)
        assert not window.recipes.save()
        answer(window, "Save as…")
        assert load_recipe(other).seed == 8
        assert "0.7" in path.read_text()
        assert window.document.path == other

    def test_what_was_to_follow_waits(self, qtbot: QtBot, window: MainWindow, path: Path) -> None:
        window.recipes.new()
        answer(window, "Save")
        assert window.setup().seed == 8
        qtbot.waitUntil(lambda: len(window.findChildren(QMessageBox)) == 1)
        answer(window, "Overwrite it")
        assert window.setup().models == ()
        assert load_recipe(path).seed == 8

    def test_written_again_as_it_was(self, window: MainWindow, models: Path) -> None:
        path = models / "same.yaml"
        path.write_text(EVERYTHING)
        assert window.recipes.load(path)
        window.recipe.set_seed(8)
        path.write_text(EVERYTHING)
        os.utime(path, ns=(1, 1))
        assert window.recipes.save()

    def test_removed(self, window: MainWindow, path: Path) -> None:
        path.unlink()
        assert window.recipes.save()
        assert load_recipe(path).seed == 8

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
    def test_a_pipe_in_its_place(self, window: MainWindow, path: Path) -> None:
        path.unlink()
        os.mkfifo(path)
        assert not window.recipes.save()
        answer(window, "Cancel")


class TestASlowDisk:
    """The window goes on while a recipe is read."""

    @pytest.fixture
    def released(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        event = threading.Event()
        read = gui.window.recipe_job.load_understood

        def slowly(path: Path, stand_in: MethodSpec) -> UnderstoodRecipe:
            assert threading.current_thread() is not threading.main_thread()
            assert event.wait(10)
            return read(path, stand_in)

        monkeypatch.setattr(gui.window.recipe_job, "load_understood", slowly)
        yield event
        event.set()

    def test_it_is_opened_when_it_is_there(
        self, qtbot: QtBot, window: MainWindow, models: Path, released: threading.Event
    ) -> None:
        window.recipes.open(models / "recipe.yaml")
        qtbot.wait(20)
        assert window.setup().models == ()
        released.set()
        qtbot.waitUntil(lambda: len(window.setup().models) == 3)
        assert window.document.path == models / "recipe.yaml"

    def test_work_done_meanwhile_is_not_lost_unasked(
        self, qtbot: QtBot, window: MainWindow, models: Path, released: threading.Event
    ) -> None:
        window.recipes.open(models / "recipe.yaml")
        window.models.add_sub_models([models / "run-1"])
        released.set()
        qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None)
        answer(window, "Cancel")
        assert len(window.setup().models) == 1

    def test_the_last_one_counts(
        self, qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, released: threading.Event
    ) -> None:
        (tmp_path / "broken.yaml").write_text("merge_method: liner\n")
        window.recipes.open(models / "recipe.yaml")
        window.recipes.open(tmp_path / "broken.yaml")
        released.set()
        qtbot.waitUntil(lambda: "liner" in window.run.message.text)
        qtbot.waitUntil(lambda: window.idle)
        assert window.setup().models == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_no_recipe(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    window.recipes.open(tmp_path / "pipe.yaml")
    qtbot.waitUntil(lambda: "pipe.yaml is not a file but a named pipe" in window.run.message.text)
