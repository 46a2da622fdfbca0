"""Keeps what is known of the models of the set-up, and finds out more by itself."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal, Slot

from core import MergePlan, Progress
from core.deltas.findings import Findings
from core.methods import METHODS
from core.units import duration_text, share_text
from gui.jobs import JobKeeper
from gui.look_jobs import LookJob, MeasureJob, PreviewJob
from gui.merge_setup import MergeSetup
from gui.reports import Failure, PlanReport

__all__ = ["Observer", "Source"]


@dataclass(frozen=True)
class Source:
    """Where the numbers of the pictures come from.

    Attributes:
        text: one sentence.
        can_measure: whether exact numbers can be had.
        measuring: whether they are on their way.
    """

    text: str = ""
    can_measure: bool = False
    measuring: bool = False


@dataclass(frozen=True)
class _Subject:
    """What is looked at.

    Attributes:
        setup: of a method that reads the base.
        plan: of it; None where it is still to be made.
        models: says whether two subjects have the same deltas.
        modified_s: when the newest of their files was written, seconds since 1970.
        weights: says whether two have the same draws to be predicted.
    """

    setup: MergeSetup
    plan: MergePlan | None
    models: Hashable
    weights: Hashable
    modified_s: float


@dataclass(frozen=True)
class _Recalled:
    """An earlier merge, to be shown when its models are looked at.

    Attributes:
        setup: what was merged.
        findings, text: as for `Observer.show_merge`.
        began_s: when, seconds since 1970.
    """

    setup: MergeSetup
    findings: Findings
    text: str
    began_s: float


class Observer(QObject):
    """Looks at the models that were planned with last, in jobs, unless a merge runs.

    A preview begins by itself when the models, their weights or the precision are others. What a merge counts
    comes to it, and stays as long as the models are the same.

    Attributes:
        failure: why the last look failed; None where it did not.
        source: where the numbers come from.

    Signals:
        subject_changed(object, object): the set-up that is looked at, of a method that reads the base, and
            its plan, None while it has none; None and None for nothing.
        found(object): Findings about the models that are looked at.
        lost(): nothing is known of the models that are in the set-up now.
        source_changed(): `source` is another.
    """

    subject_changed = Signal(object, object)
    found = Signal(object)
    lost = Signal()
    source_changed = Signal()

    def __init__(self, jobs: JobKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._subject: _Subject | None = None
        self._job: LookJob | None = None
        self._inspected: Findings | None = None
        self._merge: tuple[Hashable, Findings, str] | None = None
        self._recalled: _Recalled | None = None
        self._complete = False
        self._outdated = False
        self._merging = False
        self._progress: Progress | None = None
        self.failure: Failure | None = None
        self.source = Source()

    # -- what is known

    @property
    def findings(self) -> Findings | None:
        """What is known; None where nothing is."""
        merged = self._merge_of_subject
        if self._inspected is not None:
            if merged is None:
                return self._inspected
            return replace(self._inspected, merged=merged.merged, records=merged.records)
        return merged

    @property
    def looking(self) -> bool:
        """Whether a job is at it."""
        return self._job is not None

    # -- what the window tells

    def look_at(self, report: PlanReport) -> None:
        """Look at the models of a set-up that was checked, unless that was done, or a merge runs."""
        if self._merging:
            return
        subject = _subject_of(report)
        if subject is None and self._subject is not None and _same_models(self._subject.setup, report.setup):
            return  # something else is missing, such as the seed
        if subject is None:
            self._stop_job()
            self._inspected, self._complete, self.failure = None, False, None
            self._set_subject(None)
            self.lost.emit()
            self._tell_source()
            return
        before = self._subject
        if before is not None and (before.models, before.weights) == (subject.models, subject.weights):
            if self._job is not None or self._complete:
                return
        else:
            self._set_subject(subject)
            self._show_recalled()
            self._complete, self._outdated, self.failure = False, True, None
            if before is None or before.models != subject.models:
                self._inspected = None
                if self._merge_of_subject is None:
                    self.lost.emit()
        self._start(PreviewJob(subject.setup, subject.plan))

    def recall(self, setup: MergeSetup, findings: Findings, text: str, began_s: float) -> None:
        """Show what an earlier merge counted, once these models are looked at, if they are as they were.

        Args:
            setup: what was merged.
            findings, text: as for `show_merge`.
            began_s: when it was merged; models that were written later are others.
        """
        self._recalled = _Recalled(setup, findings, text, began_s)
        self._show_recalled()

    def begin_merge(self, setup: MergeSetup) -> Findings | None:
        """Keep still from now on: a merge needs the machine. Returns what is known of its models."""
        self._stop_job()
        self._merging = True
        self._merge = None
        self._tell_source()
        return self._inspected

    def show_merge(self, findings: Findings, text: str) -> None:
        """What a merge has counted so far of the models that are looked at.

        Args:
            findings: with the cells that are merged.
            text: what to call the merge: "n = 4, seed 7".
        """
        if self._subject is not None:
            self._merge = self._subject.models, findings, text
        self.found.emit(findings)
        self._tell_source()

    def end_merge(self, *, keep: bool) -> None:
        """The merge is over; what it counted is kept, or not."""
        self._merging = False
        if not keep:
            self.forget_merge()
        self._tell_source()

    def forget_merge(self) -> None:
        """Show what is known without a merge."""
        had, self._merge, self._recalled = self._merge, None, None
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
            self._start(MeasureJob(self._subject.setup, self._subject.plan, self._inspected))

    @Slot()
    def stop_measuring(self) -> None:
        """Keep what is known by now."""
        self._stop_job()
        self._complete = True
        self._tell_source()

    # -- jobs

    def _set_subject(self, subject: _Subject | None) -> None:
        self._subject = subject
        if subject is None:
            self.subject_changed.emit(None, None)
        else:
            self.subject_changed.emit(subject.setup, subject.plan)

    def _start(self, job: LookJob) -> None:
        self._stop_job()
        self._job, self._progress = job, None
        job.planned.connect(self._on_planned)
        job.found.connect(self._on_found)
        job.progressed.connect(self._on_progressed)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self._tell_source()
        self._jobs.start(job)

    def _show_recalled(self) -> None:
        recalled, subject = self._recalled, self._subject
        if recalled is None or subject is None or not _same_deltas(recalled.setup, subject.setup):
            return
        self._recalled = None
        fits = self._inspected is None or self._inspected.grid.tensors == recalled.findings.grid.tensors
        if subject.modified_s < recalled.began_s and fits and not self._merging:
            self._merge = subject.models, recalled.findings, recalled.text
            self._tell_found()
            self._tell_source()

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
            self._inspected, self._outdated = findings, False
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
    def _merge_of_subject(self) -> Findings | None:
        if self._merge is None or self._subject is None or self._merge[0] != self._subject.models:
            return None
        return self._merge[1]

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
            return Source(_progress_text(self._progress), measuring=True)
        merged = self._merge_of_subject
        sample = self._inspected.sample if self._inspected is not None else 0.0
        can_measure = self._subject is not None and not self._merging and self._job is None and sample < 1
        if self.failure is not None:
            return Source(f"{self.failure.message} {self.failure.hint or ''}".strip(), can_measure)
        estimated = f"estimated from {share_text(sample)} of the parameters"
        if sample >= 1:
            estimated = "measured on every parameter"
        elif self._job is not None:
            estimated += " so far" if sample else ""
        if merged is not None:
            how = f"Counted by the merge with {self._merge_text}"
            if self._merging:
                how = "Being counted by the merge"
            rest = f"; norms and cosines {estimated}" if sample else ""
            return Source(f"{how}{rest}", can_measure and bool(sample))
        if not sample or (self._outdated and merged is None):
            return Source("Looking at the models…" if self._job is not None else "", can_measure)
        return Source(f"{estimated[:1].upper()}{estimated[1:]}", can_measure)

    @property
    def _merge_text(self) -> str:
        return self._merge[2] if self._merge is not None else ""


def _progress_text(progress: Progress | None) -> str:
    if progress is None:
        return "Measuring every parameter…"
    left = progress.remaining_s
    rest = f", {duration_text(left)} left" if left is not None else ""
    return f"Measuring every parameter: {int(100 * progress.fraction)} %{rest}"


def _subject_of(report: PlanReport) -> _Subject | None:
    """What there is to be looked at; None where there is no base, or the models do not fit."""
    setup, plan = report.setup, report.plan
    if setup.base is None or plan is None:
        return None
    files = tuple((shard.path, shard.size_bytes, shard.modified_ns) for shard in plan.headers.values())
    if not METHODS[setup.method].needs_base:
        setup, plan = _as_selection(setup), None
    taking_part = setup.taking_part
    folders = tuple(choice.folder for choice in taking_part)
    models = (setup.base, folders, setup.dtype, setup.zero_tolerance, setup.vocab, files)
    rules = tuple(rule for rule in setup.rules if rule.parameter == "weight")
    weights = tuple(choice.weight for choice in taking_part), rules
    return _Subject(setup, plan, models, weights, max((file[2] for file in files), default=0) / 1e9)


def _same_models(one: MergeSetup, other: MergeSetup) -> bool:
    folders = ([choice.folder for choice in setup.taking_part] for setup in (one, other))
    return one.base == other.base and next(folders) == next(folders)


def _same_deltas(one: MergeSetup, other: MergeSetup) -> bool:
    precision = ((setup.dtype, setup.zero_tolerance, setup.vocab) for setup in (one, other))
    return _same_models(one, other) and next(precision) == next(precision)


def _as_selection(setup: MergeSetup) -> MergeSetup:
    """The same models for a method that reads the base and draws with equal weights."""
    return replace(
        setup,
        method="parameter_selection",
        models=tuple(replace(choice, weight=1.0) for choice in setup.models),
        parameters={},
        rules=(),
        seed=0,
    )
