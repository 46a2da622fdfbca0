"""Where the parts of the window are, and that it is remembered."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QTabBar
from pytestqt.qtbot import QtBot

import gui.window.layout
from gui.settings import Settings
from gui.window.window import MainWindow


def test_the_window_comes_back_as_it_was_left(
    qtbot: QtBot, window: MainWindow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.window.layout, "available_size", lambda _: QSize(1920, 1080))
    history, log = window.layout_.docks[1:3]
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, history)
    log.close()
    window.close()
    again = MainWindow(settings, window._history)
    qtbot.addWidget(again)
    again.show()
    bars = again.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
    assert bars
    assert not [bar for bar in bars if not bar.count() and bar.geometry().intersects(again.rect())]
    history, log = again.layout_.docks[1:3]
    assert again.dockWidgetArea(history) == Qt.DockWidgetArea.RightDockWidgetArea
    assert not log.isVisible()
    again.layout_.reset()
    assert again.dockWidgetArea(history) == Qt.DockWidgetArea.BottomDockWidgetArea
    assert log in again.tabifiedDockWidgets(history)
    again.close_at_once()


@pytest.mark.parametrize("panel", ["show_trying", "show_training", "show_evaluation"])
def test_a_layout_of_a_large_screen_leaves_the_pictures_their_share_on_a_small_one(
    qtbot: QtBot, window: MainWindow, settings: Settings, monkeypatch: pytest.MonkeyPatch, panel: str
) -> None:
    monkeypatch.setattr(gui.window.layout, "available_size", lambda _: QSize(1920, 1080))
    monkeypatch.setattr(gui.window.layout, "keep_on_screen", lambda window: None)
    window.resize(1880, 1040)
    qtbot.waitUntil(lambda: window.height() == 1040)
    window.layout_.reset()
    getattr(window.layout_, panel)()
    qtbot.waitUntil(lambda: window.pictures.height() < 600)
    window.close()
    monkeypatch.setattr(gui.window.layout, "available_size", lambda _: QSize(1280, 800))
    monkeypatch.setattr(gui.window.layout, "keep_on_screen", lambda window: window.resize(1270, 740))
    again = MainWindow(settings, window._history)
    qtbot.addWidget(again)
    again.show()
    qtbot.waitUntil(lambda: again.height() == 740)
    qtbot.waitUntil(lambda: again.pictures.height() >= 0.4 * again.height())
    qtbot.wait(200)  # the window manager has put its frame around it
    left = again.pictures.height()
    assert left >= 0.4 * again.height()
    again.close()
    once_more = MainWindow(settings, window._history)
    qtbot.addWidget(once_more)
    once_more.show()
    qtbot.waitUntil(lambda: abs(once_more.pictures.height() - left) <= 8)
    once_more.close_at_once()
