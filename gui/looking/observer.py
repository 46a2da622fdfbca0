"""Keeps what is known of the models of the set-up, and finds out more by itself."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal, Slot

from core import MergePlan, Progress
from core.deltas.findings import Findings
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.looking.look_jobs import LookJob, MeasureJob, PreviewJob, Recalled, ReweighJob
from gui.looking.source import Known, Source
from gui.looking.subject import Subject, same_models
from gui.preflight.report import PlanReport

__all__ = ["Observer"]


@dataclass(frozen=True)
class _Merge:
    """What a merge has counted.

    Attributes:
        draws: those of the Subject that was merged.
        findings: with the cells that it has finished.
        text: what to call it: "n = 4, seed 7".
    """

    draws: Hashable
    findings: Findings
    text: str


class Observer(QObject):
    """Looks at the models that were planned with last, in jobs, unless a merge runs.

    A preview begins by itself when the models or the precision are others. With other weights all that
    does not depend on them stays. What a merge counts comes to it, and is shown for the same models with the
    same weights.

    Attributes:
        failure: why the last look failed; None where it did not.
        source: where the numbers come from.

    Signals:
        subject_changed(object): the Subject that is looked at; None for nothing.
        found(object): Findings about the models that are looked at.
        lost(): nothing is known of the models that are in the set-up now.
        source_changed(): `source` is another.
    """

    subject_changed = Signal(object)
    found = Signal(object)
    lost = Signal()
    source_changed = Signal()

    def __init__(self, jobs: JobKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._subject: Subject | None = None
        self._job: LookJob | None = None
        self._known: Findings | None = None
        self._merge: _Merge | None = None
        self._joined: tuple[Findings, _Merge, Findings] | None = None
        self._earlier: _Merge | None = None
        self._recalled: Recalled | None = None
        self._complete = False
        self._merging = False
        self._progress: Progress | None = None
        self.failure: Failure | None = None
        self.source = Source()

    # -- what is known

    @property
    def findings(self) -> Findings | None:
        """What is known; None where nothing is."""
        merge, known = self._merge_of_subject, self._known
        if merge is None:
            return known
        if known is None:
            return merge.findings
        if self._joined is None or self._joined[0] is not known or self._joined[1] is not merge:
            merged, records = merge.findings.merged, merge.findings.records
            self._joined = known, merge, replace(known, merged=merged, records=records)
        return self._joined[2]

    @property
    def looking(self) -> bool:
        """Whether a job is at it."""
        return self._job is not None

    # -- what the window tells

    def look_at(self, report: PlanReport) -> None:
        """Look at the models of a set-up that was checked, unless that was done, or a merge runs."""
        if self._merging:
            return
        subject, before = Subject.of(report), self._subject
        if subject is None:
            if before is None or not same_models(before.setup, report.setup):
                self._look_at_nothing()  # and else something is missing that is not looked at, as the seed
        elif before is None or before.models != subject.models:
            self._look_at_others(subject)
        elif before.draws != subject.draws:
            self._reweigh(subject)
        else:
            self._subject = replace(subject, plan=subject.plan or before.plan)
            self._show_recalled()
            if self._job is None and not self._complete:
                self._start(PreviewJob(subject.setup, self._subject.plan, self._known))

    def recall(self, recalled: Recalled) -> None:
        """Show what an earlier merge counted, once its models are looked at, if they are as they were."""
        self._recalled = recalled
        self._show_recalled()

    def begin_merge(self, setup: MergeSetup) -> Findings | None:
        """Keep still from now on: a merge needs the machine. Returns what is known of its models."""
        self._stop_job()
        self._merging = True
        self._earlier, self._merge, self._recalled = self._merge, None, None
        self._tell_source()
        return self._known if self._subject is not None and self._subject.draws_as(setup) else None

    def show_merge(self, findings: Findings, text: str) -> None:
        """What a merge has counted so far of the models that are looked at.

        Args:
            findings: with the cells that are merged.
            text: what to call the merge: "n = 4, seed 7".
        """
        if self._subject is not None:
            self._merge = _Merge(self._subject.draws, findings, text)
        self.found.emit(findings)
        self._tell_source()

    def end_merge(self, *, keep: bool) -> None:
        """The merge is over; what it counted is kept, or else what was before it is shown again."""
        self._merging = False
        if not keep:
            counted, self._merge = self._merge, self._earlier
            if counted is not None:
                self._tell_found()
        self._earlier = None
        self._tell_source()

    def forget_merge(self) -> None:
        """Show what is known without a merge."""
        had, self._merge, self._earlier, self._recalled = self._merge, None, None, None
        if had is not None:
            self._tell_found()
            self._tell_source()

    def read_again(self) -> None:
        """Look again at the next report, even at what was looked at."""
        self._stop_job()
        self._complete = False
        self._merge = None

    @Slot()
    def measure(self) -> None:
        """Measure everything, in place of what was estimated."""
        if self._subject is not None and not self._merging:
            self._start(MeasureJob(self._subject.setup, self._subject.plan, self._known))

    @Slot()
    def stop_measuring(self) -> None:
        """Keep what is known by now."""
        self._stop_job()
        self._complete = True
        self._tell_source()

    # -- what is looked at

    def _look_at_nothing(self) -> None:
        self._stop_job()
        self._known, self._complete, self.failure = None, False, None
        self._set_subject(None)
        self.lost.emit()
        self._tell_source()

    def _look_at_others(self, subject: Subject) -> None:
        self._stop_job()
        self._known, self._complete = None, False
        self._set_subject(subject)
        self._take_recalled()
        self._start(PreviewJob(subject.setup, subject.plan))
        self._tell_found()

    def _reweigh(self, subject: Subject) -> None:
        """Go on with the same models and other weights."""
        self._stop_job()
        self._complete = subject.equal_weights and self._complete and self.failure is None
        if self._known is not None:
            self._known = replace(self._known, equal_weights=subject.equal_weights, predicting={})
        self._set_subject(subject)
        self._take_recalled()
        kind = ReweighJob if self._complete else PreviewJob
        self._start(kind(subject.setup, subject.plan, self._known))
        if self._known is None:  # or else the job tells it
            self._tell_found()

    def _set_subject(self, subject: Subject | None) -> None:
        self._subject = subject
        self.subject_changed.emit(subject)

    def _show_recalled(self) -> None:
        if self._take_recalled():
            self._tell_found()
            self._tell_source()

    def _take_recalled(self) -> bool:
        """Keep the merge that was recalled where it is one of the subject. Whether it is."""
        recalled, subject = self._recalled, self._subject
        if recalled is None or subject is None or not subject.draws_as(recalled.setup):
            return False
        self._recalled = None
        if self._merging or subject.modified_s >= recalled.began_s:  # the models were written since
            return False
        self._merge = _Merge(subject.draws, recalled.findings, recalled.text)
        return True

    # -- jobs

    def _start(self, job: LookJob) -> None:
        self._stop_job()
        self._job, self._progress, self.failure = job, None, None
        job.planned.connect(self._on_planned)
        job.found.connect(self._on_found)
        job.progressed.connect(self._on_progressed)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self._tell_source()
        self._jobs.start(job)

    def _stop_job(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None

    @Slot(object)
    def _on_planned(self, plan: MergePlan) -> None:
        if self.sender() is self._job and self._subject is not None:
            self._set_subject(replace(self._subject, plan=plan))

    @Slot(object)
    def _on_found(self, findings: Findings) -> None:
        if self.sender() is self._job:  # and not one that was overtaken
            self._known = findings
            self._tell_found()
            self._tell_source()

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        if self.sender() is self._job:
            self._progress = progress
            self._tell_source()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.sender() is self._job:
            self.failure = failure
            if self.findings is None:
                self.lost.emit()

    @Slot()
    def _on_ended(self) -> None:
        if self.sender() is self._job:
            self._job = None
            self._complete = True
            self._tell_source()

    # -- what is told

    @property
    def _merge_of_subject(self) -> _Merge | None:
        """The merge that is kept, where it is one of the models and weights that are looked at."""
        merge, known = self._merge, self._known
        if merge is None or self._subject is None or merge.draws != self._subject.draws:
            return None
        return merge if known is None or known.grid.tensors == merge.findings.grid.tensors else None

    def _tell_found(self) -> None:
        findings = self.findings
        if findings is None:
            self.lost.emit()
        else:
            self.found.emit(findings)

    def _tell_source(self) -> None:
        source = self._source()
        if source != self.source:
            self.source = source
            self.source_changed.emit()

    def _source(self) -> Source:
        if isinstance(self._job, MeasureJob):
            return Source.measured(self._progress)
        merge = self._merge_of_subject
        known = replace(
            Known.of(self._known),
            looking=self._job is not None,
            merge=merge.text if merge is not None else "",
            merging=self._merging,
            failure=self.failure,
        )
        idle = self._subject is not None and not self._merging and self._job is None
        return known.source(can_measure=idle)
