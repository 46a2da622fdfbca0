"""Compares the rows of a study with the median single model, and says how much of a choice is luck."""

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
from core.study.table import Table
from core.study.values import StudyRow

__all__ = ["compared_rows", "luck_sentences"]


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
