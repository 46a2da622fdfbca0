"""How long one kind of merge takes on this machine, relative to what is expected of it: learned from merges.

One merge says little: another program may have had the machine meanwhile. So the first ones move a pace by
no more than twice, what surprises makes it uncertain again, and a device that is not taken any more because
of what was learned of it is tried again, the later the more often that was seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["PACES", "Pace", "checked", "is_of_cpu", "kind_of", "same_method", "within"]

PACES = (1e-3, 1e3)
"""What is plausible of a machine, relative to the one that was measured."""

_FIRST = 2
"""So many merges move a pace all the way, those after them by _LEARNING."""

_LEARNING = 0.4
"""How far a merge moves what is known already, on a logarithmic scale."""

_MOST = {True: 2.0, False: 10.0}
"""By how much a merge may differ at most from what was expected, for one of the first and for a later one."""

_SURPRISING = 1.5
"""What differs by so much makes a pace uncertain again."""

_FORGOTTEN = 0.1
"""Of a pace that was seen once, for each merge that another device did; of others, less."""

_MOST_MERGES = 10


@dataclass(frozen=True)
class Pace:
    """What is known of one kind.

    Attributes:
        measured: how long it takes, relative to what is expected of it.
        merges: how many have said so, since the last that surprised.
        idle: merges since then that another device did.
    """

    measured: float = 1.0
    merges: int = 0
    idle: int = 0

    @property
    def now(self) -> float:
        """What to count on: nearer to 1 the longer it was not measured."""
        kept = 1 - _FORGOTTEN / max(self.merges, 1)
        return math.exp(math.log(self.measured) * kept**self.idle)

    def believed(self, ratio: float) -> tuple[float, float]:
        """Of how many times as long as `measured` says a merge took: what is taken for true, and how far it
        moves what is known, as an exponent."""
        first = self.merges < _FIRST
        return within(ratio, (1 / _MOST[first], _MOST[first])), 1.0 if first else _LEARNING

    def after(self, ratio: float, factor: float) -> Pace:
        """With a merge that took `ratio` times as long, by which this moves by `factor`."""
        surprises = abs(math.log(max(ratio, 1e-9))) > math.log(_SURPRISING)
        merges = 1 if surprises else min(self.merges + 1, _MOST_MERGES)
        return Pace(within(self.measured * factor, PACES), merges)

    def passed_over(self) -> Pace:
        """After a merge that another device did."""
        return replace(self, idle=self.idle + 1)

    @classmethod
    def from_data(cls, data: object) -> Pace:
        """What `dataclasses.asdict` made, or what earlier versions wrote: one number.

        Raises:
            ValueError, KeyError, TypeError: it makes no sense.
        """
        if not isinstance(data, Mapping):
            return cls(checked(data, PACES), _FIRST)
        counts = [int(checked(data[name], (0, 1e9))) for name in ("merges", "idle")]
        return cls(checked(data["measured"], PACES), *counts)


def kind_of(method: str, device_kind: str) -> str:
    """What merges by a method on devices of one kind are called: "linear", "linear on cuda"."""
    return method if device_kind == "cpu" else f"{method} on {device_kind}"


def is_of_cpu(kind: str) -> bool:
    """Whether it is what `kind_of` calls merges on the CPU."""
    return " on " not in kind


def same_method(kind: str, other: str) -> bool:
    """Whether two kinds differ in the device at most."""
    return kind.partition(" on ")[0] == other.partition(" on ")[0]


def checked(value: object, limits: tuple[float, float]) -> float:
    """Raises ValueError where `value` is no number within `limits`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not limits[0] <= value <= limits[1]:
        raise ValueError(f"{value!r} is not plausible")
    return float(value)


def within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])
