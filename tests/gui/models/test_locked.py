"""While a merge runs nothing of the models can be changed, and everything stays legible, in its colours."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QPalette
from PySide6.QtWidgets import QAbstractButton, QMessageBox
from pytestqt.qtbot import QtBot

from gui.jobs import JobKeeper
from gui.models.panel import ModelsPanel
from gui.models.table_model import Column
from gui.window.window import MainWindow

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(qtbot: QtBot, models: Path) -> Iterator[ModelsPanel]:
    """A base and three sub-models, the second selected."""
    jobs = JobKeeper()
    panel = ModelsPanel(jobs)
    qtbot.addWidget(panel)
    panel.resize(420, 330)
    panel.set_base(models / "base")
    panel.add_sub_models([models / f"run-{number}" for number in (1, 2, 3)])
    panel.show()
    qtbot.waitExposed(panel)
    qtbot.waitUntil(lambda: len(panel.summaries()) == 4)
    panel.table.select_rows([1])
    panel.table.setFocus()
    yield panel
    jobs.stop_all()


def ink(panel: ModelsPanel) -> bytes:
    """What the rows look like."""
    panel.table.clearSelection()
    image = panel.table.viewport().grab().toImage()
    return bytes(image.constBits())


def test_the_list_looks_the_same(panel: ModelsPanel) -> None:
    before = ink(panel)
    panel.set_locked(True)
    assert ink(panel) == before
    role = panel.base._name.foregroundRole()
    active = panel.palette().color(QPalette.ColorGroup.Active, role)
    assert panel.base._name.palette().color(role) == active
    assert panel.base._name.isEnabled()


def test_nothing_can_be_changed(qtbot: QtBot, panel: ModelsPanel, models: Path) -> None:
    base, before = panel.base_folder, panel.choices()
    panel.set_locked(True)
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Delete, Qt.Key.Key_F2, Qt.Key.Key_5):
        qtbot.keyClick(panel.table, key)
    qtbot.keyClick(panel.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    area = panel.table.visualRect(panel.sub_models_model.index(0, Column.NAME))
    for x in range(area.left(), area.left() + 24, 2):  # the check box is there
        qtbot.mouseClick(panel.table.viewport(), LEFT, pos=QPoint(x, area.center().y()))
    qtbot.mouseDClick(
        panel.table.viewport(),
        LEFT,
        pos=panel.table.visualRect(panel.sub_models_model.index(0, Column.WEIGHT)).center(),
    )
    for button in panel.findChildren(QAbstractButton):
        assert not button.isEnabled() or not button.isVisible(), button.accessibleName()
    assert not panel.k_box.isEnabled()
    assert not [
        action.text() for action in panel.table.actions() if changes(action.text()) and action.isEnabled()
    ]
    assert (panel.base_folder, panel.choices()) == (base, before)
    panel.set_locked(False)
    panel.table.select_rows([1])
    qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    assert len(panel.choices()) == 2
    assert panel.k_box.isEnabled()


def changes(words: str) -> bool:
    return words not in ("", "Open folder")


def test_drops_are_left_to_the_window(panel: ModelsPanel, models: Path) -> None:
    panel.set_locked(True)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(models / "run-1"))])
    for widget in (panel.table, panel.base):  # the window takes it, and hands it on
        event = QDragEnterEvent(
            QPoint(5, 5), Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier
        )
        event.ignore()
        widget.dragEnterEvent(event)
        assert not event.isAccepted()


def test_a_drop_on_the_window_is_answered_while_it_merges(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    tmp_path: Path,
    held_merge: SimpleNamespace,
    drop: Callable[..., None],
) -> None:
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    qtbot.waitUntil(lambda: window.merge_button.isEnabled())
    window.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    drop(window, models / "base")
    assert "when the merge is done" in window.statusBar().currentMessage()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not window.merging)
    assert window.models.k_box.isEnabled()


def test_a_question_that_is_answered_too_late_changes_nothing(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(models / "base", tmp_path / "pretrained")
    before = panel.choices()
    panel.add_from([other])
    qtbot.waitUntil(lambda: panel.findChild(QMessageBox) is not None)
    panel.set_locked(True)
    with qtbot.waitSignal(panel.note_given):
        panel.findChild(QMessageBox).defaultButton().click()
    assert (panel.base_folder, panel.choices()) == (models / "base", before)
