"""A training as the window shows it: all tasks that worked on one folder, one after the other. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gui.background.task import Task
from gui.training.progress import TrainingProgress
from gui.training.request import out_of

__all__ = ["ShownTraining"]


class ShownTraining:
    """One folder of runs, and what is known of them.

    Where a task goes on with what an earlier one of this machine began, its events come after all of the
    other's, in whatever order they are read.

    Attributes:
        out: the folder.
        tasks: that worked on it, the oldest first.
        progress: what they said.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.tasks: list[Task] = []
        self.progress = TrainingProgress()
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}

    @property
    def task(self) -> Task:
        """The last one."""
        return self.tasks[-1]

    def add(self, task: Task) -> None:
        """A task works on it, or has."""
        self.tasks = sorted([*self.tasks, task], key=lambda one: (one.began, one.id))
        self._waiting[task.id] = []
        orders = (
            task.arguments[task.arguments.index("--orders") + 1 :] if "--orders" in task.arguments else ()
        )
        if orders and orders[0].isascii() and orders[0].isdigit() and len(orders[0]) < 6:
            self.progress.expect(int(orders[0]))

    def update(self, task: Task) -> None:
        """It is as `task` says now."""
        self.tasks = [task if one.id == task.id else one for one in self.tasks]

    def take(self, task_id: str, event: Mapping[str, Any]) -> None:
        """A task said `event`."""
        self._waiting[task_id].append(event)
        self.catch_up()

    def catch_up(self) -> None:
        """Note what was said, as far as all that came before it was."""
        for task in self.tasks:
            events, self._waiting[task.id] = self._waiting[task.id], []
            for event in events:
                self.progress.take(event)
            if task.running and task.is_here:  # of another machine's one that was killed it is never known
                return

    @staticmethod
    def folder_of(task: Task) -> Path | None:
        """The folder that a task works on; None where it is no training."""
        return out_of(task.arguments) if task.kind == "train" else None
