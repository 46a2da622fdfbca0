"""Where an output goes whose path is typed in short."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.recipe.output_field import default_origin
from gui.window.window import MainWindow

Type = Callable[[str], str]


@pytest.fixture
def type_out(qtbot: QtBot, window: MainWindow) -> Type:
    """Types an output folder; says which one is meant."""

    def type_it(text: str) -> str:
        edit = window.recipe.output_field
        window.activateWindow()
        edit.setFocus()
        qtbot.waitUntil(edit.hasFocus)
        edit.selectAll()
        qtbot.keyClick(edit, Qt.Key.Key_Delete)
        qtbot.keyClicks(edit, text)
        return window.setup().out

    return type_it


def below(window: MainWindow) -> str:
    label = window.recipe.output.space_label
    return label.toolTip() or label.text()


def test_a_relative_folder_is_beside_the_recipe(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, type_out: Type
) -> None:
    (tmp_path / "work").mkdir()
    assert window.load_recipe(models / "recipe.yaml")
    assert window.recipes.save_to(tmp_path / "work" / "recipe.yaml")
    for typed, meant in (
        ("merged", tmp_path / "work" / "merged"),
        ("./a/b", tmp_path / "work" / "a" / "b"),
        ("../x", tmp_path / "x"),
        ("~/x", Path.home() / "x"),
    ):
        assert type_out(typed) == str(meant)
        qtbot.waitUntil(lambda: "free there" in below(window))
        assert below(window).startswith(f"{meant}, ")
        assert window.recipe.output_field.text() == typed
    type_out(str(tmp_path / "whole"))
    qtbot.waitUntil(lambda: "free there" in below(window))
    assert str(tmp_path) not in below(window)
    type_out("merged")
    assert window.recipes.save_to(tmp_path / "elsewhere.yaml")
    assert window.setup().out == str(tmp_path / "work" / "merged"), "it is where it was said to be"


def test_without_a_recipe_it_is_where_files_can_be(
    window: MainWindow, tmp_path: Path, type_out: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type_out("merged") == str(tmp_path / "merged")
    monkeypatch.setattr("gui.recipe.output_field.os.access", lambda *_: False)
    assert default_origin(None) == Path.home()


def test_a_current_folder_that_is_gone_is_in_nobodys_way(
    window: MainWindow, tmp_path: Path, type_out: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    window.recipe.set_seed(3)  # after which everything is brought up to date
    assert default_origin(None) == Path.home()
    assert type_out("merged") == str(Path.home() / "merged")


def test_the_space_is_that_of_the_disk_on_which_the_work_is_done(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, type_out: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "mounted"
    other.mkdir()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda place: usage._replace(free=10**9 if Path(place) == other else 7 * 10**9)
    )
    type_out(str(other))
    qtbot.waitUntil(lambda: below(window) == "7 GB free there")
