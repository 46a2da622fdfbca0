"""Measuring the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core.plan.estimate import Throughput
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
    monkeypatch.setattr("core.plan.estimate.calibrated", lambda throughput: replace(throughput, core=3.0))


def test_what_was_measured_is_learned(qtbot: QtBot, jobs: JobKeeper, tmp_path: Path) -> None:
    learned = Learned(tmp_path / "history")
    job = CalibrateJob(learned)
    with qtbot.waitSignal(job.calibrated):
        jobs.start(job)
    assert learned.read() == Throughput(core=3.0)
    qtbot.waitUntil(job.isFinished)


def test_nothing_is_measured_where_something_is_known(qtbot: QtBot, jobs: JobKeeper, tmp_path: Path) -> None:
    learned = Learned(tmp_path / "history")
    learned.keep(Throughput(core=1.5))
    job = CalibrateJob(learned)
    with qtbot.assertNotEmitted(job.calibrated), qtbot.waitSignal(job.finished):
        jobs.start(job)
    assert learned.read() == Throughput(core=1.5)
