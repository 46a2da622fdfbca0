"""Saving pictures from the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

import gui.pictures.saver
from core.errors import OutputError
from gui.pictures.shown import Shown
from gui.window.window import MainWindow


@pytest.fixture
def looked(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    qtbot.waitUntil(lambda: window.pictures.source.text == "Measured on every parameter", timeout=30_000)
    return window


def shape() -> Qt.CursorShape | None:
    cursor = QGuiApplication.overrideCursor()
    return None if cursor is None else cursor.shape()


def chosen(path: Path | None) -> Callable[..., Path | None]:
    return lambda *_: path


def test_all_pictures_are_saved_with_a_busy_cursor(
    looked: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[Qt.CursorShape | None] = []

    def write(shown: Shown, folder: Path, suffixes: object) -> list[Path]:
        assert shown.source == "Measured on every parameter"
        shapes.append(shape())
        return [folder / "one.png", folder / "two.png"]

    monkeypatch.setattr(gui.pictures.saver, "choose_folder", chosen(tmp_path))
    monkeypatch.setattr(gui.pictures.saver, "write_pictures", write)
    looked.ask_where_to_save_pictures()
    assert (shapes, shape()) == ([Qt.CursorShape.WaitCursor], None)
    assert looked.statusBar().currentMessage() == f"Saved 2 files to {tmp_path}"


def test_pictures_that_cannot_be_saved_are_told(
    looked: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*arguments: object, **options: object) -> list[Path]:
        raise OutputError("the disk is full", hint="free some space")

    monkeypatch.setattr(gui.pictures.saver, "choose_folder", chosen(tmp_path))
    monkeypatch.setattr(gui.pictures.saver, "write_pictures", write)
    looked.ask_where_to_save_pictures()
    assert shape() is None
    assert looked.run.message.text == "The disk is full. Free some space."


def test_one_picture_is_saved(looked: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gui.pictures.saver, "choose_picture_to_save", chosen(tmp_path / "mine.csv"))
    looked.ask_where_to_save_picture(looked.pictures.zero_deltas)
    assert (tmp_path / "mine.csv").is_file()
    assert looked.statusBar().currentMessage() == "Saved mine.csv"


def test_nothing_is_saved_where_nothing_was_chosen(
    looked: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.pictures.saver, "choose_picture_to_save", chosen(None))
    monkeypatch.setattr(gui.pictures.saver, "choose_folder", chosen(None))
    looked.ask_where_to_save_picture(looked.pictures.zero_deltas)
    looked.ask_where_to_save_pictures()
    assert looked.statusBar().currentMessage() == ""
    assert list(tmp_path.iterdir()) == []
