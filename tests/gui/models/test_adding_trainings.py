"""Adding the folder of a training: one epoch of each order, and how to have others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QAbstractButton, QMessageBox
from pytestqt.qtbot import QtBot

import gui.models.panel
from core.train.settings import TrainSettings
from gui.jobs import JobKeeper
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


def runs_of(models: Path, folder: Path, epochs: dict[int, tuple[int, ...]], best: int | None = None) -> Path:
    """A folder as a training writes it: its orders, and the epochs that are there of each."""
    document = {
        "format": 1,
        "base": {"path": str(models / "base"), "new_head": False},
        "data": {"path": "/d.jsonl", "digest": "0" * 32, "rows": 8},
        "validation": None,
        "settings": TrainSettings(orders=len(epochs), epochs=3).as_dict(),
        "orders": [{"digests": ["0"] * 3} for _ in epochs],
        "samples": 8,
        "unit": "row",
        "task": "causal",
        "best_epoch": best,
    }
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(json.dumps(document))
    for number, there in epochs.items():
        for epoch in there:
            shutil.copytree(models / f"run-{number}", folder / f"order-{number}" / f"epoch-{epoch}")
        shutil.copytree(models / f"run-{number}", folder / f"order-{number}" / "float32")
    return folder


def accept(qtbot: QtBot, panel: ModelsPanel) -> QMessageBox:
    qtbot.waitUntil(lambda: panel.findChild(QMessageBox) is not None)
    question = panel.findChild(QMessageBox)
    assert question is not None
    next(one for one in question.findChildren(QAbstractButton) if one.text().startswith("Add ")).click()
    return question


def added(panel: ModelsPanel, runs: Path) -> list[str]:
    return [choice.folder.relative_to(runs).as_posix() for choice in panel.choices()]


def test_a_training_stands_for_the_last_epoch_of_each_order(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, drop: Drop
) -> None:
    runs = runs_of(models, tmp_path / "runs", {1: (1, 2, 3), 2: (1, 2, 3), 3: (1, 2, 3)})
    drop(panel.table, runs)
    question = accept(qtbot, panel)
    assert question.text() == "Add the 3 models in runs?"
    said = question.informativeText()
    assert "order-1/epoch-3, order-2/epoch-3, order-3/epoch-3" in said
    assert "after epoch 3, the last one of each order" in said
    assert "For other epochs add their folders, such as order-1/epoch-1." in said
    assert added(panel, runs) == [f"order-{number}/epoch-3" for number in (1, 2, 3)]
    drop(panel.table, runs / "order-1" / "epoch-1")  # as it was told
    qtbot.waitUntil(lambda: added(panel, runs)[-1] == "order-1/epoch-1")


def test_orders_that_are_behind_are_left_out_and_the_best_epoch_goes_first(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, drop: Drop
) -> None:
    runs = runs_of(models, tmp_path / "runs", {1: (1, 2), 2: (1, 2), 3: (1,)}, best=2)
    drop(panel.table, runs)
    said = accept(qtbot, panel).informativeText()
    assert "after epoch 2, the best one of each order" in said
    assert "1 order has not got so far yet." in said
    assert added(panel, runs) == ["order-1/epoch-2", "order-2/epoch-2"]


def test_a_training_in_a_folder_of_others_and_one_that_is_asked_for(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(models, tmp_path / "all" / "runs", {1: (1, 2), 2: (1, 2)})
    monkeypatch.setattr(gui.models.panel, "choose_folders", lambda *arguments: [tmp_path / "all"])
    panel.actions_.add.trigger()
    assert accept(qtbot, panel).text() == "Add the 2 models in all?"
    assert added(panel, runs) == ["order-1/epoch-2", "order-2/epoch-2"]


def test_a_training_can_be_chosen_as_a_training_run(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(models, tmp_path / "runs", {1: (1,), 2: (1,)})
    monkeypatch.setattr(gui.models.panel, "choose_folder", lambda *arguments: runs)
    panel.actions_.add_run.trigger()
    said = accept(qtbot, panel).informativeText()
    assert "epoch 1" not in said  # there are no others
    assert added(panel, runs) == ["order-1/epoch-1", "order-2/epoch-1"]


def test_one_whose_record_is_damaged_is_a_folder_of_models(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, drop: Drop
) -> None:
    runs = runs_of(models, tmp_path / "runs", {1: (1, 2), 2: (1, 2)})
    (runs / "training.json").write_text("{")
    drop(panel.table, runs)
    assert accept(qtbot, panel).text() == "Add the 6 models in runs?"
    assert len(panel.choices()) == 6
