"""The rows of a forest plot, and how far its scale reaches. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from gui.pictures.scored import Tone

__all__ = ["ForestRow", "is_far", "near_limit", "scale_of"]

_MARGIN = 0.06
"""Of the width of a scale, to the left and right of what is drawn."""

_FAR = 3.0
"""How many times as far from zero as the one before a row is, from nearest to farthest, where a scale near
zero leaves it and all that follow out."""


@dataclass(frozen=True)
class ForestRow:
    """One line.

    Attributes:
        title, verdict, numbers: the words to the left and to the right.
        difference: NaN for a row that has no place on the scale.
        low, high: its interval; NaN where there is none.
        tone: what the verdict says.
    """

    title: str
    verdict: str
    numbers: str
    difference: float
    low: float
    high: float
    tone: Tone

    @property
    def reach(self) -> float:
        """The largest distance from zero; 0 where nothing is known."""
        return max((abs(end) for end in (self.difference, self.low, self.high) if isfinite(end)), default=0.0)


def near_limit(rows: Sequence[ForestRow]) -> float:
    """How far from zero a scale reaches that shows half of the rows, and those not far from these."""
    reaches = sorted(row.reach for row in rows if row.tone != "reference" and isfinite(row.difference))
    middle = max(0, (len(reaches) - 1) // 2)
    for near, next_one in pairwise(reaches[middle:]):
        if next_one > _FAR * near:
            return near
    return reaches[-1] if reaches else 0.0


def is_far(rows: Sequence[ForestRow]) -> bool:
    """Whether some rows lie so far from zero that others can hardly be told from it."""
    limit = near_limit(rows)
    return 0 < limit < max(row.reach for row in rows if isfinite(row.difference))


def scale_of(rows: Sequence[ForestRow], *, near: bool) -> tuple[float, float]:
    """From where to where a scale reaches that has zero and all rows; `near` it leaves out what is far."""
    ends = [0.0]
    for row in rows:
        ends += [end for end in (row.difference, row.low, row.high) if isfinite(end)]
    low, high = min(ends), max(ends)
    if near:
        limit = near_limit(rows)
        low, high = max(low, -limit), min(high, limit)
    span = (high - low) or 1.0
    return low - _MARGIN * span, high + _MARGIN * span
