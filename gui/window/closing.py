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

    def may_close(self) -> bool:
        """Whether the window may close now; asks the user where something would be lost.

        Every question is answered before anything is done: going back at one of them changes nothing.
        """
        if self._merger.job is not None:
            if not self.insists:
                self._cancelling.ask_for_closing(self._on_merge_answered)
            return False
        if not self.insists and self._recipes.would_be_lost:
            ask_to_save(self._window, self._recipes.name, self._recipes.save_then, self.close_at_once)
            return False
        return True

    def close_at_once(self) -> None:
        """Close without asking. A merge that runs is stopped first; what it has finished is kept."""
        self._close(keep=True)

    def merge_ended(self) -> None:
        """Close where the merge was the last thing in the way."""
        if self.insists:
            self._window.close()

    def _on_merge_answered(self, keep: bool) -> None:
        """What becomes of the merge is known, and it still runs."""
        if self._recipes.would_be_lost:
            recipes = self._recipes
            ask_to_save(self._window, recipes.name, recipes.save_then, lambda: self._close(keep=keep))
        else:
            self._close(keep=keep)

    def _close(self, *, keep: bool) -> None:
        self.insists = True
        self._merger.cancel(keep=keep)
        self._window.close()
