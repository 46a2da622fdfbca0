"""What is evaluated, and how it goes: between the panel, the child processes and the scores that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from core import MergeError
from core.data.rows import DataSet
from core.evaluate.store.score_store import ScoreStore
from core.runs.history import HistoryEntry
from gui.background.task import Task
from gui.background.tasks import BackgroundTasks
from gui.document.merge_setup import MergeSetup
from gui.evaluation.course import Course
from gui.evaluation.known_scores import KnownScores
from gui.evaluation.listing import Listing
from gui.evaluation.next_step import what_next, why_not
from gui.evaluation.panel import EvaluationPanel
from gui.evaluation.request import Request
from gui.evaluation.rows import result_rows
from gui.evaluation.running import RunningEvaluation
from gui.failure import Failure, sentence
from gui.jobs import JobKeeper
from gui.widgets.paths import short_paths
from gui.words import plural

__all__ = ["Evaluating"]

_STOPPED = "Stopped. What is scored is kept; Start goes on with the rest."


class Evaluating(QObject):
    """Keeps the panel's table: which models, what is known of them, what the running evaluation says.

    Signals:
        evaluation_changed(object): what is known now of these models, an Evaluation; None for nothing.
        scored(): an evaluation has ended, and scores may have been added.
        started(): the user has started one.
        noted(str, str): what happened, and "info" or "error".
    """

    evaluation_changed = Signal(object)
    scored = Signal()
    started = Signal()
    noted = Signal(str, str)

    def __init__(
        self,
        panel: EvaluationPanel,
        tasks: BackgroundTasks,
        store: ScoreStore,
        jobs: JobKeeper,
        parent: QObject | None = None,
    ) -> None:
        """Args:
        panel: shows it.
        tasks: where evaluations run.
        store: where they keep what they find.
        jobs: keeps the job.
        """
        super().__init__(parent)
        self._panel = panel
        self._listing = Listing()
        self._said: tuple[MergeSetup, tuple[Path, ...]] | None = None
        self._running = RunningEvaluation(tasks, self)
        self._scores = KnownScores(store, jobs, self)
        self._scores.wanted.connect(self._look)
        self._scores.found.connect(self._on_found)
        self._scores.refused.connect(self._on_refused)
        panel.data_chosen.connect(self.set_data)
        panel.models_added.connect(self.add)
        panel.model_removed.connect(self._on_removed)
        panel.ticked.connect(self._on_ticked)
        panel.reference_chosen.connect(self._on_reference)
        panel.settings_changed.connect(self._look_again)
        panel.start_requested.connect(self.start)
        panel.stop_requested.connect(self.stop)
        self._running.found.connect(self._on_running_found)
        self._running.began.connect(self._on_began)
        self._running.told.connect(self._on_told)
        self._running.noted.connect(self._on_noted)
        self._running.progressed.connect(panel.show_progress)
        self._running.ended.connect(self._on_ended)
        self._running.missed.connect(panel.show_failure)
        self._show()

    # -- what there is

    @property
    def looking(self) -> bool:
        """Whether it will be looked in a moment what is known."""
        return self._scores.waiting

    @property
    def running(self) -> bool:
        return self._running.course is not None

    def set_setup(self, setup: MergeSetup, adapters: Sequence[Path] = ()) -> None:
        """The models of the document; `adapters`: those of them that are put on the base."""
        said = setup, tuple(adapters)
        if said != self._said:
            self._said = said
            self._list_said()

    @Slot(object)
    def set_runs(self, runs: Sequence[HistoryEntry]) -> None:
        """Runs that are done and whose outputs are there, newest first."""
        names = short_paths(entry.out for entry in runs)
        self._panel.set_runs({entry.out.absolute(): names[entry.out] for entry in runs})
        with self._listed_anew():
            self._listing.set_runs(runs)

    @Slot(object)
    def set_data(self, path: Path | None) -> None:
        """Evaluate on another file; None for none."""
        if not self.running:
            self._running.leave_found()
            self._panel.show_data(path)
            self._listing.leave_out_unticked()
            self._look_again()

    @Slot(object)
    def add(self, folders: Sequence[Path]) -> None:
        """List and tick models, and select the first of them."""
        self._running.leave_found()
        paths = [folder.absolute() for folder in folders]
        with self._listed_anew():
            self._listing.add(paths)
        if paths:
            self._panel.select(paths[0])

    def _list_said(self) -> None:
        """List the models of the document; what is being evaluated stays listed."""
        if self._said is not None:
            with self._listed_anew():
                self._listing.set_setup(*self._said, keep=self.running)

    # -- start and stop

    @Slot()
    def start(self) -> None:
        """Evaluate what is ticked."""
        request = self._request()
        if request is None or self.running:
            return
        self._running.leave_found()
        self._panel.message.clear()
        try:
            self._running.start(request)
        except MergeError as error:
            self._panel.show_failure(Failure.of(error))
        else:
            self.started.emit()

    @Slot()
    def stop(self) -> None:
        try:
            if self._running.stop():
                self._panel.show_stopping()
        except MergeError as error:
            self._panel.show_failure(Failure.of(error))

    def _request(self) -> Request | None:
        data, models = self._panel.data, self._listing.evaluated
        if data is None or not models:
            return None
        return Request(data, models, models[0], self._panel.settings.choices())

    # -- the running evaluation

    @Slot(object)
    def _on_running_found(self, request: Request) -> None:
        """Show what an evaluation evaluates."""
        self._panel.settings.show_choices(request.choices)
        self._panel.show_data(request.data)
        self._listing.take(request)
        self._look_again()

    @Slot(object)
    def _on_began(self, request: Request) -> None:
        self._listing.hold(request)
        self._panel.set_running(True)
        self._show()

    @Slot(str)
    def _on_noted(self, note: str) -> None:
        self.noted.emit(sentence(note), "info")

    @Slot(str)
    def _on_told(self, kind: str) -> None:
        if kind in ("scores", "comparisons"):
            self._show()
        if kind == "scores":
            self._look()  # so that it is compared as soon as the reference is scored

    @Slot(object, object)
    def _on_ended(self, course: Course, task: Task) -> None:
        self._panel.set_running(False)
        self._list_said()
        if task.failure is not None:
            self._panel.show_failure(task.failure)
            self.noted.emit(f"{task.failure.message} {task.failure.hint or ''}".strip(), "error")
        elif task.state == "cancelled":
            self._panel.message.show_note(_STOPPED)
        else:
            self.noted.emit(f"Evaluated {plural(len(course.request.models), 'model')}", "info")
        self._show()
        self._look()
        self.scored.emit()

    # -- what is known

    @Slot()
    def _look_again(self) -> None:
        """What was known is about something else."""
        if self._scores.unusable is not None:
            self._panel.message.clear()
        self._scores.forget()
        self._scores.look_soon()
        self._show()

    @Slot()
    def _look(self) -> None:
        """Look for the scores that are kept."""
        data, listing = self._panel.data, self._listing
        choices = self._panel.settings.choices()
        self._scores.look(data, listing.paths, listing.reference, choices, listing.compared)
        if data is None:
            self._show()
            self.evaluation_changed.emit(None)

    @Slot()
    def _on_found(self) -> None:
        self._show()
        known, listing = self._scores.known, self._listing
        if known is None or not known.whole:
            return
        if known.failure is not None and not self.running:
            self._panel.show_failure(known.failure)
        if listing.reference is not None:
            self.evaluation_changed.emit(known.evaluation(listing.reference, listing.names))

    @Slot()
    def _on_refused(self) -> None:
        if self._scores.unusable is not None:
            self._panel.show_failure(self._scores.unusable)
        self._show()
        self.evaluation_changed.emit(None)

    # -- the list

    @Slot(object, bool)
    def _on_ticked(self, path: Path, ticked: bool) -> None:
        self._running.leave_found()
        self._listing.tick(path, ticked)
        self._show()

    @Slot(object)
    def _on_reference(self, path: Path) -> None:
        if path != self._listing.reference:
            self._listing.set_reference(path)
            self._look_again()

    @Slot(object)
    def _on_removed(self, path: Path) -> None:
        with self._listed_anew():
            self._listing.remove(path)

    @contextmanager
    def _listed_anew(self) -> Iterator[None]:
        """Show what is listed after a change, and look what is known of it."""
        before = self._listing.paths
        yield
        if self._listing.paths != before and not self.running:
            self._scores.look_soon()
        self._show()

    # -- how it looks

    def _show(self) -> None:
        known = self._scores.known
        rows = result_rows(self._listing, self._running.course, known)
        self._panel.show_rows(rows, self._listing.removable)
        why = why_not(self._panel.data, rows, self._scores.unusable)
        self._panel.set_why_not(why)
        data = None if known is None else known.data
        self._panel.show_facts("" if data is None else plural(len(data.rows), "row"), _notes(data))
        if not self.running:
            self._panel.show_status(what_next(rows, known, why))


def _notes(data: DataSet | None) -> str:
    return "" if data is None else "\n".join(data.notes)
