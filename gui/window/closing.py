"""Closing the window without losing a merge that runs, or changes, unasked."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QMessageBox, QWidget

from gui.window.merger import Merger
from gui.window.questions import ask_to_cancel_the_merge, ask_to_save
from gui.window.recipes import Recipes

__all__ = ["Closing"]


class Closing(QObject):
    """Decides whether the window may close, and closes it when it may.

    Attributes:
        insists: whether the window closes without asking, as soon as no merge runs.

    Signals:
        cancel_requested(): the merge that runs, if any, is to be cancelled.
    """

    cancel_requested = Signal()

    def __init__(self, merger: Merger, recipes: Recipes, window: QWidget) -> None:
        super().__init__(window)
        self.insists = False
        self._merger, self._recipes, self._window = merger, recipes, window
        self._after_merge = False
        self._question: QMessageBox | None = None

    def may_close(self) -> bool:
        """Whether the window may close now; asks the user where something would be lost."""
        if self._merger.job is not None:
            if not self.insists:
                self._question = ask_to_cancel_the_merge(self._window, self._cancel_and_close)
                self._question.finished.connect(self._on_answered)
            return False
        if not self.insists and self._recipes.would_be_lost:
            ask_to_save(self._window, self._recipes.save_then, self.close_at_once)
            return False
        return True

    def close_at_once(self) -> None:
        """Close without asking; a running merge is cancelled first."""
        self.insists = True
        self.cancel_requested.emit()
        self._window.close()

    def merge_ended(self) -> None:
        """Take the question back, and close where the merge was the last thing in the way."""
        if self._question is not None:
            self._question.close()
        if self.insists or self._after_merge:
            self._after_merge = False
            self._window.close()

    @Slot()
    def _on_answered(self) -> None:
        self._question = None

    def _cancel_and_close(self) -> None:
        self._after_merge = True
        self.cancel_requested.emit()
