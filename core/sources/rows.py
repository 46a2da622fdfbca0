"""What is read of a tensor's files, chunk after chunk into the same buffers, in one call a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.files import ReadFile, fill_table, row_table
from core.checkpoint.headers import StoredTensor
from core.helpers import Helpers
from core.sources.ahead import WINDOW_BYTES, Told
from core.sources.source import Source

__all__ = ["Opened", "Rows", "expect"]

_SHARED_BYTES = 1024**2
"""That are worth handing to another thread."""

_PAGE_BYTES = 4096


class Opened(Protocol):
    """A file that one worker has open."""

    @property
    def file(self) -> ReadFile: ...

    @property
    def told(self) -> Told:
        """What of the file the system knows that it is read soon."""
        ...

    @property
    def forgets(self) -> bool:
        """Whether it is to be told of each read, when that begins and ends: to have what was read
        forgotten."""
        ...

    def expect(self, offset: int, size: int) -> None:
        """Be told what is about to be read."""
        ...

    def begin(self, offset: int, size: int) -> None: ...

    def end(self) -> None: ...

    def close(self) -> None: ...


class Rows:
    """What is read from the files for one chunk after another of a tensor, into the same buffers.

    Made once a tensor, so that a chunk costs a few array operations: with many threads it is the
    interpreter's lock that they queue for.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        buffers: Sequence[memoryview],
        stored: Sequence[tuple[Opened, StoredTensor, memoryview]],
    ) -> None:
        """Args:
        sources, buffers: all of the tensor's.
        stored: those of them that lie in files as they are wanted, and the files.
        """
        self._sources, self._buffers, self._stored = sources, buffers, stored
        self._forgetting = [opened for opened, _, _ in stored if opened.forgets]
        self._itemsizes = np.array([tensor.dtype.itemsize for _, tensor, _ in stored], np.int64)
        self._offsets = np.array([tensor.offset for _, tensor, _ in stored], np.int64)
        self._table = row_table([(opened.file, 0, buffer) for opened, _, buffer in stored])
        self._sizes = self._table[:, 2].copy()

    def are_of(self, sources: Sequence[Source], buffers: Sequence[memoryview]) -> bool:
        return sources is self._sources and buffers is self._buffers

    def read(self, first_element: int, helpers: Helpers | None) -> None:
        """Fill the buffers from this element of the tensor on."""
        table = self._table
        np.multiply(self._itemsizes, first_element, out=table[:, 3])
        table[:, 3] += self._offsets
        for (opened, _, buffer), offset in zip(self._stored, table[:, 3].tolist(), strict=True):
            expect(opened, offset, len(buffer))
        try:
            if helpers is None:
                self._read(table)
                return
            shares = max(1, min(helpers.count, int(self._sizes.sum()) // _SHARED_BYTES))
            helpers.each(self._read, [_share(table, at, shares) for at in range(shares)])
        finally:
            for opened in self._forgetting:
                opened.end()

    def _read(self, table: NDArray[np.int64]) -> None:
        done = fill_table(table)
        for at in range(done, len(table)):
            opened, _, buffer = self._stored[at]
            start = int(table[at, 1] - self._table[at, 1])
            opened.file.read_into(buffer[start : start + int(table[at, 2])], int(table[at, 3]))


def expect(opened: Opened, offset: int, size: int) -> None:
    """Say what is about to be read, where it is news."""
    told = opened.told
    if offset < told.since or offset + size + WINDOW_BYTES > told.until:
        opened.expect(offset, size)
    if opened.forgets:
        opened.begin(offset, size)


def _share(table: NDArray[np.int64], number: int, shares: int) -> NDArray[np.int64]:
    """One of so many equal parts of every row of a table, in whole pages."""
    sizes = table[:, 2]
    first, last = (sizes * at // shares // _PAGE_BYTES * _PAGE_BYTES for at in (number, number + 1))
    if number + 1 == shares:
        last = sizes
    share = table.copy()
    share[:, 1] += first
    share[:, 2] = last - first
    share[:, 3] += first
    return share
