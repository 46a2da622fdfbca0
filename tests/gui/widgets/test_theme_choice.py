"""Light, dark, or what the system has: applied at once, and remembered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from gui.settings import Settings
from gui.widgets.theme import apply_theme, is_dark
from gui.widgets.theme_choice import ThemeChoice
from gui.window.window import MainWindow


@pytest.fixture(autouse=True)
def light_at_first(qapp: QApplication) -> Iterator[None]:
    before, style = qapp.palette(), qapp.style().objectName()
    for left in qapp.findChildren(ThemeChoice):
        left.setParent(None)
    apply_theme(qapp)
    yield
    ThemeChoice.of(qapp).choose("")
    for left in qapp.findChildren(ThemeChoice):
        left.setParent(None)
    qapp.setStyle(style)
    qapp.setPalette(before)


def theme_entries(window: MainWindow) -> dict[str, QAction]:
    (view,) = (entry.menu() for entry in window.menuBar().actions() if entry.text() == "&View")
    (theme,) = (entry.menu() for entry in view.actions() if entry.text() == "&Theme")
    assert isinstance(theme, QMenu)
    return {entry.text().replace("&", ""): entry for entry in theme.actions()}


def test_a_theme_is_chosen_in_the_menu_and_applied_at_once(
    qtbot: QtBot, window: MainWindow, settings: Settings
) -> None:
    entries = theme_entries(window)
    assert list(entries) == ["As the system", "Light", "Dark"]
    assert entries["As the system"].isChecked()
    entries["Dark"].trigger()
    assert is_dark(QGuiApplication.palette())
    qtbot.waitUntil(lambda: is_dark(window.palette()) and is_dark(window.recipe.palette()))
    assert settings.theme == "dark"
    assert [text for text, entry in entries.items() if entry.isChecked()] == ["Dark"]
    entries["Light"].trigger()
    assert not is_dark(QGuiApplication.palette())
    assert settings.theme == "light"
    entries["As the system"].trigger()
    assert settings.theme == ""


def test_the_next_window_has_the_same_theme(
    qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gui import app

    path = tmp_path / "settings.ini"
    first = Settings(path)
    first.theme = "dark"
    first.sync()
    monkeypatch.setattr(app, "Settings", lambda: Settings(path))
    monkeypatch.setattr(app, "MainWindow", lambda settings, _: settings)
    app.make_window()
    assert is_dark(qapp.palette())


@pytest.mark.parametrize("text", ["", "blue", "@Invalid()", "Dark"])
def test_a_theme_that_is_none_is_the_systems(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(f"[General]\nversion=1\n[window]\ntheme={text}\n")
    assert Settings(path).theme == ""


def test_what_was_chosen_stays_when_the_system_changes(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ThemeChoice.of(qapp)
    assert ThemeChoice.of(qapp) is choice
    choice.choose("light")
    hints = QGuiApplication.styleHints()
    hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert not is_dark(qapp.palette())
