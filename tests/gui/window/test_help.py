"""F1 is help, and what it says of keys is what they do."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from gui.window.help import HelpDialog
from gui.window.window import MainWindow


def test_f1_is_help_once_and_esc_closes_it(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitExposed(window)
    for _ in range(2):
        QTest.keyClick(window, Qt.Key.Key_F1)
    (dialog,) = window.findChildren(HelpDialog)
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert window.findChildren(QMessageBox) == []
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: window.findChildren(HelpDialog) == [])


def test_every_key_of_the_menus_is_listed(qtbot: QtBot, window: MainWindow) -> None:
    QTest.keyClick(window, Qt.Key.Key_F1)
    (dialog,) = window.findChildren(HelpDialog)
    text = dialog.page.toPlainText()
    for words in ("Ctrl+Return", "Merge again with another seed", "Ctrl+Shift+K", "Magnitude"):
        assert words in text
    assert "&" not in text
    about = [a for menu in window.menuBar().actions() for a in menu.menu().actions() if "About" in a.text()]  # type: ignore[attr-defined]
    assert [action.shortcut().isEmpty() for action in about] == [True]
