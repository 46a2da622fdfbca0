"""The sub-models as the window holds them: plain data, no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gui.document.merge_setup import ModelChoice
from gui.numbers import Unread

__all__ = ["SubModels"]


@dataclass
class SubModels:
    """The list of sub-models, and how many of them take part.

    The first `k` enabled ones take part: as many as the method takes, until a smaller number is set, which
    then holds as long as there are enough.

    Attributes:
        choices: in the order of the list.
        k: 1 <= k <= `highest`, or 0 where none is enabled.
        wanted: the K that was set; None for as many as can.
        least, most: how many the method takes; `most` None for any number.
    """

    choices: tuple[ModelChoice, ...] = ()
    k: int = 0
    wanted: int | None = None
    least: int = 1
    most: int | None = None

    @property
    def enabled(self) -> int:
        """How many are enabled."""
        return sum(choice.enabled for choice in self.choices)

    @property
    def lowest(self) -> int:
        """The smallest K that can be set; 0 where none is enabled."""
        return min(max(self.least, 1), self.highest)

    @property
    def highest(self) -> int:
        """The largest K that can be set: all that are enabled, as far as the method takes them."""
        return self.enabled if self.most is None else min(self.most, self.enabled)

    def numbers(self) -> list[int | None]:
        """For each row, its number among those that take part: 0 to k - 1, or None."""
        numbers: list[int | None] = []
        number = 0
        for choice in self.choices:
            takes_part = choice.enabled and number < self.k
            numbers.append(number if takes_part else None)
            number += takes_part
        return numbers

    def put(self, choices: Iterable[ModelChoice]) -> None:
        """Replace the list by `choices`."""
        self.choices = tuple(choices)
        self._fit()

    def set_k(self, k: int) -> None:
        """Let the first `k` ticked ones take part; as many as can means that also when more are added."""
        self.wanted = max(k, 1) if k < self.highest else None
        self._fit()

    def limit(self, least: int, most: int | None) -> None:
        """The method takes `least` to `most`; the K that was set comes back with one that takes it."""
        self.least, self.most = least, most
        self._fit()

    def remove(self, rows: Iterable[int]) -> None:
        gone = set(rows)
        self.put(choice for row, choice in enumerate(self.choices) if row not in gone)

    def order_after_move(self, rows: Iterable[int], before: int) -> list[int]:
        """The old rows in their new order, when `rows` are gathered in front of row `before`."""
        moved = sorted(set(rows))
        rest = [row for row in range(len(self.choices)) if row not in set(moved)]
        at = sum(row < before for row in rest)
        return [*rest[:at], *moved, *rest[at:]]

    def reorder(self, order: Sequence[int]) -> None:
        """Put the old rows in `order`; it names each of them once."""
        self.put([self.choices[row] for row in order])

    def enable(self, rows: Iterable[int], enabled: bool) -> None:
        changed = set(rows)
        self.put(
            replace(choice, enabled=enabled) if row in changed else choice
            for row, choice in enumerate(self.choices)
        )

    def set_weight(self, rows: Iterable[int], weight: float) -> None:
        changed = set(rows)
        self.put(
            replace(choice, weight=weight, unread=None) if row in changed else choice
            for row, choice in enumerate(self.choices)
        )

    def set_unread(self, rows: Iterable[int], unread: Unread) -> None:
        """Keep what was typed as the weight of `rows` and cannot be taken."""
        changed = set(rows)
        self.put(
            replace(choice, unread=unread) if row in changed else choice
            for row, choice in enumerate(self.choices)
        )

    def set_folder(self, row: int, folder: Path) -> None:
        """Replace the model in row `row`, keeping the weight."""
        choices = list(self.choices)
        choices[row] = replace(choices[row], folder=folder)
        self.put(choices)

    def _fit(self) -> None:
        wanted = self.highest if self.wanted is None else self.wanted
        self.k = max(min(wanted, self.highest), self.lowest)
