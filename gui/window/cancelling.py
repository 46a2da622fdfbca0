"""Stopping the merge that runs, after asking what becomes of what it has finished."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from gui.window.merger import Merger
from gui.window.questions import CancelQuestion

__all__ = ["Cancelling"]


class Cancelling(QObject):
    """Asks one question at a time, which a merge that ends by itself takes along."""

    def __init__(self, merger: Merger, window: QWidget) -> None:
        super().__init__(window)
        self._merger, self._window = merger, window
        self._question: CancelQuestion | None = None
        self._then: Callable[[bool], object] | None = None
        merger.progressed.connect(self._on_progressed)
        merger.ended.connect(self._on_ended)

    def ask(self) -> None:
        """Stop the merge that runs, if any: at once where nothing would be lost, or else as the user says."""
        if self._merger.job is not None and not self._merger.fraction:
            self._merger.cancel(keep=False)
        else:
            self._ask(None)

    def ask_for_closing(self, then: Callable[[bool], object]) -> None:
        """Ask what is to become of the merge that runs; it goes on, whatever is answered.

        Args:
            then: called with whether to keep what it has finished, unless it is to go on.
        """
        self._ask(then)

    def _ask(self, then: Callable[[bool], object] | None) -> None:
        if self._merger.job is None or self._question is not None:
            return
        self._then = then
        self._question = CancelQuestion(self._window, self._merger.fraction, closing=then is not None)
        self._question.answered.connect(self._on_answered)

    @Slot(object)
    def _on_answered(self, keep: bool | None) -> None:
        then, self._question, self._then = self._then, None, None
        if keep is None or self._merger.job is None:
            return
        if then is not None:
            then(keep)
        else:
            self._merger.cancel(keep=keep)

    @Slot()
    def _on_progressed(self) -> None:
        if self._question is not None:
            self._question.show_fraction(self._merger.fraction)

    @Slot()
    def _on_ended(self) -> None:
        if self._question is not None:
            self._question.box.close()
