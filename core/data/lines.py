"""Rows in a sentence: how many, and in which lines."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MOST_NAMED", "lines_text", "rows_are", "rows_text"]

MOST_NAMED = 5
"""Lines that a sentence names."""


def lines_text(lines: Sequence[int]) -> str:
    """ "line 7", "lines 3, 9, 12, 13, 20, …"."""
    named = ", ".join(map(str, lines[:MOST_NAMED]))
    return f"line{'s' if len(lines) > 1 else ''} {named}{', …' if len(lines) > MOST_NAMED else ''}"


def rows_text(lines: Sequence[int]) -> str:
    """ "line 7", "2 rows (lines 3, 9)"; a line that is named twice is one row."""
    lines = list(dict.fromkeys(lines))
    return lines_text(lines) if len(lines) == 1 else f"{len(lines):,} rows ({lines_text(lines)})"


def rows_are(some: int, all_rows: int) -> str:
    """ "1 of 3 rows is", "2 of 3 rows are"."""
    return f"{some:,} of {all_rows:,} row{'s' if all_rows > 1 else ''} {'are' if some > 1 else 'is'}"
