"""The list of devices says what the merge would take on each; the figures before it say where it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt, QThread
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from core import MergePlan, devices
from core.devices import CPU, Device
from core.plan import choice as choice_module
from core.plan.estimate import Work
from core.runs.learned import Learned
from gui.window.window import MainWindow

CARD = Device("cuda:0", "Fast Card", "cuda", 80 * 10**9, 70 * 10**9)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[QThread]:
    """The threads in which the times were worked out, of a machine with one card.

    The CPU takes a second more for each resample, the card half a second; each has 0.08 s to do besides.
    """
    threads: list[QThread] = []

    def work(plan: MergePlan, device: Device, *_: object, **__: object) -> Work:
        threads.append(QThread.currentThread())
        each = 1.0 if device == CPU else 0.5
        return Work(device.kind, 0.06 + each * (plan.recipe.resamples or 0), 0.0, 1, 0.0, 0, 0)

    monkeypatch.setattr(devices, "known_devices", lambda: [CARD])
    monkeypatch.setattr(devices, "usable_devices", lambda: [CARD])
    monkeypatch.setattr(devices, "choose_devices", lambda name: [CPU if name == "cpu" else CARD])
    monkeypatch.setattr(choice_module, "work_of", work)
    return threads


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow, models: Path, threads: list[QThread]) -> MainWindow:
    window.resize(1280, 770)
    window.load_recipe(models / "recipe.yaml")
    wait_for_check(qtbot, window)
    window.recipe.show_field("device")
    qtbot.waitUntil(lambda: bool(tips(box_of(window))))
    wait_for_check(qtbot, window)
    return window


def wait_for_check(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.preflight.checked and window.checker._job is not None)
    qtbot.waitUntil(lambda: window.preflight.checked)


def box_of(window: MainWindow) -> QComboBox:
    return window.recipe.precision.device


def tips(box: QComboBox) -> list[str]:
    given = (box.itemData(at, Qt.ItemDataRole.ToolTipRole) for at in range(box.count()))
    return [tip for tip in given if tip]


def texts(box: QComboBox) -> list[str]:
    return [box.itemText(at) for at in range(box.count())]


def said(window: MainWindow) -> str:
    """The line with how much is read and written, and how long that takes; with its tool tip."""
    flow = next(label for label in window.preflight.findChildren(QLabel) if "Reads" in label.text())
    return f"{flow.text()}\n{flow.toolTip()}"


def places(window: MainWindow) -> list[tuple[QPoint, QPoint]]:
    shown = (widget for widget in window.findChildren(QWidget) if widget.isVisible())
    return [(widget.mapToGlobal(QPoint()), widget.rect().bottomRight()) for widget in shown]


def test_each_device_says_what_it_would_take(qtbot: QtBot, ready: MainWindow, threads: list[QThread]) -> None:
    box = box_of(ready)
    assert texts(box) == [
        "Fastest (cuda:0), about 2.1 s",
        "CPU, about 4 s",
        "Fast Card (cuda:0), about 2.1 s",
    ]
    assert tips(box) == ["70 GB of 80 GB free"]
    assert "about 2.1 s on cuda:0" in said(ready)
    assert "On cuda:0: about 2.1 s, the CPU takes about 4 s." in said(ready)
    assert threads
    assert ready.thread() not in threads


def test_the_times_follow_the_plan_and_nothing_moves(qtbot: QtBot, ready: MainWindow) -> None:
    box, before = box_of(ready), places(ready)
    ready.recipe.set_resamples(6)
    assert "about 2.1 s" in box.currentText()  # until something better is known
    qtbot.waitUntil(lambda: box.itemText(1) == "CPU, about 6 s")
    assert texts(box)[0] == "Fastest (cuda:0), about 3 s"
    ready.recipe.set_resamples(0)  # both are as fast, and then it is the CPU
    qtbot.waitUntil(lambda: box.itemText(1) == "CPU, under 0.1 s")
    assert box.currentText() == "Fastest (CPU), under 0.1 s"
    assert box.currentData() == "auto"
    assert "under 0.1 s on the CPU" in said(ready)
    assert "On the CPU: a graphics card would not be faster." in said(ready)
    assert places(ready) == before


def test_a_device_is_chosen_by_keys_and_keeps_its_time(qtbot: QtBot, ready: MainWindow) -> None:
    box = box_of(ready)
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: "about 4 s on the CPU" in said(ready))
    assert (box.currentData(), ready.settings.device) == ("cpu", "cpu")
    assert "On the CPU: it was asked for." in said(ready)
    assert texts(box)[0] == "Fastest (cuda:0), about 2.1 s"  # what the other choice would be
    QTest.keyClick(box, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: "about 2.1 s on cuda:0" in said(ready))
    assert ready.setup().device == "cuda:0"


def test_without_a_plan_there_are_no_times(qtbot: QtBot, ready: MainWindow) -> None:
    ready.new_recipe()
    qtbot.waitUntil(lambda: texts(box_of(ready)) == ["Fastest", "CPU", "Fast Card (cuda:0)"])


def test_a_merge_teaches_what_the_command_line_reads(
    qtbot: QtBot, window: MainWindow, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "known_devices", list)
    monkeypatch.setattr("core.plan.estimate._WORTH_LEARNING_S", 1e-6)  # the models are small
    learned = Learned(window._history.folder)
    window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    assert "on the CPU" not in said(window)  # where there is nothing else it goes without saying
    assert "there is no graphics card here" in said(window)
    assert learned.read().kinds == {}
    QTest.mouseClick(window.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.merger.result is not None and not window.merging)
    assert list(learned.read().kinds) == ["parameter_selection"]
    qtbot.waitUntil(lambda: window.preflight.checked)
    report = window.preflight._report
    assert report is not None
    assert report.estimate is not None
    assert report.estimate.learned
