"""The job that plans a merge reports once, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

import gui.preflight.plan_job
from core.runs.learned import Learned
from gui.document.merge_setup import MergeSetup
from gui.jobs import JobKeeper
from gui.preflight.plan_job import PlanJob
from gui.preflight.report import PlanReport

MakeSetup = Callable[..., MergeSetup]


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[JobKeeper]:
    keeper = JobKeeper()
    yield keeper
    keeper.stop_all()


def test_the_job_reports_once_and_ends(
    qtbot: QtBot, jobs: JobKeeper, make_setup: MakeSetup, tmp_path: Path
) -> None:
    setup = make_setup()
    job = PlanJob(setup, Learned(tmp_path / "history"))
    reports: list[PlanReport] = []
    job.reported.connect(reports.append)
    with qtbot.waitSignal(job.ended):
        jobs.start(job)
    assert [report.setup for report in reports] == [setup]


def test_a_cancelled_job_ends_without_a_report(
    qtbot: QtBot, jobs: JobKeeper, make_setup: MakeSetup, tmp_path: Path
) -> None:
    job = PlanJob(make_setup(), Learned(tmp_path / "history"))
    job.cancel()
    with qtbot.assertNotEmitted(job.reported), qtbot.waitSignal(job.ended):
        jobs.start(job)


def test_a_fault_is_reported_as_an_error(
    qtbot: QtBot, jobs: JobKeeper, make_setup: MakeSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> PlanReport:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(gui.preflight.plan_job, "look_ahead", fail)
    job = PlanJob(make_setup(), Learned(tmp_path / "history"))
    with qtbot.waitSignal(job.reported) as emitted:
        jobs.start(job)
    (report,) = emitted.args
    assert "ZeroDivisionError: a fault" in report.errors[0].hint
    qtbot.waitUntil(job.isFinished)
