"""Replacing an output that exists, once the user has said so."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from gui.preflight.taken import Taken
from gui.recipe.output_field import OutputField
from gui.window.questions import ask_to_replace

__all__ = ["Overwriting"]


class Overwriting(QObject):
    """Asks, and tells the field of the output. The merge does the rest, when it is done."""

    def __init__(self, output: OutputField, window: QWidget) -> None:
        super().__init__(window)
        self._output, self._window = output, window

    @Slot(object)
    def ask(self, taken: Taken) -> None:
        """Let the next merge replace what is there, if the user agrees."""
        ask_to_replace(self._window, taken, lambda: self._output.set_overwrite(str(taken.out)))

    @Slot(object)
    def use_free_name(self, taken: Taken) -> None:
        self._output.set_folder(str(taken.free))
