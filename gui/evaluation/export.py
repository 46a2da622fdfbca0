"""The numbers of an evaluation as a table that spreadsheets take. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

from gui.evaluation.figures import ResultRow
from gui.pictures.table import Table

__all__ = ["numbers_of"]

_HEADINGS = (
    *("model", "path", "rows", "loss", "bits_per_byte", "accuracy", "reference", "measure"),
    *("difference", "low_95", "high_95", "p", "p_holm", "accuracy_difference", "mcnemar_p", "verdict"),
    "samples_needed",
)


def numbers_of(rows: Sequence[ResultRow]) -> Table:
    """One line for each model that is scored, with every digit."""
    return Table("evaluation", _HEADINGS, [_line(row) for row in rows if row.figures is not None])


def _line(row: ResultRow) -> list[object]:
    figures, comparison = row.figures, row.comparison
    if figures is None:
        return []
    line: list[object] = [row.name, str(row.candidate.path), figures.n, figures.loss]
    line += [figures.bits_per_byte, figures.accuracy]
    if comparison is None:
        return [*line, *[None] * (len(_HEADINGS) - len(line))]
    line += [comparison.reference, comparison.measure, comparison.difference, comparison.low]
    line += [comparison.high, comparison.p, comparison.p_holm, comparison.accuracy_difference]
    return [*line, comparison.mcnemar_p, comparison.verdict, comparison.samples_needed]
