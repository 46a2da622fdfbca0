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
from core.study.family import StudyModel
from core.study.rows import MeasuredModel, with_samples

__all__ = ["Evaluator", "MeasuredCallback", "Measuring", "NoteCallback"]

NoteCallback = Callable[[str], None]
"""Called with a sentence, in the thread that called the study."""

MeasuredCallback = Callable[[MeasuredModel], None]
"""Called with each model that was measured on the validation rows, in the thread that called the study."""


class Evaluator(Protocol):
    """What measures one model: core.study.evaluator.StudyEvaluator."""

    def scores(self, model: StudyModel, data: DataSet, *, training: bool, progress: ShareCallback) -> Scores:
        """The losses of a model, by row of `data`. Raises MergeError."""
        ...

    def own_scores(self, model: StudyModel) -> OwnScores | None:
        """What the user's own command says of it; None without one. Raises MergeError."""
        ...


class Measuring:
    """The models of one study, each measured once.

    Attributes:
        notes: on what was left out.
        seconds: that measuring took, of what an earlier run had measured those of then.
        kept: which validation rows count: those of which the first model scores anything. [N]
    """

    def __init__(
        self,
        evaluator: Evaluator,
        validation: DataSet,
        *,
        expected: int,
        progress: ShareCallback | None,
        on_measured: MeasuredCallback | None,
        on_note: NoteCallback | None,
        cancel: CancelToken,
    ) -> None:
        """Args: expected: how many models there will be to measure."""
        self._evaluator, self._validation = evaluator, validation
        self._progress, self._on_measured, self._on_note = progress, on_measured, on_note
        self._cancel = cancel
        self._known: dict[str, MeasuredModel | None] = {}
        self._first: Scores | None = None
        self._lines: tuple[int, ...] | None = None
        self.kept: NDArray[np.bool_] = np.zeros(0, bool)
        self._expected, self._done, self._shown = expected, 0, 0.0
        self._began = time.monotonic()
        self.seconds = 0.0
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Say something, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            if self._on_note is not None:
                self._on_note(sentence)

    def measured(self, model: StudyModel) -> MeasuredModel | None:
        """A model on the validation rows that count; None, and a note, where its losses are not finite.

        Raises:
            MergeError: it cannot be measured.
        """
        if model.key not in self._known:
            found = self._measured(model)
            self._known[model.key] = found
            if found is not None and self._on_measured is not None:
                self._on_measured(found)
        return self._known[model.key]

    def if_possible(self, ask: Callable[[], StudyModel], what: str) -> MeasuredModel | None:
        """The same of a merge, and None, with a note, where there can be no such merge of these models."""
        try:
            return self.measured(ask())
        except (RecipeError, IncompatibleError) as error:
            self.note(f"{what} is left out: {error.message}")
            return None

    def training_losses(self, model: StudyModel, training: DataSet) -> Scores:
        """A model on training rows, all of them. Raises MergeError."""
        return self._scores(model, training, training=True)

    def _measured(self, model: StudyModel) -> MeasuredModel | None:
        scores = self._scores(model, self._validation, training=False)
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
            self.note(f"{model.name} is left out: it is {_kind(scores)}, and the others are not")
            return None
        elif not np.array_equal(scores.lines, self._first.lines):
            raise MergeError(f"{model.name} was not measured on the same rows as the others")
        counted = with_samples(scores, self.kept)
        unknown = int((~np.isfinite(counted.loss)).sum())
        if unknown:
            self.note(f"{model.name} is left out: the losses of {unknown:,} rows are not finite numbers")
            return None
        return MeasuredModel(model, counted, self._own_scores(model))

    def _own_scores(self, model: StudyModel) -> OwnScores | None:
        own = self._evaluator.own_scores(model)
        if own is not None:
            self._lines = own.lines if self._lines is None else self._lines
            if own.lines != self._lines:
                raise MergeError(
                    f"the scoring command scored other lines of {model.name} than of the models before",
                    hint="let it score the same lines of every model",
                    field="score_command",
                )
        return own

    def _scores(self, model: StudyModel, data: DataSet, *, training: bool) -> Scores:
        self._cancel.raise_if_cancelled()

        def show(share: Share) -> None:
            if self._progress is None:
                return
            part = (self._done + share.fraction) / max(self._expected, self._done + 1)
            part = self._shown = max(self._shown, part)  # a soup may need more models than was thought
            spent = time.monotonic() - self._began
            left = spent * (1 - part) / part if part > 0.01 else None
            what = share.text.rpartition(": ")[2]  # without the evaluator's name for a recipe of ours
            self._progress(Share(part, f"{model.name}: {what}" if what else model.name, left))

        found = self._evaluator.scores(model, data, training=training, progress=show)
        self._done += 1
        self.seconds += found.seconds
        show(Share(0.0, "measured"))
        return found


def _kind(scores: Scores) -> str:
    return "a classifier" if scores.task == "classifier" else "a language model"
