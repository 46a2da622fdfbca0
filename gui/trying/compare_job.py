"""Comparing answers, apart from the window: long ones take a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Signal

from gui.jobs import Job
from gui.trying.differences import Difference, difference

__all__ = ["CompareJob", "Said"]


@dataclass(frozen=True)
class Said:
    """An answer, as far as it is there.

    Attributes:
        text: what was said.
        unfinished: whether more is to come.
    """

    text: str
    unfinished: bool = False


class CompareJob(Job):
    """Compares answers with one of them.

    Signals:
        compared(object): a tuple with a Difference for each of them; None where there is nothing to compare.
    """

    compared = Signal(object)

    def __init__(self, answers: Sequence[Said], reference: int) -> None:
        """Args:
        answers: what was said, "" by a model that has not answered.
        reference: the number of the one that the others are compared with.
        """
        super().__init__()
        self._answers, self._reference = tuple(answers), reference

    def run(self) -> None:
        reference = self._answers[self._reference]
        found: list[Difference | None] = []
        for number, answer in enumerate(self._answers):
            if number == self._reference or not answer.text or not reference.text or reference.unfinished:
                found.append(None)
            else:
                found.append(difference(reference.text, answer.text, unfinished=answer.unfinished))
        self.compared.emit(tuple(found))
