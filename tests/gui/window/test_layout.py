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
