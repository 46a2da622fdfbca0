"""What makes the rows of a data file say less than their number: repeated ones, groups that not all have,
passages of one text, and rows that were trained on. And which of them take long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.data.lines import lines_text, rows_are
from core.data.row import Row
from core.data.rows import DataSet

__all__ = ["long_rows_of", "overlap_of", "with_remarks"]

_LONG_CHARACTERS = 1_000_000
"""Some 250,000 tokens: seconds with a quick tokenizer, a minute with a slow one."""


def with_remarks(data: DataSet, trained_on: DataSet | None = None) -> DataSet:
    """`data`, whose notes say so too where its rows are not what a comparison takes them for, or take long.

    Args:
        data: what models are compared on.
        trained_on: what they learned from; None where that is not known.
    """
    found = [long_rows_of(data), _one_text(data), _missing_groups(data), _repeated(data)]
    if trained_on is not None:
        found.append(overlap_of(data, trained_on))
    return replace(data, notes=(*data.notes, *(sentence for sentence in found if sentence)))


def long_rows_of(data: DataSet) -> str:
    """A sentence on rows of which it takes long to make tokens; "" for none."""
    lines = [row.line for row in data.rows if row.characters > _LONG_CHARACTERS]
    if not lines:
        return ""
    return (
        f"{_are(data, lines)} longer than {_LONG_CHARACTERS:,} characters ({lines_text(lines)}): to make "
        "tokens of such a row takes a while, in which nothing else happens"
    )


def overlap_of(held_out: DataSet, trained_on: DataSet) -> str:
    """A sentence on the rows of `held_out` that are rows of `trained_on` too; "" for none."""
    known = {_content(row) for row in trained_on.rows}
    lines = [row.line for row in held_out.rows if _content(row) in known]
    if not lines:
        return ""
    return (
        f"{_are(held_out, lines)} in {trained_on.path.name} too ({lines_text(lines)}): what was learned by "
        "heart looks better there than it is on new rows"
    )


def _one_text(data: DataSet) -> str:
    """Passages of plain text have no groups, and no place for any."""
    if data.kind != "plain" or len(data.rows) < 2:
        return ""
    return (
        f"{data.path.name}: {len(data.rows):,} passages of one text are taken as independent of one another, "
        "and neighbouring ones are alike, so that intervals are narrower than they should be: of several "
        'texts make rows {"text": …, "group": …}, each with the text that it is of as its group'
    )


def _missing_groups(data: DataSet) -> str:
    without = [row.line for row in data.rows if row.group is None]
    if not 0 < len(without) < len(data.rows):
        return ""
    return (
        f"{_are(data, without)} without a group ({lines_text(without)}), so that no group counts and every "
        "row is taken as independent of the others: give every row one"
    )


def _repeated(data: DataSet) -> str:
    """Rows of one group may repeat one another: they count together."""
    seen: dict[object, str | None] = {}
    groups = data.groups or (None,) * len(data.rows)
    lines = []
    for row, group in zip(data.rows, groups, strict=True):
        content = _content(row)
        if content not in seen:
            seen[content] = group
        elif group is None or seen[content] != group:
            lines.append(row.line)
    if not lines:
        return ""
    return (
        f"{_are(data, lines)} the same as an earlier one ({lines_text(lines)}), and counted as independent "
        "of it, so that differences look surer than they are: leave them out, or give the same ones one group"
    )


def _are(data: DataSet, lines: Sequence[int]) -> str:
    return f"{data.path.name}: {rows_are(len(lines), len(data.rows))}"


def _content(row: Row) -> object:
    turns = tuple((turn["role"], turn["content"]) for turn in row.messages)
    return (row.text, row.prompt, row.response, turns)
