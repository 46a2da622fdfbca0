"""What is remembered, and what becomes of files that say something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from gui.settings import VERSION, Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "settings.ini"


def test_everything_comes_back(qtbot: QtBot, file: Path) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    geometry = bytes(window.saveGeometry().data())
    settings = Settings(file)
    settings.geometry, settings.window_state = geometry, b"\x00\xff,;"
    settings.recipe_unfolded = True
    settings.device, settings.threads, settings.shard_size_bytes = "cuda:1", 3, 5_368_709_120
    settings.sync()
    again = Settings(file)
    assert (again.geometry, again.window_state) == (geometry, b"\x00\xff,;")
    assert again.recipe_unfolded
    assert (again.device, again.threads, again.shard_size_bytes) == ("cuda:1", 3, 5_368_709_120)
    again.threads = None
    assert again.threads is None


def test_a_first_start_has_defaults(file: Path) -> None:
    settings = Settings(file)
    assert (settings.geometry, settings.window_state, settings.recipe_unfolded) == (b"", b"", False)
    assert (settings.device, settings.threads, settings.shard_size_bytes) == ("auto", None, 5 * 10**9)
    assert settings.recent_recipes == []


def test_recent_recipes_are_ten(file: Path, tmp_path: Path) -> None:
    recipes = [tmp_path / f"{number}, ä.yaml" for number in range(12)]
    settings = Settings(file)
    for recipe in recipes:
        recipe.touch()
        settings.add_recent_recipe(recipe)
    settings.sync()
    assert Settings(file).recent_recipes == recipes[:1:-1]
    settings.add_recent_recipe(recipes[5])
    recipes[11].unlink()  # or its disk is away: nobody looks before it is opened
    assert settings.recent_recipes == [recipes[5], *(r for r in recipes[:1:-1] if r != recipes[5])]


def test_one_recent_recipe_comes_back(file: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()
    settings = Settings(file)
    settings.add_recent_recipe(tmp_path / "recipe.yaml")
    settings.sync()
    assert Settings(file).recent_recipes == [tmp_path / "recipe.yaml"]


@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5", "٣", "9" * 30, "a, b"])
def test_what_cannot_be_understood_is_the_default(file: Path, value: str) -> None:
    Settings(file).sync()
    with file.open("a", encoding="utf-8") as text:
        text.write(f"[merge]\nthreads={value}\nshard_size_bytes={value}\n[window]\ngeometry={value}\n")
        text.write(f"recipe_unfolded={value}\n[recipes]\nrecent=@Invalid()\n")
    settings = Settings(file)
    assert (settings.threads, settings.shard_size_bytes) == (None, 5 * 10**9)
    assert (settings.geometry, settings.recipe_unfolded, settings.recent_recipes) == (b"", False, [])


@pytest.mark.parametrize(
    "text", ["[merge]\ndevice=cuda:7\n", "version=none\n[merge]\ndevice=cuda:7\n", "\x00\x01"]
)
def test_a_file_without_a_version_is_begun_anew(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    settings = Settings(file)
    assert settings.device == "auto"
    settings.sync()
    assert QSettings(str(file), QSettings.Format.IniFormat).value("version") == str(VERSION)


def test_a_later_version_is_read_and_kept(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[General]\nversion=9\n[merge]\ndevice=cpu\nnew=1\n")
    settings = Settings(file)
    assert settings.device == "cpu"
    settings.threads = 2
    settings.sync()
    store = QSettings(str(file), QSettings.Format.IniFormat)
    assert (store.value("version"), store.value("merge/new"), store.value("merge/threads")) == ("9", "1", "2")
