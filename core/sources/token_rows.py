"""Rows of other sources in an order of their own: a vocabulary whose tokens are matched by their text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.checkpoint.headers import StoredTensor
from core.dtypes import DType
from core.sources.source import AnyRun, ReadStored, Source, fill_from

__all__ = ["RowPicks", "Rows", "Zeros"]

_WINDOW_BYTES = 1 << 20
"""That are put into their order at a time."""

_MOST_READS = 16
"""Up to so many reads are fewer than it is worth to read what lies between them too."""


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
    def scratch(self) -> int:
        return max(source.scratch for source in self.sources)

    @property
    def kept_bytes(self) -> int:
        return sum(source.kept_bytes for source in self.sources)

    @property
    def terms(self) -> int:
        return max(source.terms for source in self.sources)

    def straight(self, first_element: int, elements: int) -> Source:
        """The source itself where these elements are in their own places in it: files are read fastest so."""
        first, end = first_element // self.width, -(-(first_element + elements) // self.width)
        picks = self.picks.table[first:end]
        if (picks[:, 0] == 0).all() and (picks[:, 1] == np.arange(first, end)).all():
            return self.sources[0]
        return self

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        row_bytes = self.width * self.dtype.itemsize
        first = first_element // self.width
        last, step = first + len(buffer) // row_bytes, max(1, _WINDOW_BYTES // row_bytes)
        for begin in range(first, last, step):
            end = min(last, begin + step)
            self._fill_rows(read, begin, end, buffer[(begin - first) * row_bytes : (end - first) * row_bytes])

    def _fill_rows(self, read: ReadStored, first: int, last: int, buffer: memoryview) -> None:
        row_bytes, ends = self.width * self.dtype.itemsize, self.picks.ends
        runs = np.searchsorted(ends, [first, last - 1], side="right")
        if runs[1] - runs[0] >= _MOST_READS and self._gather(read, first, last, buffer):
            return
        at = first
        for end in [*ends[runs[0] : runs[1]].tolist(), last]:
            part = buffer[(at - first) * row_bytes : (end - first) * row_bytes]
            source, row = (int(value) for value in self.picks.table[at])
            if source < 0:
                part[:] = bytes(len(part))
            else:
                fill_from(self.sources[source], read, row * self.width, part)
            at = end

    def _gather(self, read: ReadStored, first: int, last: int, buffer: memoryview) -> bool:
        """Take single rows from all that lie between them, where these are few more; whether that was so."""
        picks, row_bytes = self.picks.table[first:last], self.width * self.dtype.itemsize
        wanted = [(source, picks[:, 0] == number) for number, source in enumerate(self.sources)]
        spans = [
            (source, own, int(picks[own, 1].min()), int(picks[own, 1].max()) + 1)
            for source, own in wanted
            if own.any()
        ]
        if sum(end - begin for _, _, begin, end in spans) > 2 * (last - first):
            return False
        rows = np.frombuffer(buffer, np.uint8).reshape(last - first, row_bytes)
        rows[picks[:, 0] < 0] = 0
        for source, own, begin, end in spans:
            lying = np.empty((end - begin, row_bytes), np.uint8)
            fill_from(source, read, begin * self.width, lying.reshape(-1).data)
            rows[own] = lying[picks[own, 1] - begin]
        return True


@dataclass(frozen=True, slots=True)
class Zeros(AnyRun):
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

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        buffer[:] = bytes(len(buffer))
