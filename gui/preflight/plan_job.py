"""Planning a merge in a job, whenever the set-up changes."""

from __future__ import annotations

import traceback

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken
from core.runs.learned import Learned
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.jobs import Job
from gui.preflight.preflight import look_ahead
from gui.preflight.report import PlanReport, Problem

__all__ = ["PlanJob"]


class PlanJob(Job):
    """Finds out what a merge would do, and whether anything stands in its way.

    Signals:
        reported(object): a PlanReport; not after it was cancelled.
        ended(): after that.
    """

    reported = Signal(object)
    ended = Signal()

    def __init__(self, setup: MergeSetup, learned: Learned) -> None:
        super().__init__()
        self._setup = setup
        self._learned = learned
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        report = self._report()
        if report is not None and not self._token.cancelled:
            self.reported.emit(report)
        self.ended.emit()

    def _report(self) -> PlanReport | None:
        try:
            return look_ahead(self._setup, self._learned.read(), self._token)
        except Cancelled:
            return None
        except Exception as error:
            traceback.print_exc()
            failure = Failure.of(error)
            return PlanReport(
                self._setup,
                errors=(Problem(failure.message, f"{type(error).__name__}: {error}", "", failure=failure),),
            )
