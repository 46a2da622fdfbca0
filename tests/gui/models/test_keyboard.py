"""The panel by keyboard: in the order in which it is seen, and always with a sign of where one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from gui.jobs import JobKeeper
from gui.models.panel import ModelsPanel


@pytest.fixture
def panel(qtbot: QtBot, models: Path, tmp_path: Path) -> Iterator[ModelsPanel]:
    """A base, three sub-models of which one is selected, and a message."""
    jobs = JobKeeper()
    panel = ModelsPanel(jobs)
    qtbot.addWidget(panel)
    panel.resize(420, 420)
    panel.set_base(models / "base")
    panel.add_sub_models([models / f"run-{number}" for number in (1, 2, 3)])
    panel.show()
    panel.activateWindow()
    qtbot.waitExposed(panel)
    qtbot.waitUntil(lambda: len(panel.summaries()) == 4)
    panel.set_states({models / "run-1": None, models / "run-2": "It is too large.", models / "run-3": None})
    panel.table.select_rows([1])
    yield panel
    jobs.stop_all()


def stops(qtbot: QtBot, panel: ModelsPanel) -> list[QWidget]:
    """What has the focus one after the other, from the top on."""
    panel.base.choose_button.setFocus(Qt.FocusReason.TabFocusReason)
    found: list[QWidget] = []
    while (focus := QApplication.focusWidget()) not in found:
        assert focus is not None
        found.append(focus)
        qtbot.keyClick(focus, Qt.Key.Key_Tab)
    return found


def test_tab_goes_through_it_as_it_is_seen(qtbot: QtBot, panel: ModelsPanel) -> None:
    found = stops(qtbot, panel)
    assert len(found) == 10  # with Remove and Untick of the message
    tops = [
        (widget.mapTo(panel, QPoint(0, 0)).y() // 16, widget.mapTo(panel, QPoint(0, 0)).x())
        for widget in found
    ]
    assert tops == sorted(tops)


def test_the_focus_can_be_seen(qtbot: QtBot, panel: ModelsPanel) -> None:
    for widget in stops(qtbot, panel):
        assert QApplication.focusWidget() is widget  # the round goes on
        assert widget.accessibleName() or widget.property("text")
        area = QRect(widget.mapTo(panel, QPoint(0, 0)), widget.size())
        focused = panel.grab(area).toImage()
        qtbot.keyClick(widget, Qt.Key.Key_Tab)
        assert focused != panel.grab(area).toImage(), widget.accessibleName()


def test_the_focus_of_an_empty_list_can_be_seen(qtbot: QtBot, panel: ModelsPanel) -> None:
    panel.table.selectAll()
    panel.remove_selected()
    panel.table.setFocus()
    focused = panel.table.grab().toImage()
    panel.table.clearFocus()
    assert focused != panel.table.grab().toImage()
