"""The window fits its screen, and what a merge needs is in sight in every size."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMargins, QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QAbstractScrollArea, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

import gui.window.layout
from gui.settings import Settings
from gui.window.geometry import clamped, first_size
from gui.window.window import MainWindow

FRAME = QMargins(1, 20, 1, 4)


def in_whole(widget: QWidget, window: MainWindow) -> bool:
    above = widget.parentWidget()
    while above is not None and widget.isVisible():
        if not above.rect().contains(QRect(widget.mapTo(above, QPoint()), widget.size())):
            return False
        if above is window:
            return True
        above = above.parentWidget()
    return False


def test_a_window_that_is_larger_than_the_screen_is_made_smaller() -> None:
    screen = QRect(0, 0, 1280, 800)
    assert clamped(QRect(-50, 0, 1920, 1199), screen, FRAME) == QRect(1, 20, 1278, 776)


@pytest.mark.parametrize("left", [-4000, -30, 700, 5000])
def test_a_window_on_a_screen_that_is_gone_comes_back_whole(left: int) -> None:
    screen = QRect(100, 30, 1440, 870)
    place = clamped(QRect(left, -900, 900, 600), screen, FRAME)
    assert place.size() == QSize(900, 600)
    assert screen.contains(place.marginsAdded(FRAME))


def test_a_window_that_fits_stays_where_it_is() -> None:
    place = QRect(40, 60, 900, 600)
    assert clamped(place, QRect(0, 0, 1280, 800), FRAME) == place


@pytest.mark.parametrize(
    ("screen", "size"),
    [((960, 600), (960, 600)), ((1280, 800), (1280, 800)), ((2560, 1440), (2176, 1224))],
)
def test_a_first_window_is_larger_on_a_larger_screen(screen: tuple[int, int], size: tuple[int, int]) -> None:
    assert first_size(QSize(*screen)) == QSize(*size)


def test_a_first_window_is_on_its_screen(window: MainWindow, settings: Settings) -> None:
    again = MainWindow(settings, window._history)
    available = again.screen().availableGeometry()
    assert again.geometry().top() > available.top()  # where the title goes
    assert again.geometry().bottom() <= available.bottom()
    again.close_at_once()


@pytest.mark.parametrize("size", [(960, 560), (1280, 770), (2176, 1200)])
def test_what_a_merge_needs_is_in_sight(
    qtbot: QtBot, window: MainWindow, models: Path, size: tuple[int, int]
) -> None:
    window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: window.preflight.checked and len(window.setup().models) == 3)
    window.resize(*size)
    recipe, table = window.recipe, window.models.table
    qtbot.waitUntil(lambda: window.size() == QSize(*size))
    panels = [window.merge_button, table, window.models.k_box, window.preflight.problems]
    for method in ("parameter_selection", "linear", "task_arithmetic"):
        recipe.method_box.setCurrentIndex(recipe.method_box.findData(method))
        draws = [recipe.seed.edit] if recipe.method.draws is not None else []
        fields = [recipe.method_box, *recipe.parameters.fields.values(), *draws, recipe.output.edit]
        needed = [*fields, *panels]
        qtbot.waitUntil(lambda needed=needed: all(in_whole(widget, window) for widget in needed))  # type: ignore[misc]
        for widget in (recipe.method_box, *draws, recipe.output.edit):
            assert not any(area.isAncestorOf(widget) for area in window.findChildren(QScrollArea))
        assert table.viewport().height() >= 3 * table.verticalHeader().defaultSectionSize()


def test_nothing_scrolls_in_something_that_scrolls(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.load_recipe(models / "recipe.yaml")
    recipe = window.recipe
    for _ in range(20):
        recipe.rules.model.add()
    recipe.show_field("rules")
    qtbot.waitUntil(recipe.rules.table.isVisible)
    qtbot.wait(20)
    for outer in window.findChildren(QScrollArea):
        for inner in outer.findChildren(QAbstractScrollArea):
            if inner.isVisible():
                assert inner.verticalScrollBar().maximum() == 0, inner


def test_the_window_can_be_made_as_small_from_every_size(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(2176, 1200)
    qtbot.waitUntil(lambda: window.height() == 1200)
    qtbot.wait(20)
    assert window.minimumSizeHint().width() <= 960
    assert window.minimumSizeHint().height() <= 560


def test_on_a_wide_screen_the_detail_stands_beside_the_pictures(qtbot: QtBot, window: MainWindow) -> None:
    detail = window.layout_.docks[3]
    window.resize(1280, 800)
    window.layout_.reset()
    assert window.dockWidgetArea(detail) == Qt.DockWidgetArea.BottomDockWidgetArea
    window.resize(2176, 1224)
    qtbot.waitUntil(lambda: window.width() == 2176)
    window.layout_.reset()
    qtbot.waitUntil(lambda: not window.pictures.detail.visibleRegion().isEmpty())
    assert window.dockWidgetArea(detail) == Qt.DockWidgetArea.RightDockWidgetArea
    assert detail.x() > window.pictures.mapTo(window, window.pictures.rect().topRight()).x()


def test_what_stood_side_by_side_fits_a_smaller_screen(
    qtbot: QtBot, window: MainWindow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.resize(2176, 1224)
    window.layout_.reset()
    window.close()
    monkeypatch.setattr(gui.window.layout, "available_size", lambda _: QSize(1000, 700))
    again = MainWindow(settings, window._history)
    qtbot.addWidget(again)
    again.show()
    qtbot.wait(20)
    assert again.dockWidgetArea(again.layout_.docks[3]) == Qt.DockWidgetArea.BottomDockWidgetArea
    assert again.minimumSizeHint().width() <= 960
    again.close_at_once()


def test_the_set_up_is_as_wide_as_it_was_made(
    qtbot: QtBot, window: MainWindow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.window.layout, "available_size", lambda _: QSize(1920, 1080))
    window.resize(1600, 900)
    qtbot.waitUntil(lambda: window.width() == 1600)
    setup = window.layout_.docks[0]
    window.layout_.reset()
    qtbot.wait(20)
    before = setup.width()
    window.resizeDocks([setup], [700], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: setup.width() == 700)
    assert before < 600
    window.close()
    again = MainWindow(settings, window._history)
    qtbot.addWidget(again)
    again.resize(1600, 900)
    again.show()
    qtbot.waitUntil(lambda: again.layout_.docks[0].width() == 700)
    again.layout_.reset()
    qtbot.waitUntil(lambda: again.layout_.docks[0].width() == before)
    again.close_at_once()


@pytest.mark.parametrize("wide", [1280, 2176])
def test_what_a_narrow_window_takes_it_gives_back(qtbot: QtBot, window: MainWindow, wide: int) -> None:
    setup, *_, detail = window.layout_.docks
    docks = [setup] if wide < 1800 else [setup, detail]
    window.resize(wide, 800)
    qtbot.waitUntil(lambda: window.width() == wide)
    window.layout_.reset()
    qtbot.wait(20)
    before = [dock.width() for dock in docks]
    narrow = window.minimumSizeHint().width()
    for width in (narrow, narrow + 40, wide):
        window.resize(width, 800)
        qtbot.waitUntil(lambda width=width: window.width() == width)
        qtbot.wait(5)
        if width < wide:
            assert [dock.width() for dock in docks] != before
    assert [dock.width() for dock in docks] == before
    window.resizeDocks([setup], [before[0] - 50], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: setup.width() == before[0] - 50)
    window.resize(wide + 40, 800)
    qtbot.wait(5)
    assert setup.width() == before[0] - 50  # as it was made by hand


def test_a_low_window_leaves_room_for_the_pictures(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(960, 575)
    qtbot.waitUntil(lambda: window.height() == 575)
    window.layout_.reset()
    qtbot.wait(20)
    assert window.pictures.height() > 2 * window.layout_.docks[1].height()


def test_problems_have_the_room_that_there_is(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(1272, 774)  # with a frame, on 1280 × 800
    qtbot.waitUntil(lambda: window.height() == 774)
    qtbot.wait(20)
    problems = window.preflight.problems
    assert problems.height() >= 5 * problems.fontMetrics().lineSpacing()
    column = window.layout_.docks[0].widget()
    below = column.height() - window.merge_button.mapTo(column, window.merge_button.rect().bottomLeft()).y()
    assert below <= 10
