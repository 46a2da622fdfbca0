"""The advice on n from the deltas alone, beside what turned out best."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from core.cancel import CancelToken
from core.deltas.advice import advice_on_n
from core.deltas.measures import flattens_at
from core.evaluate.verdict.comparing import compare
from core.evaluate.verdict.comparison import HELPS, HURTS, decimals_of, signed
from core.study.samples import samples_text
from core.study.table import Table
from core.study.values import Advice

__all__ = ["advice_of"]


def advice_of(
    left: Sequence[float], table: Table, *, groups: Sequence[str] | None, cancel: CancelToken
) -> Advice | None:
    """The advice from the deltas beside what turned out best; None where no selection was made.

    The n of least loss is least by chance, too. So it is compared with the next smaller one that was tried,
    which moves fewer parameters.

    Args:
        left: the expected share on a zero delta with n = 0, 1, … resamples; () where it is not known.
        groups: of the samples that count. [N] or None
    """
    losses = {n: table.cost(row) for n, row in table.ns.items()}
    if not losses:
        return None
    best = min(losses, key=lambda n: losses[n])
    curve = np.asarray(left, np.float64)
    advised = flattens_at(curve) if len(curve) else None
    known = advice_on_n(curve)
    known = f"Parameters left as in the base: {known}" if known else ""
    outcome = ""
    if len(losses) > 1:
        tried = ", ".join(str(n) for n in losses)
        outcome = (
            f"Of n = {tried}, n = {best} has the least loss{_beside_smaller(table, best, groups, cancel)}."
        )
    if advised is not None and outcome:
        outcome += " The advice and the outcome agree." if advised == best else _apart(advised, best, losses)
    return Advice(advised, best, tuple(map(float, left)), " ".join(part for part in (known, outcome) if part))


def _beside_smaller(table: Table, best: int, groups: Sequence[str] | None, cancel: CancelToken) -> str:
    """Whether it is told from the next smaller n that was tried; "" where it is the smallest."""
    smaller = max((n for n in table.ns if n < best), default=None)
    if smaller is None:
        return ""
    (found,) = compare(table.ns[smaller].scores, [table.ns[best].scores], groups=groups, cancel=cancel)
    decimals = decimals_of([found])
    interval = ""
    if isfinite(found.low) and isfinite(found.high):
        interval = f" (95 % from {signed(-found.high, decimals)} to {signed(-found.low, decimals)})"
    told = "tell apart" if found.verdict in (HELPS, HURTS) else "cannot tell apart"
    return (
        f", {-found.difference:.{decimals}f} {found.unit} less than n = {smaller}{interval}, which "
        f"{samples_text(found.n, found.clusters)} {told}"
    )


def _apart(advised: int, best: int, losses: dict[int, float]) -> str:
    if advised not in losses:
        return f" The advised n = {advised} was not tried."
    return f" The advised n = {advised} is {losses[advised] - losses[best]:.4f} behind it."
