"""How a training goes, from what its processes say of each step. No Qt."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASURES", "OrderProgress", "TrainingProgress", "thinned"]

Floats = NDArray[np.float64]

MEASURES = ("loss", "learning_rate", "grad_norm")
"""What is known of every step."""

_PACE_OF = 50
"""Steps whose time says how long the others take."""

_MOST_ORDERS, _MOST_STEPS = 10_000, 10**9


@dataclass
class OrderProgress:
    """One order.

    Attributes:
        number: from 1.
        of: how many steps it has in all; 0 where that is not known.
        epoch: the one that it is in, from 1; 0 before it began.
        steps: those that were done, ascending.
        values: the measures of each of them, NaN where nothing is said.
        at: when each was done, in seconds since 1970.
        eval_steps, eval_losses: after which steps the loss was measured, and what it was.
        done: whether its last model is there.
    """

    number: int
    of: int = 0
    epoch: int = 0
    steps: array[int] = field(default_factory=lambda: array("q"))
    values: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in MEASURES})
    at: array[float] = field(default_factory=lambda: array("d"))
    eval_steps: array[int] = field(default_factory=lambda: array("q"))
    eval_losses: array[float] = field(default_factory=lambda: array("d"))
    done: bool = False

    @property
    def step(self) -> int:
        return self.steps[-1] if self.steps else 0

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.done:
            return 1.0
        return min(self.step / self.of, 1.0) if self.of else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds that its other steps take, as the last ones took; None where there are none, or that
        is not known."""
        if self.done or not self.step < self.of or len(self.at) < 3:
            return None
        took = np.diff(np.array(self.at[-_PACE_OF:]))
        return float(np.median(took)) * max(self.of - self.step, 0)  # a pause between two steps is no pace

    def last(self, measure: str) -> float:
        """What was said of the last step; NaN for nothing."""
        values = self.values[measure]
        return values[-1] if values else math.nan

    @property
    def eval_loss(self) -> float:
        """What was measured last; NaN before that."""
        return self.eval_losses[-1] if self.eval_losses else math.nan

    def add(self, step: int, event: Mapping[str, Any]) -> None:
        """A step was done. What went on from an earlier one does the later ones again, and they count."""
        if self.steps and step <= self.steps[-1]:
            kept = bisect_left(self.steps, step)
            del self.steps[kept:]
            for series in (self.at, *self.values.values()):
                del series[kept:]
            kept = bisect_left(self.eval_steps, step)
            del self.eval_steps[kept:], self.eval_losses[kept:]
        self.of = _whole(event.get("of")) or self.of
        self.epoch = math.ceil(_float(event.get("epoch"), 0.0))
        self.steps.append(step)
        self.at.append(_float(event.get("at"), self.at[-1] if self.at else 0.0))
        for name in MEASURES:
            self.values[name].append(_float(event.get(name)))
        measured = _float(event.get("eval_loss"))
        if math.isfinite(measured):
            self.eval_steps.append(step)
            self.eval_losses.append(measured)


class TrainingProgress:
    """All orders of a training, as far as something was said of them.

    Attributes:
        orders: by number, ascending.
    """

    def __init__(self) -> None:
        self.orders: dict[int, OrderProgress] = {}

    def expect(self, orders: int) -> None:
        """There are so many orders at least, whether or not they have begun."""
        for number in range(1, min(orders, _MOST_ORDERS) + 1):
            self._order(number)

    def take(self, event: Mapping[str, Any]) -> bool:
        """Note what an event says; whether it was about a step or an order."""
        number = _whole(event.get("order"))
        if not 1 <= number <= _MOST_ORDERS:
            return False
        if event.get("kind") == "step":
            step = _whole(event.get("step"))
            if not 1 <= step <= _MOST_STEPS:
                return False
            self._order(number).add(step, event)
            return True
        if event.get("kind") == "order_done":
            self._order(number).done = True
            return True
        return False

    @property
    def done(self) -> int:
        """How many orders are finished."""
        return sum(order.done for order in self.orders.values())

    def _order(self, number: int) -> OrderProgress:
        if number not in self.orders:
            self.orders[number] = OrderProgress(number)
            self.orders = dict(sorted(self.orders.items()))
        return self.orders[number]


def thinned(steps: Sequence[int], values: Sequence[float], most: int) -> tuple[Floats, Floats]:
    """A line of at most `most` points: means of neighbours, which is what the eye would make of them.

    Args:
        steps: ascending. [N]
        values: of each; those that are NaN count in no mean. [N]
        most: points, at least 1.

    Returns: the steps and the values of the points, [M] each, M <= most; without points of NaN alone.
    """
    x, y = np.array(steps, np.float64), np.array(values, np.float64)
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) <= most:
        return x, y
    starts = np.linspace(0, len(x), most, endpoint=False).astype(np.int64)
    counts = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def _whole(value: Any) -> int:
    """`value` where it is a whole number, or else 0."""
    return value if type(value) is int else 0


def _float(value: Any, otherwise: float = math.nan) -> float:
    """`value` where it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return otherwise
    try:
        number = float(value)
    except OverflowError:
        return otherwise
    return number if math.isfinite(number) else otherwise
