"""Looking at the models of the set-up, with the pictures of what is found."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from core.deltas.findings import Findings
from core.methods import METHODS
from core.runs.history import HistoryEntry
from gui.document.merge_setup import MergeSetup
from gui.jobs import JobKeeper
from gui.looking.fit_job import FitJob, Fitting, misfits_of
from gui.looking.look_jobs import RecallJob
from gui.looking.observer import Observer
from gui.looking.subject import Merge
from gui.looking.tensor_viewer import TensorViewer
from gui.pictures.panel import PicturesPanel
from gui.pictures.shown import Shown
from gui.preflight.report import PlanReport, Problem

__all__ = ["Looking"]


class Looking(QObject):
    """Has the models looked at, and the pictures show what is found, or say what is missing.

    Attributes:
        observer, viewer: what looks at the models, and at single tensors.

    Signals:
        misfit_found(object): the last PlanReport, in which a sub-model that was planned with cannot be read.
    """

    misfit_found = Signal(object)

    def __init__(self, pictures: PicturesPanel, jobs: JobKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures, self._jobs = pictures, jobs
        self._report: PlanReport | None = None
        self._setup: MergeSetup | None = None
        self._fitting: FitJob | None = None
        self._problem: Problem | None = None
        self._recalling: RecallJob | None = None
        self.observer = Observer(jobs, self)
        self.viewer = TensorViewer(jobs, self)
        self._connect()

    def _connect(self) -> None:
        observer, viewer, detail = self.observer, self.viewer, self._pictures.detail
        self._pictures.source.measure_requested.connect(observer.measure)
        self._pictures.source.stop_requested.connect(observer.stop_measuring)
        observer.changed.connect(self._on_changed)
        observer.subject_changed.connect(viewer.set_subject)
        detail.view_wanted.connect(viewer.want)
        detail.view_insisted.connect(viewer.insist)
        viewer.forgotten.connect(detail.forget_view)
        viewer.viewed.connect(detail.show_view)
        viewer.offered.connect(detail.offer_to_look)
        viewer.told.connect(detail.tell)

    def look_at(self, report: PlanReport) -> None:
        """Look at the models of a set-up that was checked; those that do not fit are left out."""
        self._stop_fitting()
        self._report = report
        self._problem = min(report.errors, key=_how_far_away, default=None)
        if report.plan is None and report.setup.base is not None and misfits_of(report):
            self._fitting = FitJob(report)
            self._fitting.fitted.connect(self._on_fitted)
            self._jobs.start(self._fitting)
        else:
            self._look_at(report, ())

    @Slot(object)
    def _on_fitted(self, fitting: Fitting) -> None:
        if self.sender() is self._fitting:  # and not one that was overtaken
            self._fitting = None
            self._problem = fitting.problem or self._problem
            self._look_at(fitting.report, fitting.left_out)

    def _look_at(self, report: PlanReport, left_out: tuple[str, ...]) -> None:
        self.observer.look_at(report, left_out)
        if self.observer.findings is None:
            self._say_what_is_missing()

    def _stop_fitting(self) -> None:
        if self._fitting is not None:
            self._fitting.cancel()
            self._fitting = None

    def show_setup(self, setup: MergeSetup, *, merging: bool) -> None:
        """Say in the pictures how it would be merged, or is; nothing stays of models of another recipe."""
        before, self._setup = self._setup, setup
        if not merging and before is not setup:
            self.observer.forget_others(setup)
        method = METHODS[setup.method]
        values = {**{spec.name: spec.default for spec in method.parameters}, **setup.parameters}
        counts, drops = method.counts_of(values), method.draws_with(values)
        takes, leaves_out = "selected" in counts, bool({"dropped", "elected_against"} & {*counts})
        self._pictures.provenance.set_method(method.title, draws=takes, drops=drops)
        again = method.draws is not None and method.resamples(values) is not None
        resamples = method.draws.resamples if again and method.draws is not None else None
        ruled = any(rule.parameter == resamples for rule in setup.rules)
        n = None if resamples is None or ruled else setup.parameters.get(resamples)
        self._pictures.resampling.set_method(method.title, draws=again, drops=drops, leaves_out=leaves_out)
        self._pictures.resampling.set_resamples(None if n is None else int(n), fixed=merging)

    # -- merges

    def recall(self, entry: HistoryEntry, setup: MergeSetup) -> None:
        """Show what an earlier run counted, once `setup`, which it merged, is looked at."""
        job = self._recalling = RecallJob(entry, setup)
        job.found.connect(self._on_recalled)
        self._jobs.start(job)

    def forget_merge(self) -> None:
        """Show what is known without a merge."""
        self._recalling = None
        self.observer.forget_merge()

    def begin_merge(self, setup: MergeSetup) -> Findings | None:
        """Read nothing from now on. Returns what is known of the models of `setup`."""
        self._recalling = None
        self.viewer.hold(True)
        return self.observer.begin_merge(setup)

    @Slot(object)
    def show_merge(self, findings: Findings) -> None:
        """Show what the merge has counted so far."""
        self.observer.show_merge(findings)

    def end_merge(self, *, done: bool) -> None:
        """The merge is over, and was `done`, or broke off."""
        self.observer.end_merge(done=done)
        self.viewer.hold(False)

    # -- inside

    @Slot(object)
    def _on_recalled(self, merge: Merge) -> None:
        if self.sender() is self._recalling:  # and not one that was asked for before
            self.observer.recall(merge)

    @Slot(object)
    def _on_changed(self, shown: Shown) -> None:
        report = self._without_unreadable()
        if report is not None:
            self.misfit_found.emit(report)
            self.look_at(report)
        elif shown.findings is None:
            self._say_what_is_missing()
        else:
            self._pictures.show_numbers(shown)

    def _without_unreadable(self) -> PlanReport | None:
        """The last report, where a sub-model could be planned with but not be read: it does not fit, then."""
        report, failure = self._report, self.observer.failure
        if report is None or failure is None or failure.path is None:
            return None
        for choice in report.setup.taking_part:
            if failure.path.is_relative_to(choice.folder) and not report.states.get(choice.folder):
                return replace(report, plan=None, states={**report.states, choice.folder: failure.message})
        return None

    def _say_what_is_missing(self) -> None:
        """There are no pictures: say why."""
        report, pictures, setup = self._report, self._pictures, self._setup
        failure = self.observer.failure
        checked = report is not None and report.setup == setup
        if setup is None or (setup.base is None and not setup.models):
            pictures.say_what_to_do()
        elif setup.stages:
            pictures.say_next(
                "Some of these models are merged first",
                "What is not there yet cannot be looked at. To see it, merge it into a folder of its own "
                "and add that.",
            )
        elif setup.base is None:
            pictures.say_next(
                "Choose the base to see what fine-tuning changed",
                "The pictures compare every sub-model with the model that it was fine-tuned from.",
            )
        elif not setup.models:
            pictures.say_next(
                "Add the models that were fine-tuned from this base",
                "The pictures appear by themselves. Models, Make sub-models… makes them of this base and "
                "data of yours.",
            )
        elif not setup.taking_part:
            pictures.say_next(
                "Tick the models that are to take part",
                "None in the list is ticked. The pictures show those that are.",
            )
        elif failure is not None:
            pictures.say_next(
                "The models could not be looked at", f"{failure.message} {failure.hint or ''}".strip()
            )
        elif checked and self._problem is not None and not self.observer.looking and self._fitting is None:
            self._say_what_is_wrong(setup, self._problem)
        else:
            pictures.say_next("Looking at the models…", "The first pictures are there in a moment.")

    def _say_what_is_wrong(self, setup: MergeSetup, problem: Problem) -> None:
        text = f"{problem.message} {problem.hint or ''}".strip()
        parts = len(setup.taking_part)
        if problem.target == "base":
            self._pictures.say_next("The base cannot be used: choose another one", text)
        elif self.observer.left_out and parts > 1:
            self._pictures.say_next(
                f"None of the {parts} models fits this base",
                f"{text} Choose the base that they were fine-tuned from.",
            )
        else:
            self._pictures.say_next("These models cannot be looked at yet", text)


def _how_far_away(problem: Problem) -> int:
    """The least for what is in the way of a look; the most for what is only in the way of a merge."""
    return 2 if problem.left is not None else int(problem.missing)
