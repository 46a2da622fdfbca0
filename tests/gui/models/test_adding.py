"""Adding models: dropped from a file manager or chosen, and the folders of training runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

import gui.models.panel
from gui.jobs import JobKeeper
from gui.models.finding import checkpoints_in
from gui.models.panel import ModelsPanel

Drop = Callable[..., None]


@pytest.fixture
def panel(qtbot: QtBot) -> Iterator[ModelsPanel]:
    jobs = JobKeeper()
    panel = ModelsPanel(jobs)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    jobs.stop_all()


@pytest.fixture
def run_folder(models: Path, tmp_path: Path) -> Path:
    """A training run with checkpoints 9, 10 and 100, and other things beside them."""
    run = tmp_path / "run-a"
    for number in (100, 9, 10):
        shutil.copytree(models / "run-1", run / f"checkpoint-{number}")
    (run / "logs").mkdir()
    (run / "checkpoint-notes").write_text("")
    return run


def names(panel: ModelsPanel) -> list[str]:
    return [choice.folder.name for choice in panel.choices()]


def takes(widget: QWidget, *paths: Path) -> bool:
    """Whether `widget` would take these files."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    event.ignore()
    widget.dragEnterEvent(event)
    return event.isAccepted()


def test_dropped_folders_and_files_become_rows(
    qtbot: QtBot, panel: ModelsPanel, models: Path, drop: Drop
) -> None:
    drop(panel.table, models / "run-1", models / "run-2" / "model.safetensors")
    qtbot.waitUntil(lambda: len(panel.summaries()) == 2)
    assert names(panel) == ["run-1", "run-2"]
    assert panel.k == 2


def test_a_folder_dropped_on_the_base_is_the_base(
    qtbot: QtBot, panel: ModelsPanel, models: Path, drop: Drop
) -> None:
    drop(panel.base, models / "base")
    qtbot.waitUntil(lambda: models / "base" in panel.summaries())
    assert panel.base_folder == models / "base"
    assert panel.choices() == ()


def test_recipes_and_other_files_are_left_to_the_window(
    panel: ModelsPanel, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("")
    for widget in (panel.table, panel.base):
        assert takes(widget, models / "run-1")
        assert not takes(widget, tmp_path / "notes.txt")
        assert not takes(widget, models / "recipe.yaml")
    assert not takes(panel.table, models / "recipe.yaml", models / "run-1")


def test_fields_leave_drops_to_the_list(panel: ModelsPanel) -> None:
    takers = {widget for widget in panel.findChildren(QWidget) if widget.acceptDrops()}
    assert takers == {panel.table, panel.table.viewport(), panel.base}


def test_a_dropped_run_stands_for_its_checkpoints(
    qtbot: QtBot, panel: ModelsPanel, models: Path, run_folder: Path, drop: Drop
) -> None:
    notes: list[str] = []
    panel.note_given.connect(notes.append)
    drop(panel.table, models / "run-2", run_folder)
    qtbot.waitUntil(lambda: len(panel.summaries()) == 4)
    assert names(panel) == ["run-2", "checkpoint-9", "checkpoint-10", "checkpoint-100"]
    assert all(summary.problem is None for summary in panel.summaries().values())
    assert "run-a" in notes[0]


def test_a_run_that_is_a_model_too_is_that_model(
    qtbot: QtBot, panel: ModelsPanel, models: Path, run_folder: Path, drop: Drop
) -> None:
    shutil.copytree(models / "run-2", run_folder, dirs_exist_ok=True)
    drop(panel.table, run_folder)
    qtbot.waitUntil(lambda: len(panel.choices()) > 0)
    assert names(panel) == ["run-a"]


def test_a_run_is_asked_for(
    qtbot: QtBot, panel: ModelsPanel, models: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models / "run-2", run_folder, dirs_exist_ok=True)  # a final model beside the checkpoints
    monkeypatch.setattr(gui.models.panel, "choose_folder", lambda *arguments: run_folder)
    panel.actions_.add_run.trigger()
    qtbot.waitUntil(lambda: len(panel.choices()) == 3)
    assert names(panel) == ["checkpoint-9", "checkpoint-10", "checkpoint-100"]
    assert panel.last_folder == run_folder


def test_a_run_without_checkpoints_is_told(
    qtbot: QtBot, panel: ModelsPanel, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.models.panel, "choose_folder", lambda *arguments: models / "run-1")
    panel.ask_for_run_folder()
    qtbot.waitUntil(lambda: "no checkpoint" in panel.message.text)
    assert panel.choices() == ()


def test_chosen_folders_are_added(
    qtbot: QtBot, panel: ModelsPanel, models: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.models.panel, "choose_folders", lambda *arguments: [models / "run-1", run_folder])
    panel.actions_.add.trigger()
    qtbot.waitUntil(lambda: len(panel.summaries()) == 4)
    assert names(panel)[0] == "run-1"


def test_checkpoints_come_in_the_order_of_their_numbers(run_folder: Path) -> None:
    (run_folder / "checkpoint-best").mkdir()
    found = [folder.name for folder in checkpoints_in(run_folder)]
    assert found == ["checkpoint-9", "checkpoint-10", "checkpoint-100", "checkpoint-best"]
