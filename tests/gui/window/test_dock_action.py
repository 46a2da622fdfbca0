"""Docks by keyboard: brought to the front and closed by a key each, and where the focus is there."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.window.focus import is_covered
from gui.window.window import MainWindow


def test_a_dock_behind_another_one_comes_to_the_front_and_is_closed_there(
    qtbot: QtBot, window: MainWindow
) -> None:
    window.resize(1280, 800)
    window.activateWindow()
    _, history, log, detail, *_ = window.layout_.docks
    qtbot.waitUntil(lambda: is_covered(log) and not is_covered(history))
    entry = next(one for one in log.findChildren(QAction) if one.shortcut().toString() == "Ctrl+3")
    QTest.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: is_covered(history) and not is_covered(log))
    assert log.isAncestorOf(QApplication.focusWidget())
    assert entry.isChecked()
    QTest.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(log.isHidden)
    assert not entry.isChecked()
    assert not detail.isHidden()
    QTest.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not log.isHidden() and not is_covered(log))
    assert entry.isChecked()
    log.close()  # with the mouse
    assert not entry.isChecked()


def test_after_a_click_the_part_that_a_key_goes_to_shows_the_focus(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(1280, 800)
    window.activateWindow()
    table, field = window.history.table, window.models.base.choose_button  # where Tab begins in the set-up
    field.setFocus(Qt.FocusReason.MouseFocusReason)
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton)
    assert QApplication.focusWidget() is table
    without = field.grab().toImage()
    QTest.keyClick(table, Qt.Key.Key_F6)
    assert QApplication.focusWidget() is field
    assert field.grab().toImage() != without
