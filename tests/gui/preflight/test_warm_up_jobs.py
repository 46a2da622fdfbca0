"""Measuring the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core.plan.estimate import Throughput, Work
from core.runs.learned import Learned
from gui.jobs import JobKeeper
from gui.preflight.warm_up_jobs import CalibrateJob


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[JobKeeper]:
    keeper = JobKeeper()
    yield keeper
    keeper.stop_all()


@pytest.fixture(autouse=True)
def three_times_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.plan.estimate.measured_core", lambda: 3.0)


def test_what_was_measured_is_learned(qtbot: QtBot, jobs: JobKeeper, tmp_path: Path) -> None:
    learned = Learned(tmp_path / "history")
    job = CalibrateJob(learned)
    with qtbot.waitSignal(job.calibrated):
        jobs.start(job)
    assert learned.read() == Throughput(core=3.0)
    qtbot.waitUntil(job.isFinished)


def test_nothing_is_measured_where_it_is_known(qtbot: QtBot, jobs: JobKeeper, tmp_path: Path) -> None:
    learned = Learned(tmp_path / "history")
    learned.learn_core(1.5)
    job = CalibrateJob(learned)
    with qtbot.assertNotEmitted(job.calibrated), qtbot.waitSignal(job.finished):
        jobs.start(job)
    assert learned.read() == Throughput(core=1.5)


def test_merges_of_the_command_line_before_leave_it_to_be_measured(
    qtbot: QtBot, jobs: JobKeeper, tmp_path: Path
) -> None:
    """And what another merge teaches while it is measured stays."""
    learned = Learned(tmp_path / "history")
    learned.learn(2.0, Work("linear on cuda", 1.0, 0.0, 1, 0.0, 0, 0))
    job = CalibrateJob(learned)
    with qtbot.waitSignal(job.calibrated):
        jobs.start(job)
    assert (learned.read().core, list(learned.read().kinds)) == (3.0, ["linear on cuda"])
    qtbot.waitUntil(job.isFinished)


def test_what_a_merge_teaches_meanwhile_is_kept(
    qtbot: QtBot, jobs: JobKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = Learned(tmp_path / "history")

    def measured() -> float:
        learned.learn(2.0, Work("slerp", 1.0, 0.0, 1, 0.0, 0, 0))
        return 3.0

    monkeypatch.setattr("core.plan.estimate.measured_core", measured)
    job = CalibrateJob(learned)
    with qtbot.waitSignal(job.calibrated):
        jobs.start(job)
    assert (learned.read().core, list(learned.read().kinds)) == (3.0, ["slerp"])
    qtbot.waitUntil(job.isFinished)
