"""Compares the rows of a study: with the median single model, and the best merge with its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.evaluate.statistics.holm import holm
from core.evaluate.verdict.comparing import compare, readjusted
from core.evaluate.verdict.comparison import Comparison
from core.evaluate.verdict.pairing import SampleValues
from core.evaluate.verdict.winners_curse import winners_curse_of
from core.study.rows import MeasuredRow, study_row
from core.study.sentence import Control
from core.study.table import Table
from core.study.values import StudyRow

__all__ = ["best_beside_controls", "compared_rows", "luck_sentences"]

_DISTANCE = "here the gain is distance from the base, not choice"
_PRECISION = "here the gain is what rounding costs the average, not choice"
_AVERAGING = "here the gain is that of averaging, not of choice"


def compared_rows(
    table: Table,
    *,
    groups: Sequence[str] | None,
    of_lines: Mapping[int, str] | None = None,
    higher_is_better: bool,
    cancel: CancelToken,
) -> tuple[StudyRow, ...]:
    """The rows with their comparisons with the median single model; Holm's adjustment is over all of them.

    Losses are compared with the model of the median loss, right answers with that of the median of these.

    A row of several seeds is compared as the mean over these by sample: what a user may expect of one merge.
    The intervals are over samples. Seeds and sub-models are held fixed: other draws, or other orders of
    training, may differ by more, and how much seeds do is the row's spread.

    Args:
        groups: of the samples that count. [N] or None
        of_lines: the group of each line of the validation data; None where each stands for itself.
        higher_is_better: of the own scores.
    """
    reference = replace(table.reference.scores, name="the median single model")
    if table.reference_right is not None:
        reference = replace(reference, correct=table.reference_right.scores.correct)
    others = [row for row in table.rows if row.kind != "single"]
    found = dict(
        zip(
            (row.key for row in others),
            compare(reference, [row.scores for row in others], groups=groups, cancel=cancel),
            strict=True,
        )
    )
    own = _own_comparisons(table, others, of_lines, higher_is_better, cancel)
    right = _right_comparisons(table, others, groups, cancel)
    found, right = _answers_together(found, right)
    return tuple(
        replace(
            study_row(row, higher_is_better=higher_is_better),
            comparison=found.get(row.key),
            accuracy_comparison=right.get(row.key),
            score_comparison=own.get(row.key),
        )
        for row in table.rows
    )


def best_beside_controls(
    table: Table, rows: Sequence[StudyRow], *, groups: Sequence[str] | None, cancel: CancelToken
) -> tuple[Control, ...]:
    """The best merge's controls, compared with it by sample.

    The controls of an average are other ways to go as far: a single model's task vector. Those of a selection
    are averages too.

    Args:
        rows: what `compared_rows` found: of the controls beside the median single model.
    """
    best = table.best_merge
    if best is None:
        return ()
    against = {row.key: row.comparison for row in rows}
    asked = [(row, *said) for row in table.rows if (said := _words(row, best, table)) is not None]
    compared = compare(best.scores, [row.scores for row, *_ in asked], groups=groups, cancel=cancel)
    return tuple(
        Control(words, means, comparison, against.get(row.key))
        for (row, words, means), comparison in zip(asked, compared, strict=True)
    )


def luck_sentences(table: Table, *, groups: Sequence[str] | None) -> tuple[str, ...]:
    """How much of the gain of the best sub-model, the best n and the best seed is the luck of choosing."""
    digest = table.reference.scores.data_digest
    unit = table.reference.scores.loss_unit
    choices: list[tuple[str, list[NDArray[np.float64]]]] = [
        ("The best single model", [one.scores.loss for one in table.singles]),
        ("The best n", [row.scores.loss for row in table.ns.values()]),
    ]
    best = table.best_of_one_recipe
    if best is not None:
        choices.append((f"The best seed of {best.title}", [one.scores.loss for one in best.members]))
    return tuple(
        f"{what}: {replace(winners_curse_of(losses, data_digest=digest, groups=groups), unit=unit).sentence}"
        for what, losses in choices
        if len(losses) > 1
    )


def _words(row: MeasuredRow, best: MeasuredRow, table: Table) -> tuple[str, str] | None:
    """What a control is called in a sentence, and what it means; None of what is no control of `best`."""
    is_average = {*(best.chosen_rows or (best.key,))} <= {"average", "soup"}
    if row.key in ("single-scaled", "average-scaled"):
        factors = dict.fromkeys(table.lambdas[row.key])
        what = "one sub-model" if row.key == "single-scaled" else "the average"
        said = " or ".join(f"{factor:g}" for factor in factors)
        if row.key == "average-scaled" and is_average:
            return None  # it is a way to improve that, and no other way to the same
        if list(factors) == [1.0]:
            if row.key == "single-scaled":
                return None  # the reference itself
            return what, _AVERAGING
        return f"{what} with its task vector × {said}", _DISTANCE
    if is_average:
        return None
    if row.key in ("average-float32", "float32-average"):
        kept = "kept in float32" if row.key == "average-float32" else "of sub-models in float32"
        return f"the average {kept}", _PRECISION
    return None


def _answers_together(
    found: dict[str, Comparison], right: dict[str, Comparison]
) -> tuple[dict[str, Comparison], dict[str, Comparison]]:
    """Right answers of one model are compared by McNemar's test, of several by the bootstrap: it is one
    question, and the p-values of both are adjusted together."""
    single = [key for key, one in found.items() if one.mcnemar_p is not None]
    p_values = [found[key].mcnemar_p or 0.0 for key in single] + [one.p for one in right.values()]
    adjusted = dict(zip((*single, *right), holm(p_values), strict=True))
    return (
        {
            key: readjusted(one, one.p_holm, adjusted.get(key), compared=one.compared)
            for key, one in found.items()
        },
        {key: readjusted(one, adjusted[key], None, compared=len(p_values)) for key, one in right.items()},
    )


def _own_comparisons(
    table: Table,
    others: Sequence[MeasuredRow],
    of_lines: Mapping[int, str] | None,
    higher_is_better: bool,
    cancel: CancelToken,
) -> dict[str, Comparison]:
    """Of the scores of single lines; {} where the command gives none.

    Its lines are taken for those of the validation data, with their groups, where all of them are there.
    """
    of = table.reference.own_scores
    rows = [row for row in others if row.score_by_line is not None]
    if of is None or not of.lines or not rows:
        return {}

    known = of_lines or {}
    return _beside_median(
        np.asarray(of.scores),
        {row.key: (row.title, row.score_by_line) for row in rows if row.score_by_line is not None},
        data_digest=table.reference.scores.data_digest,
        measure="score",
        unit="points",
        higher_is_better=higher_is_better,
        groups=[known[line] for line in of.lines] if all(line in known for line in of.lines) else None,
        cancel=cancel,
    )


def _right_comparisons(
    table: Table, others: Sequence[MeasuredRow], groups: Sequence[str] | None, cancel: CancelToken
) -> dict[str, Comparison]:
    """Of rows of several models, of which a share is right on each sample: McNemar's test knows none."""
    reference = table.reference_right
    rows = [row for row in others if row.share_right is not None]
    if reference is None or reference.scores.correct is None or not rows:
        return {}

    return _beside_median(
        reference.scores.correct.astype(np.float64),
        {row.key: (row.title, row.share_right) for row in rows if row.share_right is not None},
        data_digest=table.reference.scores.data_digest,
        measure="right answers",
        unit="of the answers",
        higher_is_better=True,
        groups=groups,
        cancel=cancel,
    )


def _beside_median(
    median: NDArray[np.float64],
    rows: Mapping[str, tuple[str, NDArray[np.float64]]],
    *,
    data_digest: str,
    measure: str,
    unit: str,
    higher_is_better: bool,
    groups: Sequence[str] | None,
    cancel: CancelToken,
) -> dict[str, Comparison]:
    """Rows compared with the median single model by numbers that are no losses.

    Args:
        median: its numbers. [N]
        rows: title and numbers by key. [N] each
    """

    def values(name: str, found: NDArray[np.float64]) -> SampleValues:
        return SampleValues(name, found, data_digest, None, measure, unit, higher_is_better)

    compared = compare(
        values("the median single model", median),
        [values(title, found) for title, found in rows.values()],
        groups=groups,
        cancel=cancel,
    )
    return dict(zip(rows, compared, strict=True))
