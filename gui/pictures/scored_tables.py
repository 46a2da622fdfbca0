"""The numbers of the picture of the scores as tables. No Qt."""

from __future__ import annotations

from gui.pictures.scored import Scored
from gui.pictures.table import Table

__all__ = ["tables_of"]


def tables_of(scored: Scored, marked: int | None, name: str) -> list[Table]:
    """The rows of the forest, and the samples that row `marked` changed most; `name` is the picture's."""
    headings = [
        "model",
        "reference",
        "measure",
        "samples",
        "groups",
        "difference",
        "low",
        "high",
        "p",
        "p adjusted",
    ]
    lines: list[list[object]] = []
    for row in scored.rows:
        one = row.comparison
        numbers: list[object] = [None] * 8
        if one is not None:
            numbers = [one.unit, one.n, one.clusters, one.difference, *row.interval, one.p, one.p_holm]
        lines.append([row.title, scored.reference, *numbers, row.verdict, row.note])
    tables = [Table(name, [*headings, "verdict", "note"], lines)]
    changed = scored.changed(marked)
    if changed is not None:
        samples = [[row.line, row.before, row.after, row.change, row.text] for row in changed.rows]
        of = ["line", "loss before", "loss after", "change", "sample"]
        tables.append(Table(f"{name}-samples", of, samples))
    return tables
