"""The sums of deltas, block by block, and what a sample of blocks says of all."""

from __future__ import annotations

import numpy as np

from core.deltas.statistics import DeltaStatistics, Floats, no_covariances
from core.deltas.sum_layout import layout_of
from core.kernels.deltas.sums import DeltaSums

__all__ = ["SumsOfBlocks"]


class SumsOfBlocks:
    """The sums of a tensor or several, growing block by block, in the order in which they are added."""

    def __init__(self, models: int, *, details: bool, draws: int, sampling: bool) -> None:
        """Nothing is added yet; `sampling` says whether covariances are wanted."""
        self._layout = layout_of(models, details, draws)
        self._models, self._details, self._draws, self._sampling = models, details, draws, sampling
        self.elements = self.blocks = 0
        self._size_squares = 0.0
        self._sums = np.zeros(self._layout.size)
        self._by_size = np.zeros(self._layout.size if sampling else 0)
        self._products = np.zeros(self._layout.left.size if sampling else 0)
        self._largest = np.zeros(models)

    def add(self, block: DeltaSums) -> None:
        """Add the sums of one block."""
        flat = np.concatenate(
            [getattr(block, name).ravel() for name in self._layout.places], dtype=np.float64
        )
        self.elements += block.elements
        self.blocks += 1
        self._sums += flat
        if block.largest is not None:
            np.maximum(self._largest, block.largest, out=self._largest)
        if self._sampling:
            self._size_squares += float(block.elements) ** 2
            self._by_size += flat * block.elements
            self._products += flat[self._layout.left] * flat[self._layout.right]

    def count(self, name: str) -> tuple[int, ...]:
        """What was counted so far, without regard to what was not read."""
        place, _ = self._layout.places[name]
        return tuple(self._sums[place].astype(np.int64).tolist())

    def statistics(self, parameters: int, blocks: int, tensors: int = 1) -> DeltaStatistics:
        """What the sums say of `tensors` tensors of so many elements in so many blocks."""
        whole = self.elements == parameters
        return DeltaStatistics(
            models=self._models,
            tensors=tensors,
            parameters=parameters,
            elements=self.elements,
            details=self._details,
            draws=self._draws,
            freedom=0 if whole else max(0, self.blocks - 1),
            totals=self._sums.copy() if whole else self._sums * (parameters / self.elements),
            covariances=no_covariances(self._layout.left.size) if whole else self._covariances(blocks),
            largest=self._largest.copy(),
        )

    def _covariances(self, blocks: int) -> Floats:
        read = self.blocks
        if read < 2:
            return np.full(self._layout.left.size, np.nan)
        left, right = self._layout.left, self._layout.right
        rate = self._sums / self.elements
        residuals = (
            self._products
            - rate[left] * self._by_size[right]
            - rate[right] * self._by_size[left]
            + rate[left] * rate[right] * self._size_squares
        )
        result: Floats = residuals * (blocks**2 * (1 - read / blocks) / (read * (read - 1)))
        return result
