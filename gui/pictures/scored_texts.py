"""What the picture of scores says in words, and its rows as they are drawn."""

from __future__ import annotations

from core.text import one_line
from gui.pictures.forest_rows import ForestRow
from gui.pictures.scored import Changed, ChangedRow, Scored, ScoredRow

__all__ = ["forest_row", "how_to_read", "in_one_line", "order_of", "sample_text", "samples_text"]


def how_to_read(scored: Scored, *, near: bool) -> tuple[str, str]:
    """What has to be known, and what is good to know."""
    way = "right" if scored.higher_is_better else "left"
    more = " Lines: 95 % intervals. Rings: no difference shown."
    if near:
        more += " Arrowheads: further away."
    if any(row.stands_alone for row in scored.rows):
        more += " A ring whose line leaves zero out: of as many as are compared, one may by chance."
    return f"Each model against {scored.reference}: {way} of the dashed line is better.", more


def forest_row(scored: Scored, row: ScoredRow) -> ForestRow:
    """A row as it is drawn."""
    low, high = row.interval
    numbers = row.numbers
    if row.comparison is not None and row.comparison.unit != scored.unit:
        numbers = f"{numbers} {row.comparison.unit}"
    difference = row.difference if scored.is_drawn(row) else float("nan")
    return ForestRow(row.title, row.verdict, numbers, difference, low, high, row.tone)


def order_of(scored: Scored, *, by_difference: bool) -> list[int]:
    """The numbers of the rows from the top: as they are given, or the better ones first; those that have no
    place on the scale at the end."""
    numbers = list(range(len(scored.rows)))
    if by_difference:
        sign = -1 if scored.higher_is_better else 1
        numbers.sort(
            key=lambda at: (
                not scored.is_drawn(scored.rows[at]),
                sign * scored.rows[at].difference if scored.is_drawn(scored.rows[at]) else 0.0,
            )
        )
    return numbers


def in_one_line(text: str) -> str:
    """The text of a sample, with its line breaks as a sign between spaces."""
    return " ⏎ ".join(map(one_line, filter(str.strip, text.splitlines())))


def sample_text(sample: ChangedRow) -> str:
    """A sample, for the line that is read."""
    losses = f"{sample.before:.4f} before, {sample.after:.4f} after"
    return f"Line {sample.line}: {losses}. {in_one_line(sample.text)}"


def samples_text(changed: Changed | None, *, of_best_only: bool = False) -> str:
    """The title over the samples; `of_best_only` where others were asked for, which a study does not keep."""
    if changed is None:
        return "The samples that changed most"
    unit = f", loss in {changed.unit}" if changed.unit else ""
    if of_best_only:
        return f"A study keeps the samples of its best merge only: {changed.title}{unit}"
    return f"The samples that changed most: {changed.title}{unit}"
