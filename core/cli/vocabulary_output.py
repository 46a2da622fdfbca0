"""What `plan` prints of vocabularies that differ: added and moved tokens, and whose rows they are."""

from __future__ import annotations

from typing import Any

from core.plan.merge_plan import MergePlan
from core.text import one_line

__all__ = ["vocabulary_document", "vocabulary_lines"]

_MOST_LINES = 12
_MOST_MODELS = 4
_MOST_LETTERS = 24


def vocabulary_document(plan: MergePlan) -> dict[str, Any] | None:
    """Of every token; None where all inputs have the same rows."""
    tokens = plan.tokens
    if tokens is None:
        return None
    return {
        "rows": tokens.rows.rows,
        "rows_of": dict(zip(tokens.names, tokens.rows.sizes, strict=True)),
        "matched_by": "row" if tokens.vocabularies is None else "token",
        "tokens": [
            {
                "token": change.token,
                "row": change.row,
                "what": change.what,
                "from": [{"model": model, "row": row} for model, row in change.rows],
            }
            for change in tokens.changes
        ],
    }


def vocabulary_lines(plan: MergePlan) -> list[str]:
    """A line on the rows, and one a token of the first that were added or moved."""
    tokens = plan.tokens
    if tokens is None:
        return []
    sizes = ", ".join(
        f"{name} {size:,}"
        for name, size in list(zip(tokens.names, tokens.rows.sizes, strict=True))[:_MOST_LINES]
    )
    lines = [f"rows     {tokens.rows.rows:,} in the result; {tokens.counts_text}; the models have: {sizes}"]
    shown = [
        (
            f'"{one_line(change.token[:_MOST_LETTERS])}"',
            "" if change.row is None else f"{change.row:,}",
            change.what,
            tokens.origin_text(change, _MOST_MODELS),
        )
        for change in tokens.changes[:_MOST_LINES]
    ]
    widths = [max((len(row[at]) for row in shown), default=0) for at in range(3)]
    lines += [
        f"token    {token:{widths[0]}}  {row:>{widths[1]}}  {what:{widths[2]}}  {origin}"
        for token, row, what, origin in shown
    ]
    if len(tokens.changes) > _MOST_LINES:
        lines.append(f"token    … and {len(tokens.changes) - _MOST_LINES:,} more; --json shows them all")
    return lines
