"""What is evaluated, and how it goes: between the panel, the child processes and the scores that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core import MergeError
from core.data.rows import DataSet
from core.evaluate.store.score_store import ScoreStore
from core.runs.history import HistoryEntry
from core.units import about_text
from gui.background.task import Task
from gui.background.tasks import BackgroundTasks
from gui.document.merge_setup import MergeSetup
from gui.evaluation.candidates import Candidate
from gui.evaluation.course import Course
from gui.evaluation.figures import Figures, ResultRow
from gui.evaluation.listing import Listing
from gui.evaluation.look_job import Known, LookJob
from gui.evaluation.panel import EvaluationPanel
from gui.evaluation.request import Request
from gui.failure import Failure, sentence
from gui.jobs import JobKeeper
from gui.widgets.paths import short_paths
from gui.words import plural

__all__ = ["Evaluating"]

KIND = "evaluate"
_PAUSE_MS = 150
"""A pause in changes, after which is looked what is known."""
_NO_DATA = (
    "Choose a file with held-out samples: JSONL or CSV with “text”, with “prompt” and “response”, with "
    "“messages” or with “text” and “label”; or plain text."
)
_NO_MODELS = "Choose the models of a merge on the left, or add a folder with a model."
_START = "Start scores what is ticked; nothing is scored twice."
_SELECT = "Select a model to read what its difference means."
_COMPARING = "Comparing what is known…"
_STOPPED = "Stopped. What is scored is kept; Start goes on with the rest."


class Evaluating(QObject):
    """Keeps the panel's table: which models, what is known of them, what the running evaluation says.

    Signals:
        evaluation_changed(object): what is known now of these models, an Evaluation; None for nothing.
        scored(): an evaluation has ended, and scores may have been added.
        noted(str, str): what happened, and "info", "warning" or "error".
    """

    evaluation_changed = Signal(object)
    scored = Signal()
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
        self._panel, self._tasks, self._store, self._jobs = panel, tasks, store, jobs
        self._listing = Listing()
        self._said: tuple[MergeSetup, tuple[Path, ...]] | None = None
        self._known: Known | None = None
        self._unusable: Failure | None = None
        self._course: Course | None = None
        self._untouched = True
        self._found = ""
        self._job: LookJob | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._look)
        panel.data_chosen.connect(self.set_data)
        panel.models_added.connect(self.add)
        panel.model_removed.connect(self._on_removed)
        panel.ticked.connect(self._on_ticked)
        panel.reference_chosen.connect(self._on_reference)
        panel.settings_changed.connect(self._look_again)
        panel.start_requested.connect(self.start)
        panel.stop_requested.connect(self.stop)
        tasks.began.connect(self._on_began)
        tasks.told.connect(self._on_told)
        tasks.changed.connect(self._on_changed)
        tasks.ended.connect(self._on_ended)
        self._show()

    # -- what there is

    @property
    def running(self) -> bool:
        return self._course is not None

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
            self._untouched = False
            self._panel.show_data(path)
            self._look_again()

    @Slot(object)
    def add(self, folders: Sequence[Path]) -> None:
        """List and tick models, and select the first of them."""
        self._untouched = False
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
        self._untouched = False
        self._panel.message.clear()
        try:
            task = self._tasks.start(KIND, request.arguments(), request.title)
        except MergeError as error:
            self._panel.show_failure(Failure.of(error))
            return
        self._follow(task, request)

    @Slot()
    def stop(self) -> None:
        if self._course is None:
            return
        try:
            self._tasks.stop(self._course.task)
        except MergeError as error:
            self._panel.show_failure(Failure.of(error))
        else:
            self._panel.show_stopping()

    def _request(self) -> Request | None:
        data, models = self._panel.data, self._listing.evaluated
        if data is None or not models:
            return None
        return Request(data, models, models[0], self._panel.settings.choices())

    # -- the running evaluation

    @Slot(object)
    def _on_began(self, task: Task) -> None:
        """One was started, or is found again."""
        request = Request.read(task.arguments) if task.kind == KIND else None
        if request is None:
            return
        if self._course is not None and self._course.task.id != self._found:
            return  # those that are found come oldest first, and each counts as running until it is looked at
        if not self._untouched:
            return  # the user is at something else here, or has just started this very one
        self._found = task.id
        self._take(request)
        if task.running:
            self._follow(task, request)

    def _take(self, request: Request) -> None:
        """Show what an evaluation evaluates."""
        self._panel.settings.show_choices(request.choices)
        self._panel.show_data(request.data)
        self._listing.take(request)
        self._look_again()

    def _follow(self, task: Task, request: Request) -> None:
        self._course = Course(task, request)
        self._listing.hold(request)
        self._panel.set_running(True)
        self._show()

    @Slot(str, object)
    def _on_told(self, task_id: str, event: Mapping[str, Any]) -> None:
        course = self._course
        if course is None or task_id != course.task.id:
            return
        note = course.take(event)
        if note:
            self.noted.emit(sentence(note), "warning")
        if event.get("kind") in ("scores", "comparisons"):
            self._show()
        if event.get("kind") == "scores":
            self._look()  # so that it is compared as soon as the reference is scored

    @Slot(object)
    def _on_changed(self, task: Task) -> None:
        if self._course is not None and task.id == self._course.task.id:
            self._course.task = task
            left = "" if task.remaining_s is None else f", {about_text(task.remaining_s)} left"
            self._panel.show_progress(task.share, f"{task.text or 'Scoring'}{left}")

    @Slot(object)
    def _on_ended(self, task: Task) -> None:
        course = self._course
        if course is None or task.id != course.task.id:
            if task.id == self._found and task.failure is not None and not task.seen:
                self._panel.show_failure(task.failure)  # it ended while no window was there
            return
        self._course = None
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
        if self._unusable is not None:
            self._panel.message.clear()
        self._known = self._unusable = None
        self._look_soon()
        self._show()

    def _look_soon(self) -> None:
        """Once nothing has changed for a moment; not any more once the window is closed."""
        if not self._jobs.stopped:
            self._timer.start()

    @Slot()
    def _look(self) -> None:
        """Look for the scores that are kept."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
            self._job = None
        data = self._panel.data
        if data is None:
            self._show()
            self.evaluation_changed.emit(None)
            return
        listing, choices = self._listing, self._panel.settings.choices()
        job = LookJob(self._store, data, listing.paths, listing.reference, choices)
        self._job = job
        job.found.connect(self._on_found)
        job.failed.connect(self._on_unusable)
        job.ended.connect(self._on_looked)
        self._jobs.start(job)

    @Slot(object)
    def _on_found(self, known: Known) -> None:
        if self.sender() is not self._job:
            return
        before, self._unusable = self._known, None
        if not known.whole and before is not None:
            known = replace(known, comparisons=before.comparisons)  # until there are those of now
        self._known = known
        self._show()
        if not known.whole:
            return
        if known.failure is not None and not self.running:
            self._panel.show_failure(known.failure)
        listing = self._listing
        if listing.reference is not None:
            self.evaluation_changed.emit(known.evaluation(listing.reference, listing.names))

    @Slot(object)
    def _on_unusable(self, failure: Failure) -> None:
        if self.sender() is self._job:
            self._known, self._unusable = None, failure
            self._panel.show_failure(failure)
            self._show()
            self.evaluation_changed.emit(None)

    @Slot()
    def _on_looked(self) -> None:
        if self.sender() is self._job:
            self._job = None

    # -- the list

    @Slot(object, bool)
    def _on_ticked(self, path: Path, ticked: bool) -> None:
        self._untouched = False
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
            self._look_soon()
        self._show()

    # -- how it looks

    def _show(self) -> None:
        names, reference = self._listing.names, self._listing.reference
        rows = [self._row(one, names[one.path], one.path == reference) for one in self._listing.models]
        self._panel.show_rows(rows, self._listing.removable)
        self._panel.set_why_not(self._why_not())
        data = None if self._known is None else self._known.data
        self._panel.show_facts("" if data is None else plural(len(data.rows), "row"), _notes(data))
        if not self.running:
            self._panel.show_status(self._what_next(rows))

    def _row(self, one: Candidate, name: str, is_reference: bool) -> ResultRow:
        course, known = self._course, self._known
        figures = comparison = None
        state = ""
        if course is not None and one.path in course.request.models:
            figures, comparison = course.figures.get(one.path), course.comparisons.get(one.path)
            state = "" if figures is not None else "scoring" if one.path == course.in_hand else "waits"
        if known is not None and figures is None and one.path in known.scores:
            figures, state = Figures.of(known.scores[one.path]), ""
        if known is not None and comparison is None:
            comparison = known.comparisons.get(one.path)
        return ResultRow(
            one, name, self._listing.is_ticked(one.path), is_reference, figures, comparison, state
        )

    def _why_not(self) -> str:
        if self._panel.data is None:
            return _NO_DATA
        if not self._listing.models:
            return _NO_MODELS
        return "" if self._unusable is None else self._unusable.message

    def _what_next(self, rows: Sequence[ResultRow]) -> str:
        if self._known is not None and not self._known.whole:
            return _COMPARING
        if any(row.comparison is not None for row in rows):
            return _SELECT
        return _START if not self._why_not() else ""


def _notes(data: DataSet | None) -> str:
    return "" if data is None else "\n".join(data.notes)
