"""What is shown belongs to the recipe as it is: after New, Open, undo, redo and reopening a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.pictures.selection import Selected
from gui.window.window import MainWindow

NOTHING = "The numbers of what you select in a picture are here, as soon as the models were looked at."


@pytest.fixture
def shown(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """A window that shows a module of three models, and one tensor of it in the detail."""
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    wait_for(qtbot, window, "run-1", "run-2", "run-3")
    window.layout_.show_detail()
    qtbot.waitUntil(lambda: window.pictures.detail.can_be_seen)
    window.pictures.selection.set(Selected(column=1, kind=0))
    assert "Layer 0" in said(window)
    return window


def wait_for(qtbot: QtBot, window: MainWindow, *names: str) -> None:
    def there() -> bool:
        findings = window.observer.findings
        return findings is not None and findings.models == names

    qtbot.waitUntil(there, timeout=30_000)


def said(window: MainWindow) -> str:
    """Everything that the detail says in words."""
    detail = window.pictures.detail
    words = (detail.accessibleName(), detail.accessibleDescription(), detail.tensor_field.currentText())
    return " ".join((*words, detail.sentence))


def test_a_new_recipe_has_no_detail(shown: MainWindow) -> None:
    shown.document.undo.mark_saved()
    shown.new_recipe()
    # At once, and not only when it was checked.
    assert shown.observer.findings is None
    assert "Choose a base model" in shown.pictures.sentence
    assert said(shown).split() == ["All", "modules", *NOTHING.split()]
    assert not shown.pictures.detail.tensor_field.isEnabled()


def test_another_recipe_begins_with_nothing(
    qtbot: QtBot, shown: MainWindow, models: Path, tmp_path: Path
) -> None:
    for name in ("base", "run-1"):
        shutil.copytree(models / name, tmp_path / name)
    other = tmp_path / "other.yaml"
    other.write_text("merge_method: linear\nbase_model: base\nmodels:\n  - model: run-1\n")
    assert shown.load_recipe(other, tmp_path / "out")
    assert shown.observer.findings is None
    assert "Layer 0" not in said(shown)
    assert "Looking at the models" in shown.pictures.sentence
    wait_for(qtbot, shown, "run-1")
    assert "All modules" in said(shown)
    assert shown.pictures.selection.value == Selected()


def test_undo_and_redo_show_the_models_as_they_are(qtbot: QtBot, shown: MainWindow) -> None:
    shown.models.sub_models_model.remove([1])
    wait_for(qtbot, shown, "run-1", "run-3")
    shown.document.undo.undo()
    wait_for(qtbot, shown, "run-1", "run-2", "run-3")
    shown.document.undo.redo()
    wait_for(qtbot, shown, "run-1", "run-3")
    shown.models.set_base(None)
    assert shown.observer.findings is None
    assert "Choose the base" in shown.pictures.sentence
    assert "Layer 0" not in said(shown)
    shown.document.undo.undo()
    wait_for(qtbot, shown, "run-1", "run-3")
    assert shown.pictures.sentence == ""


def test_a_run_that_is_reopened_brings_its_models(qtbot: QtBot, shown: MainWindow, tmp_path: Path) -> None:
    shown.start_merge()
    qtbot.waitUntil(lambda: shown.merger.result is not None and not shown.merging, timeout=30_000)
    shown.new_recipe()
    assert shown.observer.findings is None
    shown.reopen(shown._history.entries()[0])
    wait_for(qtbot, shown, "run-1", "run-2", "run-3")
    qtbot.waitUntil(lambda: shown.observer.shown.merge is not None)
    shown.new_recipe()
    assert shown.observer.shown.merge is None
    assert NOTHING in said(shown)
