"""What holds for the window as a whole, whatever is done in it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

import gui.preflight.plan_job
from core import read_record
from gui.models.table_model import Column
from gui.widgets.messages import DetailsDialog
from gui.window.window import MainWindow


def open_recipe(qtbot: QtBot, window: MainWindow, models: Path, out: Path) -> None:
    assert window.recipes.load(models / "recipe.yaml", out)
    qtbot.waitUntil(lambda: window.preflight.checked)


def wait_for_merge(qtbot: QtBot, window: MainWindow, out: Path) -> None:
    qtbot.waitUntil(lambda: out.exists() and not window.merging, timeout=30_000)


def test_what_is_being_typed_is_merged(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    window.models.k_box.setFocus()
    window.models.k_box.lineEdit().selectAll()
    QTest.keyClicks(window.models.k_box, "2")
    assert window.setup().k == 3
    window.start_merge()
    wait_for_merge(qtbot, window, tmp_path / "out")
    assert len(read_record(tmp_path / "out").recipe["models"]) == 2


def test_a_weight_that_is_being_typed_is_saved(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    open_recipe(qtbot, window, models, models / "out")
    window.models.table.setCurrentIndex(window.models.sub_models_model.index(1, Column.WEIGHT))
    window.models.table.edit_weight()
    editor = window.models.table.findChild(QLineEdit)
    assert editor is not None
    editor.setText("2.5")
    window.models.commit_edits()
    assert window.setup().models[1].weight == 2.5


def test_a_choice_of_the_method_is_one_step(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    """Also where it takes fewer sub-models."""
    open_recipe(qtbot, window, models, tmp_path / "out")
    before, box = window.setup(), window.recipe.method_box
    box.setCurrentIndex(box.findData("slerp"))
    slerp = window.setup()
    assert (slerp.k, slerp.parameters, len(slerp.models)) == (1, {"t": 0.5}, 3)
    assert window.document.undo.undo_label == "method"
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.merge_button.isEnabled()
    assert "takes exactly 1 sub-model, here run-1" in window.preflight.problems.texts[0]
    window.preflight.problems.links[0].click()
    assert window.models.table.selected_rows() == [0]
    window.document.undo.undo()
    assert window.setup() == before
    assert window.models.k_box.value() == 3
    window.document.undo.redo()
    assert window.setup() == slerp
    box.setCurrentIndex(box.findData("parameter_selection"))
    assert (window.setup().k, window.setup().parameters) == (3, {"resamples": 4})
    window.recipe.set_resamples(6)
    window.document.begin(window.setup())  # nothing to be lost
    window.recipes.new()
    box.setCurrentIndex(box.findData("slerp"))
    box.setCurrentIndex(box.findData("parameter_selection"))
    assert window.setup().parameters == {"resamples": 1}


def test_the_seed_of_a_method_that_draws_nothing_is_left_alone(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    window.recipe.seed.edit.clear()
    window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData("linear"))
    window.merge_again()
    assert window.setup().seed is None
    qtbot.waitUntil(lambda: window.preflight.checked)
    window.start_merge()
    wait_for_merge(qtbot, window, tmp_path / "out")
    assert read_record(tmp_path / "out").recipe["merge_method"] == "linear"
    assert not window.actions_.again.isEnabled()


def test_a_merge_is_no_step_to_be_undone(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    """It suggests another output folder, and that is all."""
    open_recipe(qtbot, window, models, tmp_path / "out")
    window.recipe.set_seed(8)
    window.document.undo.undo()
    window.start_merge()
    wait_for_merge(qtbot, window, tmp_path / "out")
    assert (window.document.undo.undo_label, window.document.undo.redo_label) == ("", "seed")
    window.document.undo.redo()
    assert (window.setup().seed, window.setup().out) == (8, str(tmp_path / "out-2"))


def test_a_recipe_and_models_that_are_dropped_together(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, drop: object
) -> None:
    open_recipe(qtbot, window, models, models / "out")
    window.recipe.set_seed(8)
    other = shutil.copytree(models / "run-1", tmp_path / "run-4")
    drop(window, models / "recipe.yaml", other)  # type: ignore[operator]
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None)  # once it has been read
    assert len(window.setup().models) == 3
    question = window.findChild(QMessageBox)
    assert question is not None
    next(b for b in question.findChildren(QPushButton) if b.text() == "Do not save").click()
    qtbot.waitUntil(lambda: len(window.setup().models) == 4)
    assert window.setup().seed == 7


def test_no_letter_opens_two_things(window: MainWindow) -> None:
    """Alt and a letter: menus, labels with a field, buttons and tabs that are there at the same time."""
    texts = [action.text() for action in window.menuBar().actions()]
    for kind in (QAbstractButton, QLabel):
        texts += [widget.text() for widget in window.findChildren(kind) if widget.isVisible()]
    pictures = window.pictures
    texts += [pictures.tabs.tabText(number) for number in range(pictures.tabs.count())]
    texts.append(pictures.agreement.order_button.text())
    letters = Counter(
        text[text.index("&") + 1].casefold()
        for text in texts
        if "&" in text.replace("&&", "") and "<" not in text
    )
    assert not {letter: count for letter, count in letters.items() if count > 1}


def test_no_two_actions_have_the_same_keys(window: MainWindow) -> None:
    def wide(action: QAction) -> bool:
        return action.shortcutContext() == Qt.ShortcutContext.WindowShortcut

    keys = Counter(
        key.toString()
        for action in set(window.findChildren(QAction))
        if wide(action)
        for key in action.shortcuts()
    )
    assert not {key: count for key, count in keys.items() if count > 1}


@pytest.mark.parametrize("kind", [QLineEdit, QAbstractButton])
def test_what_can_be_reached_has_a_name(window: MainWindow, kind: type[QWidget]) -> None:
    nameless = [
        widget
        for widget in window.findChildren(kind)
        if widget.isVisible()
        and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not (widget.accessibleName() or (widget.text() if kind is QAbstractButton else ""))
        and not widget.objectName().startswith("qt_")
    ]
    assert nameless == []


def test_every_entry_of_a_menu_has_a_key(window: MainWindow) -> None:
    menus = [action.menu() for action in window.menuBar().actions()]
    entries = [entry for menu in menus for entry in menu.actions() if not entry.isSeparator()]
    keyless = [entry.text() for entry in entries if entry.menu() is None and not entry.shortcuts()]
    assert keyless == ["&About Paramosaic"]


def test_a_fault_of_the_check_comes_with_details(
    qtbot: QtBot, window: MainWindow, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(gui.preflight.plan_job, "look_ahead", fail)
    window.models.set_base(models / "base")
    qtbot.waitUntil(lambda: any(link.text() == "Details…" for link in window.preflight.problems.links))
    assert not window.merge_button.isEnabled()
    window.preflight.problems.links[0].click()
    dialog = window.findChild(DetailsDialog)
    assert dialog is not None
    assert "ZeroDivisionError: a fault" in dialog.details
    dialog.close()


def test_plots_are_made_once_the_window_is_there(qtbot: QtBot, window: MainWindow) -> None:
    assert not any(picture.built for picture in window.pictures.pictures)
    window.pictures.build_soon()
    qtbot.waitUntil(lambda: all(picture.built for picture in window.pictures.pictures))
    ground = window.palette().color(QPalette.ColorRole.Base)
    assert window.pictures.zero_deltas.plot.backgroundBrush().color() == ground


@pytest.mark.parametrize("what", ["folder", "file", "recipe", "nothing"])
def test_what_is_dropped_anywhere_is_taken(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, drop: object, what: str
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    path = {
        "folder": models / "run-1",
        "file": models / "run-1" / "model.safetensors",
        "recipe": models / "recipe.yaml",
        "nothing": tmp_path / "notes.txt",
    }[what]
    drop(window, path)  # type: ignore[operator]
    if what == "nothing":
        qtbot.waitUntil(lambda: "neither a model nor a recipe" in window.models.message.text)
        return
    qtbot.waitUntil(lambda: bool(window.setup().models))
    names = [choice.folder.name for choice in window.setup().models]
    assert names == (["run-1", "run-2", "run-3"] if what == "recipe" else ["run-1"])
