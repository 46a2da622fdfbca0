"""Room around what is drawn in a plot."""

from __future__ import annotations

__all__ = ["with_margins"]

_MARGIN = 0.025
"""Of the height: as much as half a mark in a low plot."""


def with_margins(low: float, high: float) -> tuple[float, float]:
    """A little below `low` to a little above `high`: marks at the ends are seen whole, and so are the numbers
    of the axis beside them."""
    margin = _MARGIN * (high - low)
    return low - margin, high + margin
