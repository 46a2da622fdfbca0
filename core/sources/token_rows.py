"""Rows of other sources in an order of their own: a vocabulary whose tokens are matched by their text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.checkpoint.headers import StoredTensor
from core.dtypes import DType
from core.sources.source import ReadStored, Source, fill_from

__all__ = ["RowPicks", "Rows", "Zeros"]


@dataclass(frozen=True)
class RowPicks:
    """Which rows, as values with an equality and a hash.

    Attributes:
        data: int64, two a row: which of the sources, or -1 for zeros, and which of its rows.
    """

    data: bytes

    @classmethod
    def of(cls, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> RowPicks:
        return cls(np.stack([np.where(rows < 0, -1, sources), rows], axis=1).astype(np.int64).tobytes())

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.data)

    @cached_property
    def digest(self) -> str:
        return xxhash.xxh3_128(self.data).hexdigest()

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """[rows, 2]"""
        return np.frombuffer(self.data, np.int64).reshape(-1, 2)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Where runs of rows end that are next to one another in their source too. [runs]"""
        table = self.table
        goes_on = (np.diff(table[:, 0]) == 0) & ((np.diff(table[:, 1]) == 1) | (table[1:, 0] < 0))
        return np.append(np.nonzero(~goes_on)[0] + 1, len(table)).astype(np.int64)


@dataclass(frozen=True)
class Rows:
    """A tensor whose rows are those of one or several others; where none has one, zeros.

    Attributes:
        sources: of one type, with rows of `width` elements.
        picks: which row of which of them each row is.
        width: elements of a row.
    """

    sources: tuple[Source, ...]
    picks: RowPicks
    width: int

    @property
    def dtype(self) -> DType:
        return self.sources[0].dtype

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return tuple(stored for source in self.sources for stored in source.stored)

    @property
    def bytes_to_read(self) -> int:
        return self.bytes_of(len(self.picks.table) * self.width)

    def bytes_of(self, elements: int) -> int:
        """As if every row was in a file: what is asked for mostly is."""
        return self.sources[0].bytes_of(elements)

    @property
    def row(self) -> int:
        return self.width

    @property
    def host_only(self) -> bool:
        return True

    @property
    def scratch(self) -> int:
        return max(source.scratch for source in self.sources)

    @property
    def kept_bytes(self) -> int:
        return sum(source.kept_bytes for source in self.sources)

    @property
    def terms(self) -> int:
        return max(source.terms for source in self.sources)

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        row_bytes = self.width * self.dtype.itemsize
        first, ends = first_element // self.width, self.picks.ends
        last = first + len(buffer) // row_bytes
        at, run = first, int(np.searchsorted(ends, first, side="right"))
        while at < last:
            end = min(last, int(ends[run]))
            part = buffer[(at - first) * row_bytes : (end - first) * row_bytes]
            source, row = (int(value) for value in self.picks.table[at])
            if source < 0:
                part[:] = bytes(len(part))
            else:
                fill_from(self.sources[source], read, row * self.width, part)
            at, run = end, run + 1


@dataclass(frozen=True, slots=True)
class Zeros:
    """In the place of rows that no input has.

    Attributes:
        dtype: a floating-point type.
    """

    dtype: DType

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return ()

    @property
    def bytes_to_read(self) -> int:
        return 0

    def bytes_of(self, elements: int) -> int:
        return 0

    @property
    def row(self) -> int:
        return 1

    @property
    def host_only(self) -> bool:
        return True

    @property
    def scratch(self) -> int:
        return 0

    @property
    def kept_bytes(self) -> int:
        return 0

    @property
    def terms(self) -> int:
        return 0

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        buffer[:] = bytes(len(buffer))
