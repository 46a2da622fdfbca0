"""Looking at the deltas of the models in threads of their own: a preview in rounds, and everything."""

from __future__ import annotations

import time

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, MergeError, MergePlan, Progress, plan_merge, read_record
from core.deltas.findings import Findings, findings_of_record
from core.deltas.preview import measure_plan, preview_plan
from core.history import HistoryEntry
from gui.jobs import Job
from gui.merge_setup import MergeSetup
from gui.reports import Failure

__all__ = ["LookJob", "MeasureJob", "PreviewJob", "RecallJob"]

_EVERY_S = 0.25


class LookJob(Job):
    """Finds something out about the models of a set-up.

    Signals:
        planned(object): a MergePlan, where none was given.
        found(object): Findings, better ones each time; not after it was cancelled.
        progressed(object): a core.Progress, where that means something.
        failed(object): a Failure.
        ended(): after all others; not after it was cancelled.
    """

    planned = Signal(object)
    found = Signal(object)
    progressed = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, setup: MergeSetup, plan: MergePlan | None) -> None:
        """Args:
        setup: of a method that reads the base.
        plan: of that set-up; None to make it first.
        """
        super().__init__()
        self._setup, self._given = setup, plan
        self.token = CancelToken()

    def cancel(self) -> None:
        self.token.cancel()

    def look(self, plan: MergePlan) -> None:
        """Emit what is found out; raises what the engine raises."""
        raise NotImplementedError

    def run(self) -> None:
        try:
            plan = self._given or plan_merge(self._setup.recipe())
            self.token.raise_if_cancelled()
            if self._given is None:
                self.planned.emit(plan)
            self.look(plan)
        except Cancelled:
            return
        except Exception as error:
            if not self.token.cancelled:
                self.failed.emit(Failure.of(error))
        if not self.token.cancelled:
            self.ended.emit()

    def tell(self, findings: Findings) -> None:
        """Emit `findings`, with all computed that the pictures show first."""
        findings.prepare()
        if not self.token.cancelled:
            self.found.emit(findings)


class RecallJob(Job):
    """Reads what an earlier merge counted.

    Signals:
        found(object): its Findings; not where its method looks at no deltas, or there is nothing to read.
    """

    found = Signal(object)

    def __init__(self, entry: HistoryEntry, setup: MergeSetup) -> None:
        """Args:
        entry: the merge, which is done.
        setup: what it merged.
        """
        super().__init__()
        self.entry, self.setup = entry, setup

    def run(self) -> None:
        try:
            findings = findings_of_record(read_record(self.entry.out))
        except MergeError:  # the folder was changed, or is gone: there is nothing to be shown of it
            return
        if findings is not None:
            findings.prepare()
            self.found.emit(findings)


class PreviewJob(LookJob):
    """A first look, refined in rounds."""

    def look(self, plan: MergePlan) -> None:
        for findings in preview_plan(plan, cancel=self.token):
            self.tell(findings)


class MeasureJob(LookJob):
    """Measures everything."""

    def __init__(self, setup: MergeSetup, plan: MergePlan | None, begun: Findings | None) -> None:
        """Args:
        setup, plan: as for a LookJob.
        begun: what was estimated, to be replaced cell by cell.
        """
        super().__init__(setup, plan)
        self._begun = begun
        self._next_s = 0.0

    def look(self, plan: MergePlan) -> None:
        findings = measure_plan(
            plan, self._begun, cancel=self.token, progress=self._on_progress, on_findings=self._on_findings
        )
        self.tell(findings)

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def _on_findings(self, findings: Findings) -> None:
        started = time.monotonic()
        if started >= self._next_s:
            self.tell(findings)
            # Summing up takes a while: spend a tenth of the time on it at most.
            self._next_s = time.monotonic() + max(_EVERY_S, 9 * (time.monotonic() - started))
