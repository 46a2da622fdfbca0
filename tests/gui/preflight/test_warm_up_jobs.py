"""Measuring the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from core.plan.estimate import Throughput
from gui.jobs import JobKeeper
from gui.preflight.warm_up_jobs import CalibrateJob


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[JobKeeper]:
    keeper = JobKeeper()
    yield keeper
    keeper.stop_all()


def test_calibration_hands_over_a_throughput(
    qtbot: QtBot, jobs: JobKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.plan.estimate.calibrated", lambda throughput: replace(throughput, core=3.0))
    job = CalibrateJob(Throughput())
    with qtbot.waitSignal(job.calibrated) as emitted:
        jobs.start(job)
    assert emitted.args == [Throughput(core=3.0)]
    qtbot.waitUntil(job.isFinished)
