"""Nothing in the form moves under the pointer, whatever is said around it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from core.methods import METHODS
from gui.failure import Failure
from gui.preflight.report import Problem
from gui.window.window import MainWindow


def places(window: MainWindow) -> dict[str, tuple[QPoint, int]]:
    """Where on the screen every field and button of the set-up is, and how wide."""
    panels: tuple[QWidget, ...] = (window.models, window.recipe, window.preflight)
    found = {}
    for panel in panels:
        for widget in panel.findChildren(QWidget):
            kinds = (QLineEdit, QAbstractSpinBox, QComboBox, QAbstractButton)
            own = not isinstance(widget.parentWidget(), QAbstractSpinBox | QComboBox)
            if not (isinstance(widget, kinds) and own and widget.isVisible() and widget.accessibleName()):
                continue
            said = (window.preflight.problems, window.models.message)
            if not any(message.isAncestorOf(widget) for message in said):
                assert widget.accessibleName() not in found
                found[widget.accessibleName()] = widget.mapToGlobal(QPoint()), widget.width()
    return found


TIGHT, ROOMY = (960, 560), (1280, 770)


@pytest.fixture(params=[TIGHT, ROOMY], ids=lambda size: f"{size[0]}x{size[1]}")
def ready(request: pytest.FixtureRequest, qtbot: QtBot, window: MainWindow, models: Path) -> MainWindow:
    """A window of several sizes in which everything is ready for a merge."""
    window.resize(*request.param)
    window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    qtbot.wait(20)
    window.activateWindow()
    return window


def retype(field: QLineEdit | QAbstractSpinBox, text: str) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)


def settle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.preflight.checked)
    qtbot.wait(5)


def test_typing_moves_nothing(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    window, recipe = ready, ready.recipe
    before = places(window)
    assert {"n, resamples", "Seed of the random draws", "Output folder", "Merge method"} <= before.keys()
    said = set()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "model.safetensors").write_bytes(b"")
    resamples = recipe.parameters.fields["resamples"]
    for field, text in (
        (recipe.output.edit, str(tmp_path / "there")),
        (recipe.output.edit, "/proc/no/such"),
        (recipe.output.edit, str(tmp_path / "new")),
        (recipe.seed.edit, ""),
        (recipe.seed.edit, "12345678901234567890"),
        (resamples, "9"),
    ):
        retype(field, text) if text else (field.setFocus(), field.clear())
        qtbot.wait(1)
        assert places(window) == before, f"while {text!r} is typed"
        settle(qtbot, window)
        said.add(tuple(window.preflight.problems.texts))
        assert places(window) == before, f"once {text!r} is typed"
    assert len(said) > 2, "nothing was said"


def test_what_is_wrong_with_a_model_moves_nothing(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path
) -> None:
    window = ready
    damaged = tmp_path / "damaged"
    shutil.copytree(models / "run-1", damaged)
    (damaged / "model.safetensors").write_bytes(b"nothing")
    window.models.add_sub_models([damaged])
    assert window.models.message.text == ""
    before = places(window)  # K says "of 4" now
    qtbot.waitUntil(lambda: window.models.message.text != "")
    settle(qtbot, window)
    qtbot.wait(5)
    assert places(window) == before
    assert window.models.table.height() >= 40


@pytest.mark.parametrize("unfolded", [False, True])
def test_the_buttons_of_a_message_are_whole(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path, unfolded: bool
) -> None:
    window, told = ready, ready.models.message
    if unfolded:
        window.recipe.show_field("device")
        qtbot.wait(50)
    before = places(window)
    long = f"{'Something is wrong with a model, and it takes long to say what. ' * 3}See there."
    told.show_failure(Failure(long, long), ["Remove", "Untick", "Remove all 3"])
    qtbot.wait(5)
    assert places(window) == before
    assert told.text == f"{long} {long}"
    (line, *_) = (label for label in told.findChildren(QLabel) if label.isVisible())
    assert line.height() >= line.fontMetrics().height()
    for button in told.findChildren(QPushButton):
        assert button.height() >= button.sizeHint().height()
        assert button.width() > button.fontMetrics().horizontalAdvance(button.text())
        assert told.rect().contains(button.mapTo(told, button.rect().bottomRight()))
    window.resize(1280, 1200)
    qtbot.waitUntil(lambda: line.text() == long)  # where there is room, it is said whole


def test_notes_problems_and_estimates_move_nothing(qtbot: QtBot, ready: MainWindow) -> None:
    window, preflight = ready, ready.preflight
    report = preflight._report
    assert report is not None
    before = places(window)
    long = "Something is wrong with the models that were chosen, and it takes long to say what. " * 3
    for changed in (
        replace(report, errors=(Problem(long, long, "base"),)),
        replace(report, warnings=tuple(Problem(f"{n}: {long}", None, "models") for n in range(9))),
        replace(report, plan=None, ledger=(), estimate=None, free_disk_bytes=None),
        report,
    ):
        preflight.show_report(changed)
        qtbot.wait(2)
        assert places(window) == before
    window._note(long)
    preflight.show_checking()
    preflight._on_slow()
    qtbot.wait(2)
    assert places(window) == before
    window.run.show_failure(Failure(long, long))
    qtbot.wait(2)
    assert places(window) == before
    preflight.show_report(report)


@pytest.mark.parametrize("ready", [TIGHT], indirect=True)
def test_the_pictures_strip_moves_no_field_of_a_merge(
    qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace
) -> None:
    window = ready
    before = places(window)
    QTest.mouseClick(window.merge_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(held_merge.reached.is_set)
    assert places(window) == before
    held_merge.released.set()
    qtbot.waitUntil(lambda: not window.merging and window.preflight.checked)
    qtbot.wait(5)
    assert places(window) == before


@pytest.mark.parametrize("ready", [TIGHT], indirect=True)
def test_a_method_with_other_fields_moves_nothing_above_them(qtbot: QtBot, ready: MainWindow) -> None:
    window, recipe = ready, ready.recipe
    box = recipe.method_box
    above = (window.models.table, window.models.k_box, box)
    fixed = [(widget.mapToGlobal(QPoint()), widget.size()) for widget in above]
    bottom = window.merge_button.mapToGlobal(QPoint())
    for name in (*METHODS, next(iter(METHODS))):
        box.choose(name)
        settle(qtbot, window)
        assert [(widget.mapToGlobal(QPoint()), widget.size()) for widget in above] == fixed
        assert window.merge_button.mapToGlobal(QPoint()) == bottom
        draws = recipe.method.draws is not None
        assert recipe.seed.isVisible() == draws
        form = [recipe._form] if recipe.parameters.fields else []
        fields = [*form, *([recipe.seed.edit] if draws else []), recipe.output.edit]
        for one, other in pairwise(fields):  # no gap where a row is missing
            gap = other.mapToGlobal(QPoint()).y() - one.mapToGlobal(QPoint()).y() - one.height()
            assert 0 < gap <= 10


@pytest.mark.parametrize("ready", [TIGHT], indirect=True)
def test_what_is_folded_says_so_beside_itself(qtbot: QtBot, ready: MainWindow) -> None:
    window, recipe = ready, ready.recipe
    before = places(window)
    recipe.precision.threads.show_number(3)
    settle(qtbot, window)
    assert recipe.precision_fold.summary_label.isVisible()
    assert places(window) == before
