"""One figure for how long a merge takes: estimated before it, left during it, measured after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.plan.estimate import TimeEstimate
from gui.document.merge_setup import MergeSetup
from gui.document.opening import setup_of_recipe
from gui.preflight.panel import _same_work
from gui.window.window import MainWindow


def said(window: MainWindow) -> str:
    labels = window.preflight.findChildren(QLabel)
    return " ".join(f"{label.text()} {label.toolTip()}" for label in labels if label.isVisible())


def test_there_is_one_figure_at_a_time(
    qtbot: QtBot, window: MainWindow, models: Path, held_merge: SimpleNamespace
) -> None:
    window.resize(1280, 800)
    window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    report = window.preflight._report
    assert report is not None
    window.preflight.show_report(replace(report, estimate=TimeEstimate(70, 3, 1, 0.2, learned=True)))
    assert "about 1 min 10 s" in said(window)
    QTest.mouseClick(window.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(held_merge.reached.is_set)
    assert window.merging
    assert "about" not in said(window)
    assert "under" not in said(window)
    assert "Reads" in said(window)
    held_merge.released.set()
    qtbot.waitUntil(lambda: not window.merging and window.preflight.checked)
    assert "last time" in said(window)
    assert "about" not in said(window)
    window.recipe.set_seed(99)  # the same work
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert "last time" in said(window)
    window.recipe.set_resamples(0)
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert "last time" not in said(window)


def test_overwriting_an_output_is_the_same_work(models: Path) -> None:
    setup = setup_of_recipe(load_recipe(models / "recipe.yaml"), MergeSetup("", None, (), 0))
    assert _same_work(replace(setup, out="/a", overwrite=True), replace(setup, out="/b"))
    assert not _same_work(setup, replace(setup, device="cuda:0"))
