"""Merging through the window, with the real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

import gui.jobs
from core import load_recipe, plan_merge, read_record, run_merge
from gui.jobs import MergeJob
from gui.messages import DetailsDialog
from gui.theme import is_dark, palette
from gui.window import MainWindow


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """A window with a recipe whose models have been read; the output is tmp_path/out."""
    assert window.open_recipe(models / "recipe.yaml", tmp_path / "out")
    qtbot.waitUntil(window.merge_button.isEnabled)
    return window


def merge(qtbot: QtBot, window: MainWindow) -> None:
    window.merge_button.click()
    qtbot.waitUntil(lambda: not window.merging, timeout=30_000)


def test_a_merge_writes_a_model_and_fills_the_pictures(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path
) -> None:
    merge(qtbot, ready)
    record = read_record(tmp_path / "out")
    same = run_merge(plan_merge(load_recipe(models / "recipe.yaml")), tmp_path / "same")
    assert [tensor.digest for tensor in record.tensors] == [tensor.digest for tensor in same.tensors]
    assert "Merged in" in ready.run.message.text
    assert str(tmp_path / "out") in ready.run.message.text
    assert ready.recipe.output == str(tmp_path / "out-2")
    assert ready.pictures.sentence == ""
    cells = ready.pictures.zero_delta_map
    assert cells._image.image.shape == (2, 3)  # modules from top to bottom, layers from left to right
    assert 60 < np.nanmean(cells._image.image) < 90
    assert "Layer 1 · self_attn.q_proj: " in cells.text_of_cell(1, 0)
    assert "embed_tokens" in cells.note.text()
    assert len(ready.pictures.resampling._observed.getData()[0]) == 5


def test_merging_again_needs_no_new_name(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    merge(qtbot, ready)
    merge(qtbot, ready)
    first, second = read_record(tmp_path / "out"), read_record(tmp_path / "out-2")
    assert [tensor.digest for tensor in first.tensors] == [tensor.digest for tensor in second.tensors]


def test_an_average_has_no_pictures_and_says_why(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    ready.recipe.method_box.setCurrentIndex(ready.recipe.method_box.findData("linear"))
    merge(qtbot, ready)
    assert (tmp_path / "out" / "paramosaic.json").exists()
    assert "no deltas" in ready.pictures.sentence


def test_pictures_follow_the_palette(qtbot: QtBot, ready: MainWindow) -> None:
    merge(qtbot, ready)
    picture = ready.pictures.zero_delta_map
    for dark in (True, False):
        ready.setPalette(palette(dark=dark))
        assert is_dark(picture.palette()) == dark
        ground = picture.plot.backgroundBrush().color()
        ink = picture.plot.getPlotItem().getAxis("left").textPen().color()
        assert (ground.lightness() < ink.lightness()) == dark


def test_cancelling_half_way_leaves_nothing(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    assert (tmp_path / "out.partial").exists()
    assert not ready.models.isEnabled()
    ready.cancel_button.click()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert list(tmp_path.iterdir()) == []
    assert "Cancelled" in ready.run.message.text
    assert ready.merge_button.isEnabled()


def test_pictures_fill_in_while_a_merge_runs(
    qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace
) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(lambda: "embed_tokens" in ready.pictures.zero_delta_map.note.text())
    shown = ready.pictures.zero_delta_map._image.image
    assert shown.shape == (2, 3)
    assert np.isnan(shown).all()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert not np.isnan(ready.pictures.zero_delta_map._image.image).any()


def test_closing_while_merging_asks_cancels_and_waits(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    job = ready._merge
    assert job is not None
    ready.close()
    assert ready.isVisible()
    question = ready.findChild(QMessageBox)
    assert question is not None
    stop = next(button for button in question.findChildren(QPushButton) if "close" in button.text())
    stop.click()
    assert ready.isVisible()  # the thread is at work yet
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.isVisible())
    assert job.isFinished()
    assert list(tmp_path.iterdir()) == []


def test_closing_can_be_thought_better_of(
    qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace
) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    ready.close()
    question = ready.findChild(QMessageBox)
    assert question is not None
    question.reject()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert ready.isVisible()
    assert "Merged in" in ready.run.message.text


def test_an_error_of_the_engine_is_told_inline(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path
) -> None:
    ready.recipe.output_field.setText(str(models / "run-1" / "out"))
    merge(qtbot, ready)
    assert "inside the input" in ready.run.message.text
    assert ready.findChild(DetailsDialog) is None
    assert ready.merge_button.isEnabled()


def test_a_fault_of_the_program_comes_with_details(
    qtbot: QtBot, ready: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(gui.jobs, "run_merge", fail)
    merge(qtbot, ready)
    dialog = ready.findChild(DetailsDialog)
    assert dialog is not None
    assert "ZeroDivisionError: a fault" in dialog.details
    dialog.close()


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
def test_a_job_ends_once_and_in_one_way(qtbot: QtBot, ready: MainWindow, models: Path, outcome: str) -> None:
    if outcome == "failed":
        ready.recipe.output_field.setText(str(models / "run-1" / "out"))
    job = MergeJob(ready.setup())
    told: list[str] = []
    note: Callable[[str], Callable[..., None]] = lambda name: lambda *_: told.append(name)  # noqa: E731
    for name in ("succeeded", "failed", "cancelled", "ended"):
        getattr(job, name).connect(note(name))
    if outcome == "cancelled":
        job.cancel()
    job.start()
    qtbot.waitUntil(lambda: "ended" in told)
    job.wait()
    assert told == [outcome, "ended"]
