"""Several models answer the same prompt, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.cancel import CancelToken
from core.errors import Cancelled, CheckpointError, MergeError
from core.evaluate.answers.generating import GeneratedAnswer, GenerationRequest, generate
from core.evaluate.answers.kept_models import KeptModels

__all__ = ["AnswerListener", "answer_all"]


class AnswerListener(Protocol):
    """Hears what the models do, each named by its number among those that were asked, from 0."""

    def loading(self, model: int) -> None:
        """It is read from the disk."""

    def loaded(self, model: int, seconds: float) -> None:
        """It is in memory now."""

    def said(self, model: int, text: str) -> None:
        """The next piece of its answer."""

    def noted(self, model: int, text: str) -> None:
        """Something was done otherwise than asked."""

    def answered(self, model: int, answer: GeneratedAnswer) -> None:
        """It has come to an end."""

    def failed(self, model: int, error: MergeError) -> None:
        """It cannot answer; the others go on."""


@dataclass(frozen=True)
class _Place:
    number: int
    reference: str


def answer_all(
    references: Sequence[str],
    request: GenerationRequest,
    models: KeptModels,
    listener: AnswerListener,
    cancel: CancelToken,
) -> None:
    """Have every model answer, those first that are in memory: none is read twice where it could be once.

    Args:
        references: folders, with adapters or without, or recipes.
        request: what all are asked.
        models: what is in memory.
        listener: hears of it.
        cancel: stops the one that answers, and those after it are not asked.

    Raises:
        Cancelled: not all have answered.
    """
    places = [_Place(number, reference) for number, reference in enumerate(references)]
    places.sort(key=lambda place: not models.has(place.reference))
    for done, place in enumerate(places):
        cancel.raise_if_cancelled()
        wanted = {later.reference for later in places[done + 1 :]}
        try:
            _answer(place, request, models, wanted, listener, cancel)
        except Cancelled:
            raise
        except MergeError as error:
            listener.failed(place.number, error)
    cancel.raise_if_cancelled()


def _answer(
    place: _Place,
    request: GenerationRequest,
    models: KeptModels,
    wanted: set[str],
    listener: AnswerListener,
    cancel: CancelToken,
) -> None:
    number = place.number
    if not models.has(place.reference):
        listener.loading(number)
    began = time.perf_counter()
    loaded = models.get(place.reference, cancel=cancel, wanted=wanted)
    listener.loaded(number, time.perf_counter() - began)
    if loaded.task != "causal":
        raise CheckpointError(
            f"{loaded.name} is a classifier, which writes no text", hint="name a causal language model"
        )
    for note in loaded.notes:
        listener.noted(number, note)
    try:
        answer = generate(
            loaded.model,
            loaded.tokenizer,
            request,
            on_text=lambda text: listener.said(number, text),
            on_note=lambda text: listener.noted(number, text),
            cancel=cancel,
        )
    except MergeError as error:  # which says "its": of several models that would be anybody's
        error.message = f"{loaded.name}: {error.message}"
        error.path = error.path or loaded.folder
        raise
    listener.answered(number, answer)
