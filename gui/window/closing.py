"""Closing the window without losing a merge that runs, or changes, unasked; other processes need not end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from core.errors import MergeError
from gui.background.tasks import BackgroundTasks
from gui.window.cancelling import Cancelling
from gui.window.merger import Merger
from gui.window.questions import ask_about_tasks, ask_to_save
from gui.window.recipes import Recipes

__all__ = ["Closing"]


class Closing(QObject):
    """Decides whether the window may close, and closes it when it may.

    Attributes:
        insists: whether the window closes without asking, as soon as no merge runs.
    """

    def __init__(
        self,
        merger: Merger,
        cancelling: Cancelling,
        tasks: BackgroundTasks,
        recipes: Recipes,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self.insists = False
        self._merger, self._cancelling, self._tasks = merger, cancelling, tasks
        self._recipes, self._window = recipes, window

    def may_close(self) -> bool:
        """Whether the window may close now; asks the user where something would be lost, or go on unseen.

        Every question is answered before anything is done: going back at one of them changes nothing.
        """
        if self._merger.job is not None:
            if not self.insists:
                self._cancelling.ask_for_closing(lambda keep: self._ask_the_rest(keep=keep))
            return False
        if not self.insists and (self._tasks.ours or self._recipes.would_be_lost):
            self._ask_the_rest(keep=True)
            return False
        return True

    def close_at_once(self) -> None:
        """Close without asking. A merge that runs is stopped first; what it has finished is kept. Other
        processes go on."""
        self._close(keep=True, stops=False)

    def merge_ended(self) -> None:
        """Close where the merge was the last thing in the way."""
        if self.insists:
            self._window.close()

    def _ask_the_rest(self, *, keep: bool) -> None:
        """What becomes of the merge is known, if there is one, and it still runs."""
        tasks = self._tasks.ours
        if tasks:
            ask_about_tasks(
                self._window,
                [task.title for task in tasks],
                lambda: self._ask_to_save(lambda: self._close(keep=keep, stops=False)),
                lambda: self._ask_to_save(lambda: self._close(keep=keep, stops=True)),
            )
        else:
            self._ask_to_save(lambda: self._close(keep=keep, stops=False))

    def _ask_to_save(self, then: Callable[[], object]) -> None:
        """The last question: saving is done as soon as it is answered."""
        if self._recipes.would_be_lost:
            ask_to_save(self._window, self._recipes.name, self._recipes.save_then, then)
        else:
            then()

    def _close(self, *, keep: bool, stops: bool) -> None:
        self.insists = True
        for task in self._tasks.ours if stops else ():
            with contextlib.suppress(MergeError):  # it has ended, or is another user's
                self._tasks.stop(task)
        self._merger.cancel(keep=keep)
        self._window.close()
