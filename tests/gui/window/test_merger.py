"""Merging through the window, with the real engine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file, save_file

import gui.history.comparison_job
import gui.run.merge_job
from core import CancelToken, load_recipe, plan_merge, read_record, run_merge
from core.errors import OutputError
from core.runs.history import History
from gui.history.table_model import Column
from gui.run.merge_job import MergeJob
from gui.widgets.messages import DetailsDialog
from gui.window.window import MainWindow


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """A window with a recipe that was checked; the output is tmp_path/out."""
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    wait_for_check(qtbot, window)
    return window


def wait_for_check(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.preflight.checked)


def merge(qtbot: QtBot, window: MainWindow) -> None:
    runs = len(window.log.text.splitlines())
    window.merge_button.click()
    qtbot.waitUntil(lambda: len(window.log.text.splitlines()) > runs)
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
    assert ready.setup().out == str(tmp_path / "out-2")
    assert ready.pictures.sentence == ""
    findings = ready.observer.findings
    assert findings is not None
    assert ready.pictures.zero_deltas.plot.values.shape == (5, 4)
    zero = np.sum([tensor.zero_delta for tensor in record.tensors])
    elements = sum(tensor.elements for tensor in record.tensors)
    everything = findings.part()
    assert everything.counts is not None
    assert float(everything.counts.mean_zero_delta.value) == pytest.approx(zero / elements / 3)
    ready.pictures.tabs.setCurrentWidget(ready.pictures.resampling)
    assert len(ready.pictures.resampling.plot.counted.getData()[0]) == 5
    assert "Counted by the merge with n = 4, seed 7" in ready.pictures.source.text


def test_what_a_merge_warned_of_is_told_when_it_is_done_and_in_the_history(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    """A sub-model that differs from the base by the sign of a zero only, which no header shows."""
    mine = shutil.copytree(models, tmp_path / "models")
    tensors = load_file(mine / "base" / "model.safetensors")
    norm = tensors["model.norm.weight"]
    for name, zero in (("base", 0.0), ("run-2", -0.0)):
        norm[0] = zero
        save_file(tensors, mine / name / "model.safetensors", metadata={"format": "pt"})
    assert window.load_recipe(mine / "recipe.yaml", tmp_path / "out")
    wait_for_check(qtbot, window)
    assert "run-2 is the base" not in " ".join(window.preflight.problems.texts)
    merge(qtbot, window)
    (found,) = (one for one in read_record(tmp_path / "out").warnings if one.startswith("run-2 is the base"))
    said = window.run.message.text.splitlines()
    assert [line for line in said if "run-2 is the base" in line] == [f"{found}."]
    assert found in window.log.text
    qtbot.waitUntil(lambda: window.history.model.row(0).entry.status == "done")
    entry = window.history.model.row(0).entry
    assert entry.warnings == read_record(tmp_path / "out").warnings
    result = window.history.model.index(0, Column.RESULT)
    assert result.data() == "Done, warned"
    assert "run-2 is the base" in result.data(Qt.ItemDataRole.ToolTipRole)


def test_merging_again_needs_no_new_name(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    merge(qtbot, ready)
    merge(qtbot, ready)  # at once, while the new output folder is checked
    first, second = read_record(tmp_path / "out"), read_record(tmp_path / "out-2")
    assert [tensor.digest for tensor in first.tensors] == [tensor.digest for tensor in second.tensors]


def test_an_average_leaves_the_pictures_of_its_models(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path
) -> None:
    choose_method(ready, "linear")
    qtbot.waitUntil(lambda: ready.pictures.source.text == "Measured on every parameter")
    merge(qtbot, ready)
    assert (tmp_path / "out" / "paramosaic.json").exists()
    assert ready.pictures.sentence == ""
    assert np.isfinite(ready.pictures.zero_deltas.plot.values).any()
    ready.pictures.tabs.setCurrentWidget(ready.pictures.provenance)
    assert "is computed from all models" in ready.pictures.provenance.sentence


def test_cancelling_half_way_leaves_nothing(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    assert (tmp_path / "out.partial").exists()
    assert not ready.models.k_box.isEnabled()
    ready.merger.cancel(keep=False)
    assert not ready.preflight.cancel_button.isEnabled()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert list(tmp_path.iterdir()) == []
    assert "Cancelled" in ready.run.message.text
    assert ready.merge_button.isEnabled()


def test_pictures_fill_in_while_a_merge_runs(
    qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace
) -> None:
    bars = ready.pictures.provenance
    ready.pictures.tabs.setCurrentWidget(bars)
    qtbot.waitUntil(lambda: "Press Merge" in bars.sentence)
    ready.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    qtbot.waitUntil(lambda: bars.sentence == "")
    assert ready.pictures.source.text.startswith("Being counted by the merge")
    assert 0 < np.isfinite(bars._left.getData()[1]).sum() < 5
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert np.isfinite(bars._left.getData()[1]).sum() == 5


def test_nothing_is_compared_while_a_merge_runs(
    qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_merge.released.set()
    merge(qtbot, ready)
    ready.recipe.set_seed(8)
    merge(qtbot, ready)
    picture = ready.pictures.comparison
    qtbot.waitUntil(lambda: picture.compare_button.isEnabled() and picture.left_field.count() == 2)
    comparing = threading.Event()

    def compare(left: Path, right: Path, *, cancel: CancelToken, **options: object) -> None:
        comparing.set()
        while True:
            cancel.raise_if_cancelled()

    monkeypatch.setattr(gui.history.comparison_job, "compare_runs", compare)
    picture.compare_button.click()
    qtbot.waitUntil(comparing.is_set)
    held_merge.released.clear()
    wait_for_check(qtbot, ready)
    ready.merge_button.click()
    qtbot.waitUntil(lambda: ready.merging and picture.compare_button.text() == "Compare")
    assert not picture.compare_button.isEnabled()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert picture.compare_button.isEnabled()


def test_closing_while_merging_asks_cancels_and_waits(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(held_merge.reached.is_set)
    job = ready.merger.job
    assert job is not None
    ready.close()
    assert ready.isVisible()
    question = ready.findChild(QMessageBox)
    assert question is not None
    stop = next(button for button in question.findChildren(QPushButton) if "Remove" in button.text())
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
    qtbot: QtBot, ready: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OutputError("the disk is gone", hint="plug it in")

    monkeypatch.setattr(gui.run.merge_job, "run_merge", fail)
    merge(qtbot, ready)
    assert ready.run.message.text == "The disk is gone. Plug it in."
    assert "The disk is gone" in ready.log.text
    assert ready.findChild(DetailsDialog) is None


def test_a_fault_of_the_program_comes_with_details(
    qtbot: QtBot, ready: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(gui.run.merge_job, "run_merge", fail)
    merge(qtbot, ready)
    dialog = ready.findChild(DetailsDialog)
    assert dialog is not None
    assert "ZeroDivisionError: a fault" in dialog.details
    dialog.close()


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
def test_a_job_ends_once_and_in_one_way(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path, outcome: str
) -> None:
    setup = ready.setup()
    if outcome == "failed":
        setup = replace(setup, out=str(models / "run-1" / "out"))
    history = History(tmp_path / "history")
    job = MergeJob(setup, history)
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
    assert [entry.status for entry in history.entries()] == [outcome.replace("succeeded", "done")]


def choose_method(window: MainWindow, name: str) -> None:
    box = window.recipe.method_box
    box.setCurrentIndex(box.findData(name))


# -- before


def test_merge_says_what_is_missing(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> None:
    def reason() -> str | None:
        wait_for_check(qtbot, window)
        assert window.merge_button.isEnabled() == (window.preflight.reason is None)
        return window.preflight.reason

    assert "base" in (reason() or "")
    window.models.set_base(models / "base")
    assert "sub-model" in (reason() or "")
    window.models.add_sub_models([models / "run-1"])
    assert reason() is None
    (tmp_path / "there").mkdir()
    window.recipe.output_field.setText(str(tmp_path / "there"))
    assert "exists" in (reason() or "")
    window.recipe.output_field.setText(str(models / "run-1" / "out"))
    assert "inside the input" in (reason() or "")
    window.recipe.output_field.setText("")  # and not in the middle of typing: one is suggested
    assert reason() is None
    assert window.setup().out


def test_an_average_needs_no_base(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.models.add_sub_models([models / "run-1"])
    wait_for_check(qtbot, window)
    assert not window.merge_button.isEnabled()
    choose_method(window, "linear")
    wait_for_check(qtbot, window)
    assert window.merge_button.isEnabled()


def test_a_model_that_does_not_fit_is_shown(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / "run-1", tmp_path / "other")
    tensors = load_file(models / "run-1" / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"][:3].clone()
    save_file(tensors, tmp_path / "other" / "model.safetensors", metadata={"format": "pt"})
    ready.models.add_sub_models([tmp_path / "other"])
    wait_for_check(qtbot, ready)
    assert not ready.merge_button.isEnabled()
    links = [link for link in ready.preflight.problems.findChildren(QAbstractButton) if link.isVisible()]
    links[0].click()
    assert ready.models.table.selectionModel().selectedRows()[0].row() == 3
    assert "model.norm.weight" in ready.models.message.text


# -- after


def test_a_wish_to_merge_again_is_granted_with_another_seed(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path
) -> None:
    merge(qtbot, ready)
    again = next(button for button in ready.run.findChildren(QPushButton) if "again" in button.text())
    again.click()
    qtbot.waitUntil(lambda: (tmp_path / "out-2").exists() and not ready.merging, timeout=30_000)
    first, second = read_record(tmp_path / "out"), read_record(tmp_path / "out-2")
    assert first.recipe["seed"] == 7 != second.recipe["seed"]
    changed = [one.digest != other.digest for one, other in zip(first.tensors, second.tensors, strict=True)]
    assert any(changed)


def test_the_history_opens_a_recipe_again(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    merge(qtbot, ready)
    setup = ready.setup()
    ready.recipe.set_seed(99)
    choose_method(ready, "linear")
    merge(qtbot, ready)
    qtbot.waitUntil(lambda: ready.history.table.model().rowCount() == 2)
    ready.history.table.selectRow(1)
    entry = ready.history.selected()
    assert entry is not None
    assert entry.seed == 7
    ready.history.reopen_requested.emit(entry)
    assert ready.setup().described == replace(setup, out=ready.setup().out).described
    assert ready.setup().out == str(tmp_path / "out-3")
    merge(qtbot, ready)
    first, third = read_record(tmp_path / "out"), read_record(tmp_path / "out-3")
    assert [tensor.digest for tensor in first.tensors] == [tensor.digest for tensor in third.tensors]


def test_the_title_shows_how_far_it_is(qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace) -> None:
    ready.merge_button.click()
    qtbot.waitUntil(lambda: "%" in ready.windowTitle())
    held_merge.released.set()
    qtbot.waitUntil(lambda: not ready.merging)
    assert ready.windowTitle() == "recipe.yaml[*] – Paramosaic"
