"""From a first start to two merged runs that are compared, with keys alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from core import read_record
from gui.window.window import MainWindow

ALT, CTRL, SHIFT = (
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
)
Key = Qt.Key


def focus() -> QWidget:
    widget = QApplication.focusWidget()
    assert widget is not None
    return widget


def press(key: Qt.Key, *modifiers: Qt.KeyboardModifier) -> None:
    both = Qt.KeyboardModifier.NoModifier
    for modifier in modifiers:
        both |= modifier
    QTest.keyClick(focus(), key, both)


def press_until(key: Qt.Key, arrived: Callable[[], bool]) -> None:
    for _ in range(40):
        if arrived():
            return
        press(key)
    raise AssertionError(f"the focus is on {focus().accessibleName()!r} after 40 times {key.name}")


def retype(text: str) -> None:
    press(Key.Key_A, CTRL)
    QTest.keyClicks(focus(), text)


@pytest.mark.usefixtures("compiled")
def test_two_runs_are_merged_and_compared(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.resize(1280, 800)
    with qtbot.waitSignal(window.pictures.built):
        window.warm_up()
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is not None)

    def is_the_offer() -> bool:
        widget = focus()
        return isinstance(widget, QPushButton) and widget.text().replace("&", "") == "Open the demo"

    press_until(Key.Key_Tab, is_the_offer)
    press(Key.Key_Space)
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())

    press(Key.Key_T, ALT)  # the method; n comes after it
    resamples = window.recipe.parameters.fields["resamples"]
    press_until(Key.Key_Tab, resamples.hasFocus)
    retype("3")
    press(Key.Key_S, ALT)
    retype("11")
    press(Key.Key_U, ALT)
    retype(str(tmp_path / "first"))
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    press(Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: "Merged in" in window.run.message.text, timeout=60_000)

    press(Key.Key_S, ALT)
    retype("12")
    press(Key.Key_U, ALT)
    retype(str(tmp_path / "second"))
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    press(Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: (tmp_path / "second").is_dir() and not window.merging, timeout=60_000)
    rows = window.history.model
    qtbot.waitUntil(lambda: [rows.row(at).entry.status for at in range(rows.rowCount())] == ["done"] * 2)

    press_until(Key.Key_F6, lambda: window.history.isAncestorOf(focus()))
    press_until(Key.Key_Tab, lambda: focus() is window.history.table)
    press(Key.Key_Home, CTRL)
    press(Key.Key_Down, SHIFT)
    press(Key.Key_K, CTRL, SHIFT)
    comparison = window.pictures.comparison
    qtbot.waitUntil(lambda: window.pictures.tabs.currentWidget() is comparison)
    qtbot.waitUntil(lambda: bool(np.isfinite(comparison.plot.values).any()))
    shown = comparison.plot.values

    press_until(Key.Key_F6, lambda: window.pictures.isAncestorOf(focus()))
    press_until(Key.Key_Tab, lambda: focus() is comparison.plot or comparison.plot.isAncestorOf(focus()))
    press(Key.Key_Right)
    before = window.pictures.selection.value
    press(Key.Key_Down)
    assert window.pictures.selection.value != before
    assert np.isfinite(shown).any()

    for name, seed in (("first", 11), ("second", 12)):
        recipe = read_record(tmp_path / name).recipe
        assert (recipe["seed"], recipe["parameters"]["resamples"], len(recipe["models"])) == (seed, 3, 8)
