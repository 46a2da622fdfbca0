"""The evaluation that runs in a process of its own: started here, or found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from core.units import about_text
from gui.background.task import Task
from gui.background.tasks import BackgroundTasks
from gui.evaluation.course import Course
from gui.evaluation.request import Request
from gui.failure import Failure

__all__ = ["RunningEvaluation"]

KIND = "evaluate"


class RunningEvaluation(QObject):
    """Starts one, follows it, and stops it.

    Attributes:
        course: of the one that runs; None for none.

    Signals:
        found(object): one that this window did not start, a Request, is to be shown, whether it runs or not.
        began(object): one runs from now on, a Request.
        told(str): the kind of what it has just said, which is in `course`.
        noted(str): a remark of it.
        progressed(float, str): how far it is, 0 to 1, and in words.
        ended(object, object): its Course, which is no longer `course`, and its Task.
        missed(object): one that was found had failed while no window was there, a Failure.
    """

    found = Signal(object)
    began = Signal(object)
    told = Signal(str)
    noted = Signal(str)
    progressed = Signal(float, str)
    ended = Signal(object, object)
    missed = Signal(object)

    def __init__(self, tasks: BackgroundTasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.course: Course | None = None
        self._tasks = tasks
        self._takes_found = True
        self._found = ""
        tasks.began.connect(self._on_began)
        tasks.told.connect(self._on_told)
        tasks.changed.connect(self._on_changed)
        tasks.ended.connect(self._on_ended)

    def leave_found(self) -> None:
        """The user is at something else: what is found from now on is not shown."""
        self._takes_found = False

    def start(self, request: Request) -> None:
        """Start one. Raises MergeError where it cannot be started."""
        self._follow(self._tasks.start(KIND, request.arguments(), request.title), request)

    def stop(self) -> bool:
        """Have the one that runs stop; False where there is none. Raises MergeError where it cannot be."""
        if self.course is None:
            return False
        self._tasks.stop(self.course.task)
        return True

    def _follow(self, task: Task, request: Request) -> None:
        self.course = Course(task, request)
        self.began.emit(request)

    @Slot(object)
    def _on_began(self, task: Task) -> None:
        """One was started, or is found again."""
        request = Request.read(task.arguments) if task.kind == KIND else None
        if request is None:
            return
        if self.course is not None and self.course.task.id != self._found:
            return  # those that are found come oldest first, and each counts as running until it is looked at
        if not self._takes_found:
            return  # the user is at something else here, or has just started this very one
        self._found = task.id
        self.found.emit(request)
        if task.running:
            self._follow(task, request)

    @Slot(str, object)
    def _on_told(self, task_id: str, event: Mapping[str, Any]) -> None:
        course = self.course
        if course is None or task_id != course.task.id:
            return
        note = course.take(event)
        if note:
            self.noted.emit(note)
        self.told.emit(str(event.get("kind")))

    @Slot(object)
    def _on_changed(self, task: Task) -> None:
        if self.course is not None and task.id == self.course.task.id:
            self.course.task = task
            left = "" if task.remaining_s is None else f", {about_text(task.remaining_s)} left"
            self.progressed.emit(task.share, f"{task.text or 'Scoring'}{left}")

    @Slot(object)
    def _on_ended(self, task: Task) -> None:
        course = self.course
        if course is not None and task.id == course.task.id:
            self.course = None
            self.ended.emit(course, task)
        elif task.id == self._found and isinstance(task.failure, Failure) and not task.seen:
            self.missed.emit(task.failure)
