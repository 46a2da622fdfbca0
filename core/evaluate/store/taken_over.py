"""What of an evaluation is known from one of the same model and data with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.rows import DataSet
from core.evaluate.scores import RowLosses
from core.evaluate.settings import Settings
from core.evaluate.store.partial_scores import joined
from core.evaluate.store.score_store import PartialScores, ScoreStore, StoredScores

__all__ = ["taken_over", "with_more"]

_NOT_OF_LOSSES = ("limit", "exact_match", "max_new_tokens", "match")
"""Settings that a row's loss does not depend on: which rows are looked at, what is generated, and
what of that is right."""


def taken_over(
    store: ScoreStore, model_digest: str, data: DataSet, settings: Settings
) -> PartialScores | None:
    """Rows whose losses, and prompts whose answers, are known: from fewer rows, or more, of the same file,
    or with answers where there were none. None where nothing is.

    Rows are told by the lines that they stand in.
    """
    numbers = {row.line: number for number, row in enumerate(data.rows)}
    if len(numbers) < len(data.rows):
        return None
    wanted = settings.key()
    losses: dict[int, tuple[StoredScores, int]] = {}
    answers: dict[int, str] = {}
    for known in store.for_digest(model_digest):
        scores = known.scores
        if (
            scores.data_digest != data.digest
            or known.data.suffix.lower() != data.path.suffix.lower()
            or _of_losses(scores.settings) != _of_losses(wanted)
        ):
            continue
        same_answers = settings.exact_match and scores.settings.get("max_new_tokens") == (
            settings.max_new_tokens
        )
        for place, line in enumerate(scores.lines.tolist()):
            number = numbers.get(line)
            if number is None:
                continue
            if np.isfinite(scores.loss[place]):
                losses.setdefault(number, (known, place))
            if same_answers and known.answers is not None:
                answers.setdefault(number, known.answers[place])
    if not losses and not answers:
        return None
    return PartialScores(_row_losses(losses) if losses else None, answers)


def with_more(begun: PartialScores | None, beside: PartialScores) -> PartialScores:
    """What is finished, and beside it what is known of other rows."""
    if begun is None:
        return beside
    losses = begun.losses
    if losses is None or beside.losses is None:
        losses = losses or beside.losses
    else:
        new = ~np.isin(beside.losses.rows, losses.rows)
        losses = joined([losses, _rows_of(beside.losses, new)])
    return PartialScores(losses, {**(beside.answers or {}), **(begun.answers or {})}, begun.seconds)


def _rows_of(losses: RowLosses, kept: NDArray[np.bool_]) -> RowLosses:
    correct = None if losses.correct is None else losses.correct[kept]
    return RowLosses(
        losses.rows[kept], losses.loss[kept], losses.tokens[kept], losses.text_bytes[kept], correct
    )


def _of_losses(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _NOT_OF_LOSSES}


def _row_losses(found: Mapping[int, tuple[StoredScores, int]]) -> RowLosses:
    places = [(known.scores, place) for known, place in found.values()]
    # Of a language model "correct" is of its answers, which are compared again.
    of_classes = [
        scores.correct[place]
        for scores, place in places
        if scores.task == "classifier" and scores.correct is not None
    ]
    return RowLosses(
        np.fromiter(found, np.int64, len(found)),
        np.array([scores.loss[place] for scores, place in places], np.float64),
        np.array([scores.tokens[place] for scores, place in places], np.int64),
        np.array([scores.text_bytes[place] for scores, place in places], np.int64),
        np.array(of_classes, bool) if len(of_classes) == len(found) else None,
    )
