"""The sub-models as the window holds them: plain data, no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gui.merge_setup import ModelChoice

__all__ = ["SubModels"]


@dataclass
class SubModels:
    """The list of sub-models, and how many of them take part.

    The first `k` enabled ones take part. As long as all enabled ones do, K follows their number; otherwise
    a change of the list leaves K as it is, as far as there are enough of them.

    Attributes:
        choices: in the order of the list.
        k: 1 <= k <= `enabled`, or 0 where none is enabled.
    """

    choices: tuple[ModelChoice, ...] = ()
    k: int = 0

    @property
    def enabled(self) -> int:
        """How many are enabled."""
        return sum(choice.enabled for choice in self.choices)

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
        """Put `choices` in the place of all."""
        follows = self.k == self.enabled
        self.choices = tuple(choices)
        self.set_k(self.enabled if follows else self.k)

    def set_k(self, k: int) -> None:
        self.k = min(max(k, 1), self.enabled)

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
            replace(choice, weight=weight) if row in changed else choice
            for row, choice in enumerate(self.choices)
        )

    def set_folder(self, row: int, folder: Path) -> None:
        """Put another model into row `row`, with the weight of the one before."""
        choices = list(self.choices)
        choices[row] = replace(choices[row], folder=folder)
        self.put(choices)
