"""The sub-models as the window holds them: plain data, no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gui.reports import ModelSummary

__all__ = ["SubModel", "SubModels"]


@dataclass
class SubModel:
    """One line of the list.

    Attributes:
        folder: where it is.
        weight: its share.
        summary: what its headers say; None while they are read.
    """

    folder: Path
    weight: float = 1.0
    summary: ModelSummary | None = None

    @property
    def name(self) -> str:
        if self.summary is not None:
            return self.summary.name
        return self.folder.name or str(self.folder)


@dataclass
class SubModels:
    """The list of sub-models, and how many of them take part.

    Attributes:
        items: in the order of the list.
        k: the first k of them take part; 1 <= k <= len(items), or 0 for an empty list.
    """

    items: list[SubModel] = field(default_factory=list)
    k: int = 0

    @property
    def taking_part(self) -> Sequence[SubModel]:
        """The first K."""
        return self.items[: self.k]

    def add(self, folder: Path, weight: float = 1.0) -> None:
        """Append a model; it takes part where all others do."""
        if self.k == len(self.items):
            self.k += 1
        self.items.append(SubModel(folder, weight))

    def remove(self, row: int) -> None:
        """Take out row `row`; no other model starts or stops taking part."""
        if row < self.k:
            self.k -= 1
        del self.items[row]
        self.k = max(self.k, min(1, len(self.items)))

    def move(self, row: int, to: int) -> None:
        """Put row `row` where row `to` is."""
        self.items.insert(to, self.items.pop(row))

    def set_k(self, k: int) -> None:
        self.k = min(max(k, 1), len(self.items))
