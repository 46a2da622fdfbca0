"""A part of a tensor: the rows that the same inputs have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.kernels.interface import MapJob
from core.sources.source import Source

__all__ = ["RowPart"]


@dataclass(frozen=True)
class RowPart:
    """The rows of a tensor that the same inputs have, wherever they are.

    Attributes:
        data: int64, two a run of consecutive rows: its first element, and the one behind its last.
        inputs: what is read, in the order of a workspace's buffers; each by the elements of the whole tensor.
        numbers: which of the tensor's inputs these are.
        job: how they are merged, with a value of each parameter for each sub-model that has them.
        present: which sub-models these are; () where the base's rows are taken, or zeros.
        is_whole: whether all that have the tensor have these rows, and so they are merged like any tensor.
    """

    data: bytes
    inputs: tuple[Source, ...]
    numbers: tuple[int, ...]
    job: MapJob
    present: tuple[int, ...]
    is_whole: bool

    @cached_property
    def runs(self) -> NDArray[np.int64]:
        """From and to which element each run goes, in their order. [runs, 2]"""
        return np.frombuffer(self.data, np.int64).reshape(-1, 2)

    @property
    def digest(self) -> str:
        """Of where the runs are."""
        return xxhash.xxh3_128(self.data).hexdigest()

    @property
    def elements(self) -> int:
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())

    @property
    def bytes_to_read(self) -> int:
        return sum(source.bytes_of(self.elements) for source in self.inputs)

    def within(self, begin: int, end: int) -> NDArray[np.int64]:
        """What of the runs lies between two elements. [runs, 2]"""
        first = np.searchsorted(self.runs[:, 1], begin, side="right")
        last = np.searchsorted(self.runs[:, 0], end, side="left")
        return np.clip(self.runs[first:last], begin, end)
