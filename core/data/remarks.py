"""What makes the rows of a data file say less than their number: repeated ones, groups that not all have, and
rows that were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.data.rows import DataSet, Row

__all__ = ["overlap_of", "with_remarks"]

_MOST_LINES = 5
"""Named in a sentence."""


def with_remarks(data: DataSet, trained_on: DataSet | None = None) -> DataSet:
    """`data`, whose notes say so too where its rows are not what a comparison takes them for.

    Args:
        data: what models are compared on.
        trained_on: what they learned from; None where that is not known.
    """
    found = [_missing_groups(data), _repeated(data)]
    if trained_on is not None:
        found.append(overlap_of(data, trained_on))
    return replace(data, notes=(*data.notes, *(sentence for sentence in found if sentence)))


def overlap_of(held_out: DataSet, trained_on: DataSet) -> str:
    """A sentence on the rows of `held_out` that are rows of `trained_on` too; "" for none."""
    known = {_content(row) for row in trained_on.rows}
    lines = [row.line for row in held_out.rows if _content(row) in known]
    if not lines:
        return ""
    return (
        f"{held_out.path.name}: {_count(len(lines), len(held_out.rows))} in {trained_on.path.name} too"
        f"{_at(lines)}: what was learned by heart looks better there than it is on new rows"
    )


def _missing_groups(data: DataSet) -> str:
    without = [row.line for row in data.rows if row.group is None]
    if not 0 < len(without) < len(data.rows):
        return ""
    return (
        f"{data.path.name}: {_count(len(without), len(data.rows))} without a group{_at(without)}, so that no "
        "group counts and every row is taken as independent of the others: give every row one"
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
        f"{data.path.name}: {_count(len(lines), len(data.rows))} the same as an earlier one{_at(lines)}, and "
        "counted as independent of it, so that differences look surer than they are: leave them out, or give "
        "the same ones one group"
    )


def _content(row: Row) -> object:
    turns = tuple((turn["role"], turn["content"]) for turn in row.messages)
    return (row.text, row.prompt, row.response, turns)


def _count(some: int, all_rows: int) -> str:
    return f"{some:,} of {all_rows:,} row{'s' if all_rows > 1 else ''} {'are' if some > 1 else 'is'}"


def _at(lines: Sequence[int]) -> str:
    named = ", ".join(map(str, lines[:_MOST_LINES]))
    more = ", …" if len(lines) > _MOST_LINES else ""
    return f" (line{'s' if len(lines) > 1 else ''} {named}{more})"
