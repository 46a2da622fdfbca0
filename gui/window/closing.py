"""Closing the window without losing a merge that runs, or changes, unasked."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from gui.window.cancelling import Cancelling
from gui.window.merger import Merger
from gui.window.questions import ask_to_save
from gui.window.recipes import Recipes

__all__ = ["Closing"]


class Closing(QObject):
    """Decides whether the window may close, and closes it when it may.

    Attributes:
        insists: whether the window closes without asking, as soon as no merge runs.
    """

    def __init__(self, merger: Merger, cancelling: Cancelling, recipes: Recipes, window: QWidget) -> None:
        super().__init__(window)
        self.insists = False
        self._merger, self._cancelling, self._recipes, self._window = merger, cancelling, recipes, window
        self._after_merge = False

    def may_close(self) -> bool:
        """Whether the window may close now; asks the user where something would be lost."""
        if self._merger.job is not None:
            if not self.insists:
                self._cancelling.ask(self._close_after_merge)
            return False
        if not self.insists and self._recipes.would_be_lost:
            ask_to_save(self._window, self._recipes.save_then, self.close_at_once)
            return False
        return True

    def close_at_once(self) -> None:
        """Close without asking. A merge that runs is stopped first; what it has finished is kept."""
        self.insists = True
        self._merger.cancel(keep=True)
        self._window.close()

    def merge_ended(self) -> None:
        """Close where the merge was the last thing in the way."""
        if self.insists or self._after_merge:
            self._after_merge = False
            self._window.close()

    def _close_after_merge(self) -> None:
        self._after_merge = True
