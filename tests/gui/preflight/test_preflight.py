"""Before a merge: what is found out about it, and the panel that shows it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file, save_file

import gui.preflight.plan_job
import gui.preflight.preflight
from core import Cancelled, CancelToken
from core.checkpoint import headers
from core.plan.estimate import Estimate, Throughput
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.jobs import JobKeeper
from gui.preflight.panel import PreflightPanel, about_text
from gui.preflight.plan_job import PlanJob
from gui.preflight.preflight import look_ahead
from gui.preflight.report import PlanReport, Problem
from gui.preflight.warm_up_jobs import CalibrateJob

MakeSetup = Callable[..., MergeSetup]


@pytest.fixture
def make_setup(models: Path, tmp_path: Path) -> MakeSetup:
    """A set-up of the three models that can be merged; keywords change it."""

    def make(**changes: object) -> MergeSetup:
        setup = MergeSetup(
            method="parameter_selection",
            base=models / "base",
            models=tuple(ModelChoice(models / f"run-{number}") for number in (1, 2, 3)),
            k=3,
            parameters={"resamples": 4},
            out=str(tmp_path / "out"),
        )
        return replace(setup, **changes)  # type: ignore[arg-type]

    return make


def report_on(setup: MergeSetup) -> PlanReport:
    return look_ahead(setup, Throughput(), CancelToken())


def copy_of(model: Path, folder: Path, **tensors: torch.Tensor) -> Path:
    """A copy of `model` in `folder` with other tensors under the names with _ for each dot."""
    shutil.copytree(model, folder)
    stored = load_file(folder / "model.safetensors")
    for name in list(stored):
        stored[name] = tensors.get(name.replace(".", "_"), stored[name])
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


# -- what is found out


def test_a_sound_set_up_is_reported_in_full(make_setup: MakeSetup, models: Path) -> None:
    setup = make_setup()
    report = report_on(setup)
    assert report.setup is setup
    assert (report.errors, report.tensors) == ((), 8)
    assert report.parameters == 50 * 16 + 16 + 3 * (16 * 16 + 48 * 16)
    assert report.bytes_to_read == 4 * 2 * report.parameters
    assert report.bytes_to_write > 2 * report.parameters
    assert 0 < report.memory_bytes < 2**28
    assert report.free_disk_bytes is not None
    assert report.estimate is not None
    assert 0 < report.estimate.seconds < 60
    assert report.actions == {"merged": 8}
    assert report.states == {models / f"run-{number}": None for number in (1, 2, 3)}
    row = next(row for row in report.ledger if row.name == "model.layers.0.mlp.up_proj.weight")
    assert (row.shape, row.dtype, row.elements) == ((48, 16), "BF16", 768)
    assert "resamples 4" in row.values


@pytest.mark.parametrize(
    ("changes", "target"),
    [({"base": None}, "base"), ({"models": ()}, "models"), ({"seed": None}, "seed"), ({"out": ""}, "out")],
)
def test_what_is_missing_is_named(make_setup: MakeSetup, changes: dict[str, object], target: str) -> None:
    (error,) = report_on(make_setup(**changes)).errors
    assert (error.target, error.missing) == (target, True)


def test_without_an_output_folder_the_numbers_are_there_already(make_setup: MakeSetup) -> None:
    report = report_on(make_setup(out=""))
    assert report.tensors == 8
    assert report.free_disk_bytes is None


def test_every_model_that_does_not_fit_is_named(make_setup: MakeSetup, models: Path, tmp_path: Path) -> None:
    smaller = copy_of(models / "run-1", tmp_path / "smaller", model_norm_weight=torch.zeros(8).bfloat16())
    missing = tmp_path / "missing"
    choices = tuple(ModelChoice(folder) for folder in (smaller, models / "run-2", missing))
    for base, method in ((models / "base", "parameter_selection"), (models / "base", "linear")):
        report = report_on(make_setup(models=choices, base=base, method=method, parameters={}))
        assert [error.path for error in report.errors] == [smaller, missing]
        assert {error.target for error in report.errors} == {"models"}
        assert "model.norm.weight" in report.errors[0].message
        assert report.states[models / "run-2"] is None
        assert report.states[smaller] == report.errors[0].message
        assert report.plan is None


def test_without_a_base_models_are_compared_with_the_first_that_is_one(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    smaller = copy_of(models / "run-1", tmp_path / "smaller", model_norm_weight=torch.zeros(8).bfloat16())
    choices = tuple(ModelChoice(folder) for folder in (tmp_path / "missing", models / "run-2", smaller))
    report = report_on(make_setup(models=choices, base=None, method="linear", parameters={}))
    assert [error.path for error in report.errors] == [tmp_path / "missing", smaller]


def test_a_base_that_is_none_is_the_only_error(make_setup: MakeSetup, tmp_path: Path) -> None:
    report = report_on(make_setup(base=tmp_path))
    assert [(error.target, error.path) for error in report.errors] == [("base", tmp_path)]
    assert report.states == {}


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"device": "cuda:9999"}, "device"),
        ({"shard_size_bytes": 0}, "shard_size_bytes"),
        ({"parameters": {"resamples": 1000}}, "resamples"),
        ({"seed": -1}, "seed"),
        ({"zero_tolerance": -1.0}, "zero_tolerance"),
        ({"dtype": "int7"}, "dtype"),
        ({"out_dtype": "int7"}, "out_dtype"),
        ({"tokenizer_source": Path("/no/such/folder")}, "tokenizer_source"),
        ({"out": "/proc/merged"}, "out"),
    ],
)
def test_errors_lead_to_their_field(make_setup: MakeSetup, changes: dict[str, object], target: str) -> None:
    errors = report_on(make_setup(**changes)).errors
    assert [error.target for error in errors] == [target]


def test_a_weight_leads_to_its_model(make_setup: MakeSetup, models: Path) -> None:
    choices = (ModelChoice(models / "run-1"), ModelChoice(models / "run-2", weight=-1.0))
    (error,) = report_on(make_setup(models=choices, k=2)).errors
    assert error.target == "models"


def test_an_output_folder_that_exists_is_an_error(make_setup: MakeSetup, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    report = report_on(make_setup())
    assert [error.target for error in report.errors] == ["out"]
    assert report.free_disk_bytes is not None


def test_one_sub_model_is_worth_a_warning(make_setup: MakeSetup) -> None:
    assert any("copy of run-1" in warning.message for warning in report_on(make_setup(k=1)).warnings)
    assert not any("copy of" in warning.message for warning in report_on(make_setup()).warnings)


def test_a_model_that_is_there_twice_is_worth_a_warning(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(models / "run-1")
    choices = tuple(ModelChoice(folder) for folder in (models / "run-1", link, models / "run-1"))
    found = {warning.message: warning.path for warning in report_on(make_setup(models=choices)).warnings}
    assert found["link is run-1 again, and so counts twice."] == link
    assert found["run-1 is in the list twice, and so counts twice."] == models / "run-1"


@pytest.mark.parametrize("changes", [{"k": 1}, {"k": 1, "seed": None}, {"k": 1, "out": ""}])
def test_every_model_in_the_list_is_known_to_fit_or_not(
    make_setup: MakeSetup, models: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Whether it takes part or not, and whatever else is missing."""
    choices = (
        ModelChoice(models / "run-1"),
        ModelChoice(models / "run-2", enabled=False),
        ModelChoice(tmp_path / "nothing"),
        ModelChoice(models / "run-3"),
    )
    states = report_on(make_setup(models=choices, **changes)).states
    assert {folder.name: state is None for folder, state in states.items()} == {
        "run-1": True,
        "run-2": True,
        "nothing": False,
        "run-3": True,
    }


def test_many_models_that_are_there_twice_are_one_warning(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    links = [tmp_path / f"link-{number}" for number in range(5)]
    for link in links:
        link.symlink_to(models / "run-1")
    choices = tuple(ModelChoice(folder) for folder in (models / "run-1", *links))
    warnings = report_on(make_setup(models=choices, k=6)).warnings
    (found,) = [warning for warning in warnings if "copies" in warning.message]
    assert found.message == "5 sub-models are copies of others in the list, link-0 among them."
    assert found.path == links[0]


def test_a_link_to_the_base_is_worth_a_warning(make_setup: MakeSetup, models: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(models / "base")
    report = report_on(make_setup(models=(ModelChoice(models / "run-1"), ModelChoice(link)), k=2))
    assert ("link is the base, and is left out.", link) in [(w.message, w.path) for w in report.warnings]


def test_a_disk_that_gets_full_is_worth_a_warning(
    make_setup: MakeSetup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    total = shutil.disk_usage(tmp_path).total
    monkeypatch.setattr(gui.preflight.preflight, "free_disk_bytes", lambda _: total // 20)
    assert any(warning.target == "out" for warning in report_on(make_setup()).warnings)
    monkeypatch.setattr(gui.preflight.preflight, "free_disk_bytes", lambda _: total // 2)
    assert not any(warning.target == "out" for warning in report_on(make_setup()).warnings)


def test_looking_ahead_can_be_stopped(make_setup: MakeSetup) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        look_ahead(make_setup(), Throughput(), token)


def test_headers_are_read_again_only_when_a_file_is_another(
    make_setup: MakeSetup, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_of(models / "run-1", tmp_path / "own")
    setup = make_setup(models=(ModelChoice(own),), k=1)
    report_on(setup)
    read: list[Path] = []
    open_file = headers.ReadFile

    def noting(path: Path) -> headers.ReadFile:
        read.append(path)
        return open_file(path)

    monkeypatch.setattr(headers, "ReadFile", noting)
    report_on(replace(setup, seed=5))
    assert read == []
    stored = load_file(own / "model.safetensors")
    save_file(stored | {"model.norm.weight": torch.zeros(4).bfloat16()}, own / "model.safetensors")
    assert report_on(setup).errors
    assert read == [own / "model.safetensors"]


# -- the jobs


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[JobKeeper]:
    keeper = JobKeeper()
    yield keeper
    keeper.stop_all()


def test_the_job_reports_once_and_ends(qtbot: QtBot, jobs: JobKeeper, make_setup: MakeSetup) -> None:
    setup = make_setup()
    job = PlanJob(setup, Throughput())
    reports: list[PlanReport] = []
    job.reported.connect(reports.append)
    with qtbot.waitSignal(job.ended):
        jobs.start(job)
    assert [report.setup for report in reports] == [setup]


def test_a_cancelled_job_ends_without_a_report(qtbot: QtBot, jobs: JobKeeper, make_setup: MakeSetup) -> None:
    job = PlanJob(make_setup(), Throughput())
    job.cancel()
    with qtbot.assertNotEmitted(job.reported), qtbot.waitSignal(job.ended):
        jobs.start(job)


def test_a_fault_is_reported_as_an_error(
    qtbot: QtBot, jobs: JobKeeper, make_setup: MakeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> PlanReport:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(gui.preflight.plan_job, "look_ahead", fail)
    job = PlanJob(make_setup(), Throughput())
    with qtbot.waitSignal(job.reported) as emitted:
        jobs.start(job)
    (report,) = emitted.args
    assert "ZeroDivisionError: a fault" in report.errors[0].hint
    qtbot.waitUntil(job.isFinished)


def test_calibration_hands_over_a_throughput(
    qtbot: QtBot, jobs: JobKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.plan.estimate.calibrated", lambda throughput: replace(throughput, core=3.0))
    job = CalibrateJob(Throughput())
    with qtbot.waitSignal(job.calibrated) as emitted:
        jobs.start(job)
    assert emitted.args == [Throughput(core=3.0)]
    qtbot.waitUntil(job.isFinished)


# -- the panel


@pytest.fixture
def panel(qtbot: QtBot) -> PreflightPanel:
    panel = PreflightPanel()
    qtbot.addWidget(panel)
    panel.setFixedWidth(396)
    panel.show()
    return panel


def error(message: str = "Choose the base model.", target: str = "base") -> Problem:
    return Problem(message, None, target)


def press(qtbot: QtBot, panel: PreflightPanel) -> None:
    qtbot.mouseClick(panel.merge_button, Qt.MouseButton.LeftButton)


def texts(panel: PreflightPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label.isVisible()]


def test_nothing_can_be_merged_before_the_first_report(panel: PreflightPanel) -> None:
    assert not panel.merge_button.isEnabled()
    assert not panel.cancel_button.isEnabled()
    assert not panel.ledger_button.isEnabled()


def test_the_numbers_are_shown(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    report = replace(
        report_on(make_setup()),
        bytes_to_read=10_300_000_000,
        bytes_to_write=936_000_000,
        memory_bytes=250_000_000,
        free_disk_bytes=63_000_000_000,
        parameters=468_000_000,
        estimate=Estimate(8.2, 3, 1, 0.2, learned=True),
    )
    panel.show_report(report)
    for text in ("10.3 GB", "936 MB", "250 MB", "63 GB free", "468 M", "about 8 s", "8 merged"):
        assert text in texts(panel)


def test_merge_is_pressed_when_all_is_well(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.show_report(report_on(make_setup()))
    assert panel.reason is None
    with qtbot.waitSignal(panel.merge_requested):
        press(qtbot, panel)


def test_an_error_keeps_merge_from_being_pressed_and_is_said(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    problem = error()
    panel.show_report(PlanReport(make_setup(), errors=(problem,)))
    assert not panel.merge_button.isEnabled()
    assert panel.reason == panel.merge_button.toolTip() == "Choose the base model."
    assert panel.problems.texts == ["Choose the base model."]
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.wish_merge()
    with qtbot.waitSignal(panel.show_requested) as emitted:
        qtbot.mouseClick(panel.problems.links[0], Qt.MouseButton.LeftButton)
    assert emitted.args == [problem]


def test_show_me_is_reached_by_keyboard(qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup) -> None:
    warning = error("It has no tokenizer.")
    panel.show_report(replace(report_on(make_setup()), warnings=(warning,)))
    panel.activateWindow()
    panel.ledger_button.setFocus()
    qtbot.keyClick(panel.ledger_button, Qt.Key.Key_Tab)
    assert panel.problems.links[0].hasFocus()
    with qtbot.waitSignal(panel.show_requested) as emitted:
        qtbot.keyClick(panel.problems.links[0], Qt.Key.Key_Space)
    assert emitted.args == [warning]
    qtbot.keyClick(panel.problems.links[0], Qt.Key.Key_Tab)
    assert panel.merge_button.hasFocus()


def test_a_problem_without_a_place_has_no_way_to_it(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    panel.show_report(PlanReport(make_setup(), errors=(error(target=""),)))
    assert panel.problems.links == []


def test_warnings_do_not_stand_in_the_way(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    panel.show_report(replace(report_on(make_setup()), warnings=(error("It has no tokenizer."),)))
    assert panel.problems.texts == ["It has no tokenizer."]
    assert panel.merge_button.isEnabled()


def test_errors_come_before_warnings(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    report = PlanReport(make_setup(), errors=(error("Wrong."),), warnings=(error("Odd."),))
    panel.show_report(report)
    assert panel.problems.texts == ["Wrong.", "Odd."]


def test_merge_waits_for_the_check_of_a_newer_set_up(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    panel.setup_changed()
    panel.show_checking()
    assert not panel.checked
    with qtbot.assertNotEmitted(panel.merge_requested):
        press(qtbot, panel)
    assert "Waiting for the check…" in texts(panel)
    assert not panel.merge_button.isEnabled()
    with qtbot.waitSignal(panel.merge_requested):
        panel.show_report(report)
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.show_report(report)


def test_a_wish_that_turns_out_wrong_is_not_carried_out(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    panel.show_checking()
    press(qtbot, panel)
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.show_report(replace(report, errors=(error(),)))
        panel.show_report(report)


@pytest.mark.parametrize("withdraw", ["change", "cancel"])
def test_a_wish_can_be_withdrawn(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup, withdraw: str
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    panel.show_checking()
    press(qtbot, panel)
    with qtbot.assertNotEmitted(panel.merge_requested), qtbot.assertNotEmitted(panel.cancel_requested):
        if withdraw == "change":
            panel.setup_changed()
        else:
            qtbot.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
        panel.show_report(report)
    assert panel.merge_button.isEnabled()


def test_a_wish_may_come_before_any_report(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.wish_merge()
    with qtbot.waitSignal(panel.merge_requested):
        panel.show_report(report_on(make_setup()))


def test_only_a_slow_check_is_talked_about(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.show_report(report_on(make_setup()))
    panel.setup_changed()
    panel.show_checking()
    before = texts(panel)
    assert "Checking…" not in before
    qtbot.waitUntil(lambda: "Checking…" in texts(panel), timeout=2000)
    assert [text for text in texts(panel) if text != "Checking…"] == [text for text in before if text]
    panel.show_report(report_on(make_setup()))
    assert "Checking…" not in texts(panel)


def test_while_a_merge_runs_it_can_only_be_cancelled(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.show_report(report_on(make_setup()))
    panel.set_merging(True)
    assert not panel.merge_button.isEnabled()
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.wish_merge()
    with qtbot.waitSignal(panel.cancel_requested):
        qtbot.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
    panel.set_merging(True)
    assert not panel.cancel_button.isEnabled()
    assert "Cancelling…" in texts(panel)
    panel.set_merging(False)
    assert panel.merge_button.isEnabled()


def test_the_usual_problem_moves_nothing(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    heights = set()
    good = report_on(make_setup())
    for report in (good, PlanReport(make_setup(), errors=(error(),)), replace(good, warnings=(error(),))):
        panel.show_report(report)
        heights.add(panel.sizeHint().height())
    assert len(heights) == 1


def test_many_problems_scroll(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    problems = tuple(error(f"Tensor 'model.layers.{at}.mlp.up_proj.weight' is missing.") for at in range(40))
    panel.show_report(PlanReport(make_setup(), errors=problems))
    assert len(panel.problems.texts) == 40
    assert panel.sizeHint().height() < 450
    assert panel.problems.verticalScrollBar().maximum() > 0
    assert all(
        link.visibleRegion().boundingRect().width() == link.width() for link in panel.problems.links[:1]
    )


def test_the_ledger_opens_beside_the_window_and_follows_the_reports(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    qtbot.mouseClick(panel.ledger_button, Qt.MouseButton.LeftButton)
    assert panel.ledger is not None
    assert panel.ledger.isVisible()
    assert not panel.ledger.isModal()
    assert panel.ledger.model.rowCount() == 8
    panel.show_report(replace(report, ledger=report.ledger[:3]))
    assert panel.ledger.model.rowCount() == 3
    panel.ledger.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "under 1 s"),
        (1.2, "about 1 s"),
        (8.4, "about 8 s"),
        (23, "about 25 s"),
        (59, "about 1 min"),
        (87, "about 1 min 30 s"),
        (640, "about 11 min"),
        (3600, "about 1 h"),
        (9000, "about 2 h 30 min"),
    ],
)
def test_a_time_has_no_more_digits_than_an_estimate(seconds: float, text: str) -> None:
    assert about_text(seconds) == text
