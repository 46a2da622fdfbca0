"""Many comparisons at once: p-values so adjusted that all of them together err once in twenty times."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The adjusted p-value of each, in the order given. Where it is ≤ 0.05, the difference is shown.

    Sorted, the i-th of m (from 0) times m − i, at least the one before, at most 1. Whatever depends on what,
    the chance of a single wrong "shown" among all is at most 5 %.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979). Deviation: none.
    """
    adjusted = [1.0] * len(p_values)
    least = 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=lambda number: p_values[number])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = least
    return tuple(adjusted)
