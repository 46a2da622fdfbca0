"""Measures the models of a study in turn: counts how far it is, and leaves out what cannot be measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.data.rows import DataSet
from core.errors import DataError, IncompatibleError, MergeError, RecipeError
from core.evaluate.scores import Scores
from core.progress import Share, ShareCallback
from core.study.command import OwnScores
from core.study.rows import Measured, with_samples
from core.study.subjects import Subject

__all__ = ["MeasuredCallback", "Measures", "Measuring", "NoteCallback"]

NoteCallback = Callable[[str], None]
"""Called with a sentence, in the thread that called the study."""

MeasuredCallback = Callable[[Measured], None]
"""Called with each model that was measured on the validation rows, in the thread that called the study."""


class Measures(Protocol):
    """What measures one model: core.study.laboratory.Laboratory."""

    def scores(self, subject: Subject, data: DataSet, *, training: bool, progress: ShareCallback) -> Scores:
        """The losses of a model, by row of `data`. Raises MergeError."""
        ...

    def own_scores(self, subject: Subject) -> OwnScores | None:
        """What the user's own command says of it; None without one. Raises MergeError."""
        ...


class Measuring:
    """The models of one study, each measured once.

    Attributes:
        notes: on what was left out.
        kept: which validation rows count: those of which the first model scores anything. [N]
    """

    def __init__(
        self,
        measures: Measures,
        validation: DataSet,
        *,
        expected: int,
        progress: ShareCallback | None,
        on_measured: MeasuredCallback | None,
        on_note: NoteCallback | None,
        cancel: CancelToken,
    ) -> None:
        """Args: expected: how many models there will be to measure."""
        self._measures, self._validation = measures, validation
        self._progress, self._on_measured, self._on_note = progress, on_measured, on_note
        self._cancel = cancel
        self._known: dict[str, Measured | None] = {}
        self._first: Scores | None = None
        self._lines: tuple[int, ...] | None = None
        self.kept: NDArray[np.bool_] = np.zeros(0, bool)
        self._expected, self._done, self._shown = expected, 0, 0.0
        self._began = time.monotonic()
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Say something, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            if self._on_note is not None:
                self._on_note(sentence)

    def measured(self, subject: Subject) -> Measured | None:
        """A model on the validation rows that count; None, and a note, where its losses are not finite.

        Raises:
            MergeError: it cannot be measured.
        """
        if subject.key not in self._known:
            found = self._measured(subject)
            self._known[subject.key] = found
            if found is not None and self._on_measured is not None:
                self._on_measured(found)
        return self._known[subject.key]

    def if_possible(self, ask: Callable[[], Subject], what: str) -> Measured | None:
        """The same of a merge, and None, with a note, where there can be no such merge of these models."""
        try:
            return self.measured(ask())
        except (RecipeError, IncompatibleError) as error:
            self.note(f"{what} is left out: {error.message}")
            return None

    def training_losses(self, subject: Subject, training: DataSet) -> Scores:
        """A model on training rows, all of them. Raises MergeError."""
        return self._scores(subject, training, training=True)

    def _measured(self, subject: Subject) -> Measured | None:
        scores = self._scores(subject, self._validation, training=False)
        if self._first is None:
            self._first, self.kept = scores, scores.tokens > 0
            if not self.kept.any():
                raise DataError(
                    f"{self._validation.path} has no row of which anything is scored",
                    hint="choose other data to validate on",
                    path=self._validation.path,
                    field="validation",
                )
        elif scores.task != self._first.task:
            self.note(f"{subject.name} is left out: it is {_kind(scores)}, and the others are not")
            return None
        elif not np.array_equal(scores.lines, self._first.lines):
            raise MergeError(f"{subject.name} was not measured on the same rows as the others")
        counted = with_samples(scores, self.kept)
        unknown = int((~np.isfinite(counted.loss)).sum())
        if unknown:
            self.note(f"{subject.name} is left out: the losses of {unknown:,} rows are not finite numbers")
            return None
        return Measured(subject, counted, self._own_scores(subject))

    def _own_scores(self, subject: Subject) -> OwnScores | None:
        own = self._measures.own_scores(subject)
        if own is not None:
            self._lines = own.lines if self._lines is None else self._lines
            if own.lines != self._lines:
                raise MergeError(
                    f"the scoring command scored other lines of {subject.name} than of the models before",
                    hint="let it score the same lines of every model",
                    field="score_command",
                )
        return own

    def _scores(self, subject: Subject, data: DataSet, *, training: bool) -> Scores:
        self._cancel.raise_if_cancelled()

        def show(share: Share) -> None:
            if self._progress is None:
                return
            part = (self._done + share.fraction) / max(self._expected, self._done + 1)
            part = self._shown = max(self._shown, part)  # a soup may need more models than was thought
            spent = time.monotonic() - self._began
            left = spent * (1 - part) / part if part > 0.01 else None
            what = share.text.rpartition(": ")[2]  # without the evaluator's name for a recipe of ours
            self._progress(Share(part, f"{subject.name}: {what}" if what else subject.name, left))

        found = self._measures.scores(subject, data, training=training, progress=show)
        self._done += 1
        show(Share(0.0, "measured"))
        return found


def _kind(scores: Scores) -> str:
    return "a classifier" if scores.task == "classifier" else "a language model"
