"""Keeps what is known of the models of the set-up, and finds out more by itself."""

from __future__ import annotations

import time
from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from core import MergePlan, Progress
from core.deltas.findings import Findings
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.looking.look_jobs import LookJob, MeasureJob, PreviewJob, ReweighJob
from gui.looking.subject import Merge, Subject, same_merge, same_models
from gui.pictures.shown import Activity, Shown
from gui.preflight.report import PlanReport

__all__ = ["Observer"]


class Observer(QObject):
    """Looks at the models that were planned with last, in jobs, unless a merge runs.

    A preview begins by itself when the models or the precision are others. With other weights all that
    does not depend on them stays. What a merge counts comes to it. That of the merge that runs, or else of
    the last one, is shown as long as its recipe is the one that is looked at.

    Attributes:
        shown: what there is to be shown, and where it comes from.
        failure: why the last look failed; None where it did not.
        left_out: the names of models that are not looked at, because they do not fit.

    Signals:
        subject_changed(object): the Subject that is looked at; None for nothing.
        changed(object): `shown` has changed; it is this value.
    """

    subject_changed = Signal(object)
    changed = Signal(object)

    def __init__(self, jobs: JobKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._subject: Subject | None = None
        self._unmade: MergeSetup | None = None  # of models that are merged first: only a merge sees them
        self._job: LookJob | None = None
        self._known: Findings | None = None
        self._last: Merge | None = None
        self._running: Merge | None = None
        self._joined: tuple[Findings, Merge, Findings] | None = None
        self._complete = False
        self._progress: Progress | None = None
        self.failure: Failure | None = None
        self.left_out: tuple[str, ...] = ()
        self.shown = Shown()

    # -- what is known

    @property
    def findings(self) -> Findings | None:
        """What is known; None where nothing is."""
        return self.shown.findings

    @property
    def looking(self) -> bool:
        """Whether a job is at it."""
        return self._job is not None

    # -- what the window tells

    def look_at(self, report: PlanReport, left_out: tuple[str, ...] = ()) -> None:
        """Look at the models of a set-up that was checked, unless that was done, or a merge runs.

        Args:
            report: of the models that fit.
            left_out: the names of the others.
        """
        if self._running is not None:
            return
        self.left_out = left_out
        self._unmade = report.setup if report.setup.stages and report.plan is not None else None
        subject, before = Subject.of(report), self._subject
        if subject is None:
            if before is None or left_out or not same_models(before.setup, report.setup):
                self._look_at_nothing()  # and else something is missing that is not looked at, as the seed
        elif before is None or before.models != subject.models:
            self._look_at_others(subject)
        elif before.draws != subject.draws:
            self._reweigh(subject)
        else:
            self._subject = replace(subject, plan=subject.plan or before.plan)
            self._update()
            if self._job is None and not self._complete:
                self._start(PreviewJob(subject.setup, self._subject.plan, self._known))

    def forget_others(self, setup: MergeSetup) -> None:
        """Look at nothing where what is looked at has nothing to do with `setup`: another recipe was opened.

        With the same base and some of its models it is kept until the next report.
        """
        if self._unmade is not None and not same_merge(self._unmade, setup):
            self._unmade = None
            self._update()
        if self._running is None and self._subject is not None:
            of_subject = {choice.folder for choice in self._subject.setup.taking_part}
            shared = any(choice.folder in of_subject for choice in setup.taking_part)
            if self._subject.setup.base != setup.base or not shared:
                self._look_at_nothing()

    def recall(self, merge: Merge) -> None:
        """Show what an earlier merge counted as long as its recipe is looked at."""
        self._last = merge
        self._update()

    def begin_merge(self, setup: MergeSetup) -> Findings | None:
        """Keep still from now on: a merge needs the machine. Returns what is known of its models."""
        self._stop_job()
        subject = self._subject
        self._running = Merge(setup, time.time(), None if subject is None else subject.files)
        self._update()
        return self._known if subject is not None and subject.draws_as(setup) else None

    def show_merge(self, findings: Findings) -> None:
        """What the merge that runs has counted so far, in `findings` with the cells that it has finished."""
        if self._running is not None:
            self._running = replace(self._running, findings=findings)
            self._update()

    def end_merge(self, *, done: bool) -> None:
        """The merge is over. What it counted, which may be nothing, takes the place of what the last one did
        where it was done; or else it is forgotten."""
        if done:
            self._last = self._running
        self._running = None
        self._update()

    def forget_merge(self) -> None:
        """Show what is known without a merge."""
        self._last = None
        self._update()

    def read_again(self) -> None:
        """Look again at the next report, even at what was looked at."""
        self._stop_job()
        self._complete = False
        self._last = None

    @Slot()
    def measure(self) -> None:
        """Measure everything, in place of what was estimated."""
        if self._subject is not None and self._running is None:
            self._start(MeasureJob(self._subject.setup, self._subject.plan, self._known))

    @Slot()
    def stop_measuring(self) -> None:
        """Keep what is known by now."""
        self._stop_job()
        self._complete = True
        self._update()

    # -- what is looked at

    def _look_at_nothing(self) -> None:
        self._stop_job()
        self._known, self._complete, self.failure = None, False, None
        self._progress = None
        self._set_subject(None)
        self._update()

    def _look_at_others(self, subject: Subject) -> None:
        self._known, self._complete = None, False
        self._set_subject(subject)
        self._start(PreviewJob(subject.setup, subject.plan))

    def _reweigh(self, subject: Subject) -> None:
        """Go on with the same models and other weights."""
        self._complete = subject.equal_weights and self._complete and self.failure is None
        if self._known is not None:
            self._known = replace(self._known, equal_weights=subject.equal_weights, predicting={})
        self._set_subject(subject)
        kind = ReweighJob if self._complete else PreviewJob
        self._start(kind(subject.setup, subject.plan, self._known))

    def _set_subject(self, subject: Subject | None) -> None:
        self._subject = subject
        self.subject_changed.emit(subject)

    # -- jobs

    def _start(self, job: LookJob) -> None:
        self._stop_job()
        self._job, self._progress, self.failure = job, None, None
        job.planned.connect(self._on_planned)
        job.found.connect(self._on_found)
        job.progressed.connect(self._on_progressed)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self._update()
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
            self._update()

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        if self.sender() is self._job:
            self._progress = progress
            self._update()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.sender() is self._job:
            self.failure = failure
            self._update()

    @Slot()
    def _on_ended(self) -> None:
        if self.sender() is self._job:
            self._job = None
            self._complete = True
            self._update()

    # -- what is shown

    def _update(self) -> None:
        """Make `shown` anew from everything that is known."""
        shown = Shown(
            self._findings(),
            self._activity(),
            self._progress,
            self.failure,
            can_measure=self._subject is not None,
            left_out=self.left_out if self._subject is not None else (),
        )
        if shown != self.shown:
            self.shown = shown
            self.changed.emit(shown)

    def _findings(self) -> Findings | None:
        """What looking found; with what the merge that runs, or else the last one, counted of this recipe."""
        known, subject, merge = self._known, self._subject, self._running or self._last
        if merge is None or merge.findings is None:
            return known
        if subject is None and self._unmade is not None and same_merge(merge.setup, self._unmade):
            return merge.findings
        if subject is None or not subject.is_merged_by(merge):
            return known
        merged = merge.findings
        if known is None or _same_look(known, merged):
            return merged
        if known.grid.tensors != merged.grid.tensors:
            return known
        if self._joined is None or self._joined[:2] != (known, merge):
            self._joined = known, merge, replace(known, counted=merged.counted)
        return self._joined[2]

    def _activity(self) -> Activity:
        if self._running is not None:
            return "merging"
        if self._job is None:
            return ""
        return "measuring" if isinstance(self._job, MeasureJob) else "looking"


def _same_look(one: Findings, other: Findings) -> bool:
    """Whether both have come from the same look at the models."""
    return one.inspected is other.inspected and one.predicting is other.predicting
