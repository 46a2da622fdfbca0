"""Jobs, and what keeps them."""

from __future__ import annotations

from gui.jobs import Job, JobKeeper


def test_no_job_is_started_once_all_were_stopped(qapp: object) -> None:
    """An ended job's signal arrives after that, and may ask for the next one."""

    class Nothing(Job):
        def run(self) -> None:
            pass

    keeper, late = JobKeeper(), Nothing()
    keeper.start(Nothing())
    keeper.stop_all()
    keeper.start(late)
    assert not late.isRunning()
    assert not late.isFinished()
