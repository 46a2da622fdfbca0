"""Looking at the deltas of the models in threads of their own: a preview in rounds, and everything."""

from __future__ import annotations

import time

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, MergeError, MergePlan, Progress, plan_merge, read_record
from core.deltas.findings import Findings, findings_of_record
from core.deltas.preview import measure_plan, preview_plan
from core.first_start import compile_here
from core.runs.history import HistoryEntry
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.jobs import Job
from gui.looking.subject import Merge

__all__ = ["LookJob", "MeasureJob", "PreviewJob", "RecallJob", "ReweighJob"]

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

    def __init__(self, setup: MergeSetup, plan: MergePlan | None, begun: Findings | None = None) -> None:
        """Args:
        setup: of a method that reads the base.
        plan: of that set-up; None to make it first.
        begun: what is known of the same models, with the weights of `setup`; None for nothing.
        """
        super().__init__()
        self._setup, self._given = setup, plan
        self._begun = begun
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


class ReweighJob(LookJob):
    """Tells what is known already, where the weights are others now."""

    def look(self, plan: MergePlan) -> None:
        if self._begun is not None:
            self.tell(self._begun)


class PreviewJob(ReweighJob):
    """The same, and then a first look, refined in rounds."""

    def look(self, plan: MergePlan) -> None:
        super().look(plan)
        compile_here(("marks", "measures"))
        for findings in preview_plan(plan, cancel=self.token):
            self.tell(_with_look(self._begun, findings))


class MeasureJob(LookJob):
    """Measures everything, in place of what is known, cell by cell."""

    def __init__(self, setup: MergeSetup, plan: MergePlan | None, begun: Findings | None = None) -> None:
        super().__init__(setup, plan, begun)
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


class RecallJob(Job):
    """Reads what an earlier merge counted.

    Signals:
        found(object): it, a Merge; not where its method looks at no deltas, or its output is not there any
            more.
    """

    found = Signal(object)

    def __init__(self, entry: HistoryEntry, setup: MergeSetup) -> None:
        """Args:
        entry: the merge, which is done.
        setup: what it merged.
        """
        super().__init__()
        self._entry, self._setup = entry, setup

    def run(self) -> None:
        try:
            record = read_record(self._entry.out)
        except MergeError:  # the folder was changed, or is gone: there is nothing to be shown of it
            return
        findings = findings_of_record(record) if self._entry.wrote(record) else None
        if findings is not None:
            began_s = self._entry.when.timestamp()
            self.found.emit(Merge(self._setup, began_s, findings=findings.prepare()))


def _with_look(begun: Findings | None, found: Findings) -> Findings:
    """What was known of the same models, and what another look found: of each cell what is known better."""
    if begun is None or begun.grid.tensors != found.grid.tensors:
        return found
    known = begun.predicting
    return begun.inspected_as(
        {
            cell: statistics
            for cell, statistics in (found.predicting or found.inspected).items()
            if cell not in known or known[cell].elements <= statistics.elements
        }
    )
