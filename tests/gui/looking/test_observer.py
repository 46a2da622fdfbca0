"""Models are looked at by themselves, as soon as they are there, and never in the way of a merge."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file, save_file

import gui.looking.look_jobs
from core import CancelToken, MergePlan, RunRecord, load_recipe, plan_merge, read_record, run_merge
from core.deltas.findings import Findings, findings_of_record
from core.deltas.preview import preview_plan
from core.errors import CheckpointError
from core.plan.estimate import Throughput
from core.runs.history import HistoryEntry
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.document.opening import setup_of_recipe
from gui.jobs import JobKeeper
from gui.looking.look_jobs import MeasureJob, PreviewJob, RecallJob
from gui.looking.observer import Observer
from gui.looking.subject import Merge
from gui.pictures.shown import Shown
from gui.preflight.preflight import look_ahead
from gui.preflight.report import PlanReport
from gui.window.window import MainWindow


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[MergePlan]:
    """The plans of all previews that were begun."""
    begun: list[MergePlan] = []

    def look(plan: MergePlan, **options: object) -> Iterator[Findings]:
        begun.append(plan)
        return preview_plan(plan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gui.looking.look_jobs, "preview_plan", look)
    return begun


@pytest.fixture
def held_look(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Previews stop after their first round, which sets `reached`, until they are released or cancelled."""
    held = SimpleNamespace(reached=threading.Event(), released=threading.Event(), tokens=[])

    def look(plan: MergePlan, *, cancel: CancelToken) -> Iterator[Findings]:
        held.tokens.append(cancel)
        for number, findings in enumerate(preview_plan(plan, cancel=cancel, rounds=4)):
            yield findings
            if number == 0:
                held.reached.set()
                while not held.released.wait(0.01):
                    cancel.raise_if_cancelled()

    monkeypatch.setattr(gui.looking.look_jobs, "preview_plan", look)
    yield held
    held.released.set()


def open_recipe(qtbot: QtBot, window: MainWindow, models: Path, out: Path) -> None:
    assert window.load_recipe(models / "recipe.yaml", out)
    qtbot.waitUntil(lambda: window.preflight.checked)


def wait_until_looked(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.pictures.source.text == "Measured on every parameter", timeout=30_000)


def test_pictures_are_there_as_soon_as_there_are_a_base_and_a_model(
    qtbot: QtBot, window: MainWindow, models: Path, looks: list[MergePlan]
) -> None:
    assert "Choose a base model" in window.pictures.sentence
    window.models.set_base(models / "base")
    qtbot.waitUntil(lambda: "Add the models" in window.pictures.sentence)
    window.models.add_sub_models([models / "run-1"])
    wait_until_looked(qtbot, window)
    assert window.pictures.sentence == ""
    assert len(looks) == 1
    window.models.add_sub_models([models / "run-2"])
    qtbot.waitUntil(lambda: window.pictures.zero_deltas.show_field.count() == 4)
    wait_until_looked(qtbot, window)
    assert [len(plan.models) for plan in looks] == [1, 2]


def test_without_a_base_it_is_said_what_is_missing(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.models.add_sub_models([models / "run-1"])
    qtbot.waitUntil(lambda: "Choose the base" in window.pictures.sentence)


def test_what_changes_no_delta_begins_no_new_look(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, looks: list[MergePlan]
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    wait_until_looked(qtbot, window)
    window.recipe.set_seed(99)
    window.recipe.set_resamples(9)
    qtbot.waitUntil(lambda: window.preflight.checked)
    window.recipe.seed.edit.setText("")  # a moment without a seed
    qtbot.wait(300)
    assert window.pictures.sentence == ""
    window.recipe.set_seed(5)
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert len(looks) == 1


def weigh(window: MainWindow, models: Path, *weights: float) -> None:
    """Give the sub-models other weights."""
    choices = [ModelChoice(models / f"run-{number}", w) for number, w in enumerate(weights, start=1)]
    window.models.apply(models / "base", choices, len(choices))
    window._on_changed()


@pytest.fixture
def sampled(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MainWindow:
    """A window that has looked at a part of every model."""
    monkeypatch.setattr("core.deltas.preview.PREVIEW_BLOCK", 64)
    monkeypatch.setattr(
        gui.looking.look_jobs,
        "preview_plan",
        lambda plan, cancel: preview_plan(plan, cancel=cancel, rounds=2),
    )
    open_recipe(qtbot, window, models, tmp_path / "out")
    qtbot.waitUntil(lambda: window.observer.findings is not None and not window.observer.looking)
    assert window.observer.findings is not None
    assert window.observer.findings.sample < 1
    return window


def test_precision_is_looked_at_anew(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, looks: list[MergePlan]
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    wait_until_looked(qtbot, window)
    window._apply(replace(window.setup(), dtype="float32"))
    qtbot.waitUntil(lambda: len(looks) == 2)
    wait_until_looked(qtbot, window)


def test_weights_are_looked_at_anew(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, looks: list[MergePlan]
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    wait_until_looked(qtbot, window)
    weigh(window, models, 1, 2, 3)
    qtbot.waitUntil(lambda: len(looks) == 2)
    wait_until_looked(qtbot, window)
    findings = window.observer.findings
    assert findings is not None
    zero = findings.part().counts.zero_delta.value  # type: ignore[union-attr]
    predicted = findings.part().predicted
    assert predicted is not None
    assert predicted.value[0] == pytest.approx((zero[0] + 2 * zero[1] + 3 * zero[2]) / 6)


def test_equal_weights_are_not_looked_at_anew(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, looks: list[MergePlan]
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    wait_until_looked(qtbot, window)
    before = window.observer.findings
    weigh(window, models, 2, 2, 2)
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.observer.findings is before
    weigh(window, models, 1, 2, 3)
    qtbot.waitUntil(lambda: len(looks) == 2)
    wait_until_looked(qtbot, window)
    weigh(window, models, 4, 4, 4)
    qtbot.waitUntil(lambda: bool(window.observer.findings and window.observer.findings.equal_weights))
    qtbot.waitUntil(lambda: not window.observer.looking)
    assert len(looks) == 2
    again, whole = window.observer.findings, before.part() if before is not None else None
    assert again is not None
    assert whole is not None
    assert whole.predicted is not None
    assert again.part().predicted is not None
    np.testing.assert_array_equal(again.part().predicted.value, whole.predicted.value)  # type: ignore[union-attr]
    assert window.pictures.source.text == "Measured on every parameter"


def test_what_was_measured_stays_when_weights_change(qtbot: QtBot, sampled: MainWindow, models: Path) -> None:
    sampled.pictures.source.button.click()
    wait_until_looked(qtbot, sampled)
    exact = sampled.observer.findings
    assert exact is not None
    weigh(sampled, models, 1, 2, 3)
    qtbot.waitUntil(lambda: "expected curve estimated from" in sampled.pictures.source.text)
    qtbot.waitUntil(lambda: not sampled.observer.looking)
    found = sampled.observer.findings
    assert found is not None
    assert (found.sample, found.equal_weights) == (1, False)
    np.testing.assert_array_equal(found.zero_delta.value, exact.zero_delta.value)
    assert (found.zero_delta.error == 0)[np.isfinite(found.zero_delta.value)].all()
    predicted = found.part().predicted
    assert predicted is not None
    assert not (predicted.error == 0).any()  # a sample stands behind it
    assert sampled.pictures.source.text.startswith("Measured on every parameter; the expected curve ")
    assert sampled.pictures.source.button.text() == "Measure exactly"
    sampled.pictures.source.button.click()
    wait_until_looked(qtbot, sampled)
    found = sampled.observer.findings
    assert found is not None
    assert found.part().predicted is not None
    assert (found.part().predicted.error == 0).all()  # type: ignore[union-attr]
    weigh(sampled, models, 3, 2, 1)
    weigh(sampled, models, 5, 5, 5)
    qtbot.waitUntil(lambda: bool(sampled.observer.findings and sampled.observer.findings.equal_weights))
    wait_until_looked(qtbot, sampled)


def report_of(models: Path, out: Path, *weights: float) -> PlanReport:
    """What the check says of as many sub-models, with these weights."""
    before = MergeSetup("parameter_selection", None, (), 0)
    setup = setup_of_recipe(load_recipe(models / "recipe.yaml"), before)
    weighed = zip(setup.models, weights, strict=False)
    setup = replace(
        setup,
        models=tuple(replace(choice, weight=weight) for choice, weight in weighed),
        k=len(weights),
        out=str(out),
    )
    return look_ahead(setup, Throughput(), CancelToken())


@pytest.fixture
def observer(qtbot: QtBot) -> Iterator[Observer]:
    """One without a window."""
    jobs = JobKeeper()
    yield Observer(jobs)
    jobs.stop_all()


def test_a_merge_begins_with_what_is_known_for_its_weights(
    qtbot: QtBot, observer: Observer, models: Path, tmp_path: Path
) -> None:
    for weights in ((1, 1, 1), (1, 2, 3)):
        observer.look_at(report_of(models, tmp_path / "out", *weights))
        qtbot.waitUntil(lambda: not observer.looking)
    known = observer.findings
    assert known is not None
    assert known.predicting
    other = report_of(models, tmp_path / "out", 3, 2, 1)
    observer.look_at(other)
    begun = observer.begin_merge(other.setup)  # before anything is known of these weights
    assert begun is not None
    assert (begun.sample, begun.equal_weights, begun.predicting) == (1, False, {})
    assert begun.part().predicted is None
    observer.end_merge(done=False)
    doubled = report_of(models, tmp_path / "out", 2, 2, 2)
    observer.look_at(doubled)
    qtbot.waitUntil(lambda: not observer.looking)
    begun = observer.begin_merge(doubled.setup)
    assert begun is observer.findings
    assert begun is not None
    assert begun.equal_weights
    observer.end_merge(done=False)
    assert observer.begin_merge(report_of(models, tmp_path / "out", 1, 1).setup) is None
    observer.end_merge(done=False)


def test_a_look_that_is_begun_again_forgets_nothing(qtbot: QtBot, sampled: MainWindow, models: Path) -> None:
    sampled.observer.measure()
    wait_until_looked(qtbot, sampled)
    sampled.refresh_models()
    qtbot.waitUntil(lambda: sampled.preflight.checked)
    qtbot.waitUntil(lambda: not sampled.observer.looking)
    assert sampled.pictures.source.text == "Measured on every parameter"


def test_models_that_were_written_again_are_looked_at_again(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, looks: list[MergePlan]
) -> None:
    for name in ("base", "run-1"):
        (tmp_path / name).mkdir()
        save_file(load_file(models / name / "model.safetensors"), tmp_path / name / "model.safetensors")
    window.models.set_base(tmp_path / "base")
    window.models.add_sub_models([tmp_path / "run-1"])
    wait_until_looked(qtbot, window)
    save_file(load_file(models / "base" / "model.safetensors"), tmp_path / "run-1" / "model.safetensors")
    window.refresh_models()
    qtbot.waitUntil(lambda: len(looks) == 2)
    qtbot.waitUntil(lambda: bool((window.pictures.zero_deltas.plot.values[1, 1:3] == 100).all()))


def test_a_look_is_overtaken_by_the_next_one(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_look: SimpleNamespace
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    qtbot.waitUntil(held_look.reached.is_set)
    window.models.k_box.setValue(2)
    qtbot.waitUntil(lambda: len(held_look.tokens) == 2)
    assert held_look.tokens[0].cancelled
    qtbot.waitUntil(lambda: window.pictures.zero_deltas.show_field.count() == 4)
    assert not held_look.tokens[1].cancelled


def test_a_merge_ends_the_look_and_goes_on_with_what_it_found(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    tmp_path: Path,
    held_look: SimpleNamespace,
    held_merge: SimpleNamespace,
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    qtbot.waitUntil(held_look.reached.is_set)
    qtbot.waitUntil(lambda: window.observer.findings is not None)
    window.start_merge()
    qtbot.waitUntil(held_merge.reached.is_set)
    assert held_look.tokens[0].cancelled
    window.checker.check_now(window.setup())  # a report while it merges begins no look
    qtbot.wait(300)
    assert len(held_look.tokens) == 1
    assert np.isfinite(window.pictures.zero_deltas.plot.values).sum() == 8
    held_merge.released.set()
    held_look.released.set()
    qtbot.waitUntil(lambda: not window.merging)
    qtbot.waitUntil(lambda: len(held_look.tokens) == 2)  # it begins again afterwards


def test_what_a_merge_counted_stays_while_the_models_do(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    merge(qtbot, window)
    qtbot.waitUntil(lambda: window.pictures.source.text.endswith("measured on every parameter"))
    window.recipe.set_resamples(2)
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.observer.findings is not None
    assert window.observer.findings.merged
    assert "n = 4, seed 7" in window.pictures.source.text
    window.models.k_box.setValue(2)
    wait_until_looked(qtbot, window)
    assert not window.observer.findings.merged


def test_what_a_merge_counted_is_of_its_weights(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    merge(qtbot, window)
    qtbot.waitUntil(lambda: window.pictures.source.text.endswith("measured on every parameter"))
    weigh(window, models, 1, 2, 3)
    wait_until_looked(qtbot, window)
    assert window.observer.findings is not None
    assert not window.observer.findings.merged
    weigh(window, models, 2, 2, 2)
    qtbot.waitUntil(lambda: "Counted by the merge with n = 4, seed 7" in window.pictures.source.text)
    assert window.observer.findings.merged


def test_a_cancelled_merge_leaves_nothing_in_the_pictures(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    wait_until_looked(qtbot, window)
    window.start_merge()
    qtbot.waitUntil(held_merge.reached.is_set)
    window.merger.cancel(keep=False)
    held_merge.released.set()
    qtbot.waitUntil(lambda: not window.merging)
    assert window.observer.findings is not None
    assert not window.observer.findings.merged
    assert "merge" not in window.pictures.source.text


def test_a_cancelled_merge_leaves_what_was_counted_before(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    held_merge.released.set()
    open_recipe(qtbot, window, models, tmp_path / "out")
    wait_until_looked(qtbot, window)
    window.start_merge()
    qtbot.waitUntil(lambda: not window.merging and "Merged in" in window.run.message.text, timeout=30_000)
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    held_merge.released.clear()
    held_merge.reached.clear()
    window.start_merge()
    qtbot.waitUntil(held_merge.reached.is_set)
    window.merger.cancel(keep=False)
    held_merge.released.set()
    qtbot.waitUntil(lambda: not window.merging)
    assert window.pictures.source.text.startswith("Counted by the merge with n = 4, seed 7")
    assert window.observer.findings is not None
    assert window.observer.findings.merged


def test_everything_is_measured_on_request(qtbot: QtBot, sampled: MainWindow) -> None:
    button = sampled.pictures.source.button
    qtbot.waitUntil(button.isVisible)
    assert sampled.pictures.source.text.startswith("Estimated from ")
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    wait_until_looked(qtbot, sampled)
    assert sampled.observer.findings is not None
    assert sampled.observer.findings.sample == 1
    assert not button.isVisible()


def test_measuring_can_be_stopped(qtbot: QtBot, sampled: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def measure(plan: MergePlan, begun_with: object, *, cancel: CancelToken, **options: object) -> Findings:
        begun.set()
        while True:
            cancel.raise_if_cancelled()

    monkeypatch.setattr(gui.looking.look_jobs, "measure_plan", measure)
    button = sampled.pictures.source.button
    qtbot.waitUntil(button.isVisible)
    button.click()
    qtbot.waitUntil(begun.is_set)
    assert (button.text(), sampled.pictures.source.text) == ("Stop", "Measuring every parameter…")
    button.click()
    assert sampled.pictures.source.text.startswith("Estimated from ")
    assert button.text() == "Measure exactly"


def test_a_look_that_fails_is_told(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(plan: MergePlan, **options: object) -> Iterator[Findings]:
        raise CheckpointError("the disk is gone", hint="plug it in")

    monkeypatch.setattr(gui.looking.look_jobs, "preview_plan", fail)
    open_recipe(qtbot, window, models, tmp_path / "out")
    qtbot.waitUntil(lambda: "The disk is gone. Plug it in." in window.pictures.sentence)


def test_a_look_that_failed_is_begun_again_on_request(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(plan: MergePlan, **options: object) -> Iterator[Findings]:
        raise CheckpointError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(gui.looking.look_jobs, "preview_plan", fail)
        open_recipe(qtbot, window, models, tmp_path / "out")
        qtbot.waitUntil(lambda: "The disk is gone." in window.pictures.sentence)
    window.refresh_models()
    wait_until_looked(qtbot, window)
    assert window.pictures.sentence == ""


def test_an_average_is_looked_at_as_a_selection_would_be(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, looks: list[MergePlan]
) -> None:
    window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData("linear"))
    folders = [models / f"run-{number}" for number in (1, 2, 3)]
    window.models.apply(models / "base", [ModelChoice(folder, -2.0) for folder in folders], 3)
    window._on_changed()
    wait_until_looked(qtbot, window)
    assert [plan.recipe.method.name for plan in looks] == ["parameter_selection"]
    assert looks[0].draws_equally


@pytest.mark.parametrize(("method", "weights"), [("task_arithmetic", (1.0, -1.0, 0.0)), ("slerp", (1.0,))])
def test_methods_that_draw_nothing_are_looked_at_with_any_weights(
    qtbot: QtBot, window: MainWindow, models: Path, method: str, weights: tuple[float, ...]
) -> None:
    window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData(method))
    choices = [ModelChoice(models / f"run-{at}", weight) for at, weight in enumerate(weights, start=1)]
    window.models.apply(models / "base", choices, len(choices))
    window._on_changed()
    wait_until_looked(qtbot, window)
    findings = window.observer.findings
    assert findings is not None
    assert len(findings.models) == len(weights)
    zero = findings.part().counts
    assert zero is not None
    assert 0 < float(zero.mean_zero_delta.value) < 1
    assert findings.part().predicted is not None, "what a selection of the same models would leave"


def test_jobs_tell_nothing_once_they_are_cancelled(qtbot: QtBot, models: Path) -> None:
    recipe = load_recipe(models / "recipe.yaml")
    setup = setup_of_recipe(recipe, MergeSetup("parameter_selection", None, (), 0))
    for job in (PreviewJob(setup, plan_merge(recipe)), MeasureJob(setup, None, None)):
        told: list[object] = []
        for signal in (job.found, job.failed):
            signal.connect(told.append, Qt.ConnectionType.DirectConnection)
        job.cancel()
        job.run()
        assert told == []


def merge(qtbot: QtBot, window: MainWindow) -> HistoryEntry:
    """Merge what is in the fields; returns the run, as the history has it when it is done."""
    window.start_merge()
    qtbot.waitUntil(lambda: "Merged in" in window.run.message.text, timeout=30_000)
    rows = window.history.model
    qtbot.waitUntil(lambda: not window.merging and rows.rowCount() == 1)
    qtbot.waitUntil(lambda: rows.row(0).entry.status == "done", timeout=30_000)  # it stood there as running
    return rows.row(0).entry


def copy_of(models: Path, folder: Path) -> Path:
    """The models again, to be written to."""
    shutil.copytree(models, folder)
    return folder


def test_a_run_that_is_opened_again_brings_what_it_counted(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    family = copy_of(models, tmp_path / "family")
    open_recipe(qtbot, window, family, tmp_path / "out")
    entry = merge(qtbot, window)
    record = read_record(tmp_path / "out")
    window.new_recipe()
    qtbot.waitUntil(lambda: window.observer.findings is None)
    window.reopen(entry)
    qtbot.waitUntil(
        lambda: "Counted by the merge with n = 4, seed 7" in window.pictures.source.text, timeout=30_000
    )
    qtbot.waitUntil(lambda: window.pictures.source.text.endswith("measured on every parameter"))
    assert window.observer.findings is not None
    drawn = window.observer.findings.part().drawn
    assert drawn is not None
    assert drawn.selected.tolist() == np.sum([tensor.selected for tensor in record.tensors], axis=0).tolist()


def test_a_run_whose_models_were_written_since_brings_nothing(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    family = copy_of(models, tmp_path / "family")
    open_recipe(qtbot, window, family, tmp_path / "out")
    entry = merge(qtbot, window)
    os.utime(family / "run-2" / "model.safetensors")
    assert_nothing_is_brought(qtbot, window, entry)


def test_a_run_whose_output_was_replaced_brings_nothing(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    entry = merge(qtbot, window)
    other = replace(load_recipe(models / "recipe.yaml"), seed=8)
    run_merge(plan_merge(other), tmp_path / "out", overwrite=True)
    assert_nothing_is_brought(qtbot, window, entry)


def assert_nothing_is_brought(qtbot: QtBot, window: MainWindow, entry: HistoryEntry) -> None:
    window.new_recipe()
    qtbot.waitUntil(lambda: window.observer.findings is None)
    window.reopen(entry)
    wait_until_looked(qtbot, window)
    qtbot.wait(200)
    assert window.observer.findings is not None
    assert not window.observer.findings.merged


def test_what_a_run_counted_is_not_shown_once_something_else_is_worked_on(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_recipe(qtbot, window, models, tmp_path / "out")
    entry = merge(qtbot, window)
    reading, released = threading.Event(), threading.Event()

    def read(folder: Path) -> RunRecord:
        reading.set()
        assert released.wait(30)
        return read_record(folder)

    monkeypatch.setattr(gui.looking.look_jobs, "read_record", read)
    window.reopen(entry)
    qtbot.waitUntil(reading.is_set)
    open_recipe(qtbot, window, models, tmp_path / "other")
    released.set()
    wait_until_looked(qtbot, window)
    qtbot.wait(200)
    assert window.observer.findings is not None
    assert not window.observer.findings.merged


def test_a_run_that_is_read_before_its_models_are_planned_is_not_mixed_with_others(
    qtbot: QtBot, observer: Observer, models: Path, tmp_path: Path
) -> None:
    observer.look_at(report_of(models, tmp_path / "out", 1, 1))
    qtbot.waitUntil(lambda: observer.findings is not None and not observer.looking)
    three = report_of(models, tmp_path / "out", 1, 1, 1)
    assert three.plan is not None
    entry = HistoryEntry.begin(three.setup.recipe(), tmp_path / "out")
    counted = findings_of_record(run_merge(three.plan, tmp_path / "out"))
    assert counted is not None
    told: list[Shown] = []
    observer.changed.connect(told.append)
    observer.recall(Merge(three.setup, entry.when.timestamp(), findings=counted))
    assert told == []
    observer.look_at(three)
    assert [shown.findings for shown in told] == [counted]
    assert not counted.inspected
    qtbot.waitUntil(lambda: not observer.looking)
    assert told[-1].findings is not None
    assert told[-1].findings.merged
    assert observer.shown.source.startswith("Counted by the merge with n = 4, seed 7; norms and cosines ")


def test_another_runs_record_is_not_recalled(models: Path, tmp_path: Path) -> None:
    recipe = load_recipe(models / "recipe.yaml")
    entry = HistoryEntry.begin(recipe, tmp_path / "out")
    done = entry.done(run_merge(plan_merge(recipe), tmp_path / "out"))
    setup = setup_of_recipe(recipe, MergeSetup("parameter_selection", None, (), 0))
    assert [(merge.setup, merge.began_s) for merge in told_by(RecallJob(done, setup))] == [
        (setup, done.when.timestamp())
    ]
    run_merge(plan_merge(replace(recipe, seed=8)), tmp_path / "out", overwrite=True)
    assert told_by(RecallJob(done, setup)) == []


def told_by(job: RecallJob) -> list[Merge]:
    told: list[Merge] = []
    job.found.connect(told.append, Qt.ConnectionType.DirectConnection)
    job.run()
    return told
