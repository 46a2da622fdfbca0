"""What a plan says of vocabularies that differ, for the window."""

from __future__ import annotations

from core import MergePlan
from core.text import one_line
from gui.preflight.report import TokenRow, TokensReport
from gui.words import grouped, plural

__all__ = ["tokens_report"]

_MOST_ROWS = 10_000
"""More are not looked at in a window; the command line lists them all."""

_MOST_MODELS = 6


def tokens_report(plan: MergePlan) -> TokensReport | None:
    """How the vocabularies become one; None where all models have the same rows."""
    tokens = plan.tokens
    if tokens is None:
        return None
    named = [
        f"{one_line(name)} {grouped(size)}"
        for name, size in zip(tokens.names, tokens.rows.sizes, strict=True)
    ]
    more = f" and {grouped(len(named) - _MOST_MODELS)} more" if len(named) > _MOST_MODELS else ""
    rows = plural(tokens.rows.rows, "row")
    return TokensReport(
        f"{rows}, {tokens.counts_text}",
        f"The result has {rows} of tokens. The models have: {', '.join(named[:_MOST_MODELS])}{more}.",
        tuple(
            TokenRow(change.token, change.row, change.what, tokens.origin_text(change, _MOST_MODELS, grouped))
            for change in tokens.changes[:_MOST_ROWS]
        ),
        len(tokens.changes),
    )
