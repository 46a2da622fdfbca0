"""The rows of the table, from the scores of the models that each is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.evaluate.scores import Scores
from core.study.command import OwnScores
from core.study.cross_fitting import Halves, measured_by_other_half
from core.study.family import StudyModel
from core.study.values import Spread, StudyRow

__all__ = [
    "MeasuredModel",
    "MeasuredRow",
    "median_of",
    "of_halves",
    "of_models",
    "of_rows",
    "study_row",
    "with_samples",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MeasuredModel:
    """A model and what was measured of it.

    Attributes:
        scores: on the validation rows.
        own_scores: what the own scoring command said; None without one.
    """

    model: StudyModel
    scores: Scores
    own_scores: OwnScores | None = None


@dataclass(frozen=True, eq=False)
class MeasuredRow:
    """What a row is made of.

    Attributes:
        key, title, kind, note: as StudyRow has them.
        members: its models.
        scores: of the row as one candidate, with its title as their name: by sample, the mean over its
            models, or what `of_halves` says.
        score_by_line: the same of the own scores, by line of theirs. [N] or None
        share_right: of several models, the share of them that is right, by sample. [N] or None
        by_halves: whether it is of models that halves of the samples have chosen for each other.
        chosen_rows: the keys of the rows that halves have chosen; () of one that is of models.
    """

    key: str
    title: str
    kind: str
    members: tuple[MeasuredModel, ...]
    scores: Scores
    score_by_line: Floats | None = None
    share_right: Floats | None = None
    note: str = ""
    by_halves: bool = False
    chosen_rows: tuple[str, ...] = ()


def of_models(
    key: str, title: str, kind: str, members: Sequence[MeasuredModel], note: str = ""
) -> MeasuredRow:
    """A row of one model, or of several that count alike.

    What is right is known of one model alone: of several, a share of them is.
    """
    first = members[0].scores
    loss = np.mean([member.scores.loss for member in members], axis=0)
    scores = replace(first, name=title, loss=loss, correct=first.correct if len(members) == 1 else None)
    own = [
        np.asarray(member.own_scores.scores)
        for member in members
        if member.own_scores and member.own_scores.lines
    ]
    mean = np.mean(own, axis=0) if len(own) == len(members) else None
    right = None
    correct = [member.scores.correct for member in members if member.scores.correct is not None]
    if len(correct) == len(members) > 1:
        right = np.mean(correct, axis=0)
    return MeasuredRow(key, title, kind, tuple(members), scores, mean, right, note)


def of_halves(
    key: str,
    title: str,
    kind: str,
    chosen: tuple[MeasuredModel, MeasuredModel],
    halves: Halves,
    note: str = "",
) -> MeasuredRow:
    """A row that was chosen: each half's samples, of what the other half has chosen.

    Args:
        chosen: by the first half, and by the second.
        halves: of the samples. [N] each
    """
    first, second = chosen
    if first.model.key == second.model.key:
        return of_models(key, title, kind, [first], note)
    correct = None
    if first.scores.correct is not None and second.scores.correct is not None:
        correct = measured_by_other_half((first.scores.correct, second.scores.correct), halves)
    loss = measured_by_other_half((first.scores.loss, second.scores.loss), halves)
    scores = replace(first.scores, name=title, loss=loss, correct=correct)
    return MeasuredRow(key, title, kind, chosen, scores, note=note, by_halves=True)


def of_rows(key: str, kind: str, chosen: tuple[MeasuredRow, MeasuredRow], halves: Halves) -> MeasuredRow:
    """A row of two others: each half's samples, of the row that the other half has chosen.

    Args:
        chosen: by the first half, and by the second; they differ, and are of models with one tokenizer.
        halves: of the samples. [N] each
    """
    first, second = chosen
    loss = measured_by_other_half((first.scores.loss, second.scores.loss), halves)
    correct, right = None, None
    if first.scores.correct is not None and second.scores.correct is not None:
        correct = measured_by_other_half((first.scores.correct, second.scores.correct), halves)
    elif (one := _right(first)) is not None and (other := _right(second)) is not None:
        right = measured_by_other_half((one, other), halves)
    title = f"{first.title} or {second.title} (by halves)"
    return MeasuredRow(
        key,
        title,
        kind,
        tuple(dict.fromkeys((*first.members, *second.members))),
        replace(first.scores, name=title, loss=loss, correct=correct),
        share_right=right,
        note=f"the best merge, chosen on one half of the samples and measured on the other: {first.title}, "
        f"by the other half {second.title}",
        by_halves=True,
        chosen_rows=(first.key, second.key),
    )


def _right(row: MeasuredRow) -> Floats | None:
    if row.share_right is not None or row.scores.correct is None:
        return row.share_right
    return row.scores.correct.astype(np.float64)


def study_row(row: MeasuredRow, *, higher_is_better: bool = True) -> StudyRow:
    """The row without comparisons. The numbers of one that halves have chosen are one each."""
    parts = [row.scores] if row.by_halves else [member.scores for member in row.members]
    right = [part.accuracy for part in parts if part.accuracy is not None]
    if row.by_halves and row.share_right is not None:
        right = [float(row.share_right.mean())]
    bits = [part.mean_bits_per_byte for part in parts if part.task == "causal"]
    own = [
        member.own_scores.mean
        for member in row.members
        if member.own_scores is not None and not row.chosen_rows
    ]
    return StudyRow(
        row.key,
        row.title,
        row.kind,
        tuple(member.model.name for member in row.members),
        Spread.of([part.mean_loss for part in parts]),
        accuracy=Spread.of(right, larger_is_better=True) if right else None,
        bits=Spread.of(bits) if bits else None,
        score=Spread.of(own, larger_is_better=higher_is_better) if own else None,
        note=row.note,
    )


def median_of(losses: Sequence[float]) -> int:
    """Which has the median loss; of an even number the better of the two in the middle."""
    return sorted(range(len(losses)), key=lambda one: losses[one])[(len(losses) - 1) // 2]


# -- samples


def with_samples(scores: Scores, kept: Bools) -> Scores:
    """The same of some of its rows alone."""
    correct = None if scores.correct is None else scores.correct[kept]
    return replace(
        scores,
        loss=scores.loss[kept],
        tokens=scores.tokens[kept],
        text_bytes=scores.text_bytes[kept],
        lines=scores.lines[kept],
        correct=correct,
        given_bytes=None if scores.given_bytes is None else scores.given_bytes[kept],
    )
