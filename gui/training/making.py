"""Making sub-models: asks what, has a process do it, follows it, and hands on what was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from core.errors import MergeError
from gui.background.task import Task
from gui.background.tasks import BackgroundTasks
from gui.document.made_models import MadeModels
from gui.document.output_names import free_name
from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.training.dialog import MakeDialog
from gui.training.form import Start
from gui.training.panel import TrainingPanel
from gui.training.request import Request, out_of
from gui.training.training import ShownTraining
from gui.training.use_job import UseJob
from gui.widgets.places import Places
from gui.words import plural

__all__ = ["Making"]

_KIND = "train"


class Making(QObject):
    """Ties the dialog, the tasks and the panel together.

    Attributes:
        dialog: the one that is open; None while none is.
        trainings: what the panel can show, the newest first.

    Signals:
        shown(): something is to be seen in the panel.
        made(object): the MadeModels that are to be the models of the recipe.
        open_requested(object): a folder, a Path, is to be opened.
        noted(str, str): a sentence for the log, and its kind as the log has it.
        remarked(str): the same, where it is worth a look now.
    """

    shown = Signal()
    made = Signal(object)
    open_requested = Signal(object)
    noted = Signal(str, str)
    remarked = Signal(str)

    def __init__(
        self, panel: TrainingPanel, tasks: BackgroundTasks, jobs: JobKeeper, places: Places, window: QWidget
    ) -> None:
        super().__init__(window)
        self._panel, self._tasks, self._jobs, self._places = panel, tasks, jobs, places
        self._window = window
        self._base: Callable[[], Path | None] = lambda: None
        self.dialog: MakeDialog | None = None
        self.trainings: list[ShownTraining] = []
        self._using = False
        tasks.began.connect(self._on_began)
        tasks.told.connect(self._on_told)
        tasks.changed.connect(self._on_changed)
        tasks.ended.connect(self._on_ended)
        tasks.dismissed.connect(self._on_dismissed)
        panel.make_requested.connect(self.ask)
        panel.chosen.connect(self._show)
        panel.stop_requested.connect(self._on_stop)
        panel.go_on_requested.connect(self._on_go_on)
        panel.use_requested.connect(self._on_use)
        panel.dismiss_requested.connect(self._on_dismiss)
        panel.open_requested.connect(self.open_requested)

    def ask_base(self, base: Callable[[], Path | None]) -> None:
        """Have the dialog begin with what `base` says."""
        self._base = base

    @Slot()
    def ask(self) -> None:
        """Ask what is to be made."""
        if self.dialog is not None:
            self.dialog.raise_()
            self.dialog.activateWindow()
            return
        base = self._base()
        beside = base.parent if base is not None else None
        folder = self._places.start("sub-models", beside)
        start = Start(base, free_name(folder / "sub-models"), self._places.start("data", beside))
        dialog = self.dialog = MakeDialog(start, self._jobs, self._window)
        dialog.requested.connect(self._on_requested)
        dialog.finished.connect(self._on_dialog_finished)
        dialog.open()

    # -- the dialog

    @Slot(object)
    def _on_requested(self, request: Request) -> None:
        failure = self._start(request.arguments(), request.title)
        if failure is not None:
            if self.dialog is not None:
                self.dialog.show_failure(failure)
            return
        self._places.remember("sub-models", request.out.parent)
        self._places.remember("data", request.data.parent)
        if self.dialog is not None:
            self.dialog.accept()

    @Slot()
    def _on_dialog_finished(self) -> None:
        self.dialog = None

    # -- the tasks

    @Slot(object)
    def _on_began(self, task: Task) -> None:
        out = ShownTraining.folder_of(task)
        if out is None:
            return
        training = next((one for one in self.trainings if one.out == out), None) or ShownTraining(out)
        training.add(task)
        self.trainings = [training, *(one for one in self.trainings if one is not training)]
        self._show(training)  # what was begun last; when a window opens they come oldest first

    @Slot(str, object)
    def _on_told(self, task_id: str, event: dict[str, Any]) -> None:
        training = self._of(task_id)
        if training is None:
            return
        training.take(task_id, event)
        if event["kind"] == "note" and not training.task.seen:
            self.noted.emit(str(event.get("text")), "info")
        self._show_soon(training)

    @Slot(object)
    def _on_changed(self, task: Task) -> None:
        training = self._of(task.id)
        if training is not None:
            training.update(task)
            self._show_soon(training)

    @Slot(object)
    def _on_ended(self, task: Task) -> None:
        training = self._of(task.id)
        if training is None:
            return
        training.update(task)
        training.catch_up()
        if training is self._panel.training:
            self._show(training)
        if not task.seen:
            said = {
                "done": f"The sub-models in {training.out} are made",
                "cancelled": f"Making {training.out} was stopped",
                "failed": f"Making {training.out} failed: {task.failure.message if task.failure else ''}",
            }
            self._say(said[task.state], "error" if task.state == "failed" else "info")

    @Slot(object)
    def _on_dismissed(self, task: Task) -> None:
        training = self._of(task.id)
        if training is None:
            return
        training.tasks = [one for one in training.tasks if one.id != task.id]
        if not training.tasks:
            self.trainings.remove(training)
            shown = self._panel.training
            if shown is training:
                shown = self.trainings[0] if self.trainings else None
            self._panel.show_training(shown, self.trainings)

    # -- the panel

    @Slot(object)
    def _show(self, training: ShownTraining) -> None:
        self._panel.show_training(training, self.trainings)

    @Slot(object)
    def _on_stop(self, training: ShownTraining) -> None:
        try:
            self._tasks.stop(training.task)
        except MergeError as error:
            self._show_failure(training, Failure.of(error))

    @Slot(object)
    def _on_go_on(self, training: ShownTraining) -> None:
        """The same command again: it goes on where it was."""
        task = training.task
        failure = None if task.running else self._start(task.arguments, task.title)
        if failure is not None:
            self._show_failure(training, failure)

    @Slot(object)
    def _on_use(self, training: ShownTraining) -> None:
        if self._using:
            return
        self._using = True
        job = UseJob(training.out)
        job.succeeded.connect(self._on_models_found)
        job.failed.connect(partial(self._show_failure, training))
        job.finished.connect(self._on_use_finished)
        self._jobs.start(job)

    @Slot(object)
    def _on_models_found(self, found: MadeModels) -> None:
        self.made.emit(found)
        missing = f"; {plural(found.missing, 'order')} not so far yet" if found.missing else ""
        self._say(f"{plural(len(found.models), 'sub-model')} of epoch {found.epoch} taken{missing}")

    @Slot()
    def _on_use_finished(self) -> None:
        self._using = False

    @Slot(object)
    def _on_dismiss(self, training: ShownTraining) -> None:
        for task in list(training.tasks):
            self._tasks.dismiss(task)

    # -- inside

    def _say(self, text: str, kind: str = "info") -> None:
        self.noted.emit(text, kind)
        self.remarked.emit(text)

    def _of(self, task_id: str) -> ShownTraining | None:
        return next((one for one in self.trainings for task in one.tasks if task.id == task_id), None)

    def _show_soon(self, training: ShownTraining) -> None:
        if training is self._panel.training:
            self._panel.show_soon()

    def _show_failure(self, training: ShownTraining, failure: Failure) -> None:
        if training in self.trainings:
            self._panel.show_training(training, self.trainings, failure)

    def _start(self, arguments: Sequence[str], title: str) -> Failure | None:
        """Have a process do it, and show it; why that cannot be."""
        out = out_of(arguments)
        if any(one.out == out and one.task.running for one in self.trainings):
            return Failure(f"The sub-models in {out} are being made already.", "Choose another folder.")
        try:
            task = self._tasks.start(_KIND, arguments, title)
        except MergeError as error:
            return Failure.of(error)
        training = self._of(task.id)
        if training is not None:
            self._show(training)
            self._say(f"Making sub-models in {training.out}")
            self.shown.emit()
        return None
