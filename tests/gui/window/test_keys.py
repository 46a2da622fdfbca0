"""The whole window by keyboard: Tab, the keys of labels and menus, and the jump from part to part."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QTabBar, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from gui.widgets.contrast import contrast
from gui.widgets.theme import apply_theme
from gui.window.focus import is_covered
from gui.window.window import MainWindow


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow, models: Path) -> MainWindow:
    """A window with models, pictures and every plot."""
    window.resize(1280, 800)
    window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: window.preflight.checked and window.observer.findings is not None)
    with qtbot.waitSignal(window.pictures.built):
        window.warm_up()
    qtbot.waitUntil(lambda: window.pictures.sentence == "" and window.merge_button.isEnabled())
    window.activateWindow()
    QApplication.setCursorFlashTime(0)  # grabs are compared
    return window


def focus() -> QWidget:
    widget = QApplication.focusWidget()
    assert widget is not None
    return widget


def key(text: str) -> str | None:
    """The letter that is marked in `text`."""
    found = re.search(r"&([^&\s])", text.replace("&&", ""))
    return found[1].upper() if found else None


def keys_of(window: MainWindow) -> list[tuple[str, QWidget, int]]:
    """Every letter that works with Alt, its widget, and the tab of that or -1."""
    found: list[tuple[str, QWidget, int]] = []
    for label in window.findChildren(QLabel):
        letter = key(label.text()) if label.textFormat() == Qt.TextFormat.PlainText else None
        if letter and label.buddy() is not None and label.isVisible():
            found.append((letter, label, -1))
    for button in window.findChildren(QAbstractButton):
        letter = key(button.text())
        if letter and button.isVisible() and button.parent() is not window.menuBar():
            found.append((letter, button, -1))
    for bar in window.findChildren(QTabBar):
        found += [(letter, bar, at) for at in range(bar.count()) if (letter := key(bar.tabText(at)))]
    return found


def test_no_key_has_two_meanings(window: MainWindow) -> None:
    menus = [letter for action in window.menuBar().actions() if (letter := key(action.text()))]
    counts = Counter([letter for letter, _, _ in keys_of(window)] + menus)
    assert {letter for letter, number in counts.items() if number > 1} == set()
    assert {"T", "S", "U", "K", "A", "M", "Z", "F"} <= counts.keys()


def test_every_marked_key_does_what_it_marks(qtbot: QtBot, ready: MainWindow) -> None:
    window = ready
    begun: list[None] = []
    window.preflight.merge_requested.disconnect()
    window.preflight.merge_requested.connect(lambda _: begun.append(None))
    pressed: list[str] = []
    for letter, widget, at in keys_of(window):
        if not widget.isVisible() or not widget.isEnabled():
            continue
        window.history.search_field.setFocus()
        code = getattr(Qt.Key, f"Key_{letter}")
        if isinstance(widget, QLabel):
            QTest.keyClick(window, code, Qt.KeyboardModifier.AltModifier)
            assert focus() is widget.buddy(), letter
            assert focus().focusPolicy() & Qt.FocusPolicy.TabFocus
        elif isinstance(widget, QTabBar):
            widget.setCurrentIndex((at + 1) % widget.count())
            QTest.keyClick(window, code, Qt.KeyboardModifier.AltModifier)
            assert widget.currentIndex() == at, letter
        elif widget is window.merge_button:
            QTest.keyClick(window, code, Qt.KeyboardModifier.AltModifier)
            qtbot.waitUntil(lambda: bool(begun))
        else:
            continue  # a dialog of the system
        pressed.append(letter)
    assert {"T", "S", "U", "K", "M", "Z", "C"} <= set(pressed)


def ring(window: MainWindow, key_pressed: Qt.Key) -> list[QWidget]:
    """Where the key goes from here, until it comes back."""
    stops = [focus()]
    while len(stops) < 80:
        QTest.keyClick(focus(), key_pressed)
        if focus() is stops[0]:
            return stops
        stops.append(focus())
    raise AssertionError([stop.accessibleName() for stop in stops])


def test_tab_goes_through_the_window_as_it_is_read(ready: MainWindow) -> None:
    window, recipe = ready, ready.recipe
    window.models.base.choose_button.setFocus(Qt.FocusReason.TabFocusReason)
    stops = ring(window, Qt.Key.Key_Tab)
    order = [
        window.models.table,
        recipe.method_box,
        recipe.parameters.fields["resamples"],
        recipe.seed.edit,
        recipe.output.edit,
        window.merge_button,
        window.pictures.tabs.tabBar(),
        window.pictures.zero_deltas.findChildren(QWidget)[-1],
        window.history.search_field,
    ]
    plots = [stop for stop in stops if type(stop).__name__ == "HeatMap"]
    assert len(plots) == 1
    order[7] = plots[0]
    assert [stop for stop in stops if stop in order] == order
    assert not [stop for stop in stops if is_covered(stop) or not stop.isVisible()]
    window.models.base.choose_button.setFocus(Qt.FocusReason.TabFocusReason)
    back = ring(window, Qt.Key.Key_Backtab)
    assert back[1:] == stops[:0:-1]


def test_every_stop_shows_that_it_has_the_focus(qtbot: QtBot, ready: MainWindow) -> None:
    window = ready
    window.models.base.choose_button.setFocus(Qt.FocusReason.TabFocusReason)
    stops = ring(window, Qt.Key.Key_Tab)
    assert len(stops) > 20
    for before, stop in pairwise([*stops, stops[0]]):
        assert focus() is before
        without = picture(stop)
        QTest.keyClick(before, Qt.Key.Key_Tab)
        assert focus() is stop
        assert picture(stop) != without, f"{type(stop).__name__} {stop.accessibleName()}"


def test_what_is_shown_for_a_problem_is_marked(ready: MainWindow) -> None:
    window, choose = ready, ready.models.base.choose_button
    window.recipe.seed.edit.setFocus(Qt.FocusReason.MouseFocusReason)
    window.setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange, on=False)  # as after a click
    without = picture(choose)
    window.models.show_base()
    assert focus() is choose
    assert picture(choose) != without


@pytest.mark.parametrize("at", ["base", "merge"])
def test_the_focus_comes_back_after_a_merge(qtbot: QtBot, ready: MainWindow, at: str) -> None:
    window = ready
    stop = window.merge_button if at == "merge" else window.models.base.choose_button
    stop.setFocus(Qt.FocusReason.TabFocusReason)
    focused = focus()
    QTest.keyClick(focused, Qt.Key.Key_M, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: window.merging)
    assert focus() is window.preflight.cancel_button
    assert window.testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)  # or else it is not marked
    qtbot.waitUntil(lambda: not window.merging)
    assert focus() is focused


@pytest.mark.parametrize("dark", [False, True])
def test_the_focus_is_plain_on_the_accent_colour(
    qtbot: QtBot, ready: MainWindow, qapp: QApplication, dark: bool
) -> None:
    apply_theme(qapp, dark=dark)
    window, button = ready, ready.merge_button
    qtbot.waitUntil(button.isEnabled)
    window.recipe.seed.edit.setFocus()
    without = picture(button)
    button.setFocus()
    with_focus = picture(button)
    across = range(button.width() // 4, button.width() // 2)
    below = range(button.height() // 2)
    plain = [
        y
        for y in below
        if all(contrast(without.pixelColor(x, y), with_focus.pixelColor(x, y)) >= 3 for x in across)
    ]
    assert len(plain) >= 2
    apply_theme(qapp, dark=False)


def picture(widget: QWidget) -> QImage:
    QApplication.processEvents()
    return widget.grab().toImage()


def test_one_key_goes_from_part_to_part(ready: MainWindow) -> None:
    window, recipe = ready, ready.recipe
    assert any(
        action.shortcut().toString() == "F6"
        for menu in window.menuBar().actions()
        for action in menu.menu().actions()  # type: ignore[attr-defined]
    )
    recipe.seed.edit.setFocus()
    QTest.keyClick(focus(), Qt.Key.Key_F6)
    assert focus() is window.pictures.tabs.tabBar()
    QTest.keyClick(focus(), Qt.Key.Key_F6)
    assert window.history.isAncestorOf(focus())
    QTest.keyClick(focus(), Qt.Key.Key_F6)
    assert focus() is recipe.seed.edit  # where it was left
    QTest.keyClick(focus(), Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert window.history.isAncestorOf(focus())
    QTest.keyClick(focus(), Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert focus() is window.pictures.tabs.tabBar()


def test_a_jump_leaves_the_window_whole(ready: MainWindow) -> None:
    menus = [action.menu() for action in ready.menuBar().actions()]  # type: ignore[attr-defined]
    ready.history.table.setFocus()  # which is marked by a frame, and that goes when the focus goes
    QTest.keyClick(focus(), Qt.Key.Key_F6)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert all(map(isValid, menus))


def test_the_first_jump_into_the_set_up_goes_to_the_models(ready: MainWindow) -> None:
    ready.history.search_field.setFocus()
    QTest.keyClick(focus(), Qt.Key.Key_F6)
    assert focus() is ready.models.base.choose_button


def test_what_is_behind_another_dock_is_passed_over(qtbot: QtBot, ready: MainWindow) -> None:
    window = ready
    docks = window.layout_.docks[1:]
    for front in docks:
        front.raise_()
        qtbot.waitUntil(lambda front=front: not front.visibleRegion().isEmpty())  # type: ignore[misc]
        window.merge_button.setFocus(Qt.FocusReason.TabFocusReason)
        stops = ring(window, Qt.Key.Key_Tab)
        for dock in docks:
            assert any(dock.isAncestorOf(stop) for stop in stops) == (dock is front)
