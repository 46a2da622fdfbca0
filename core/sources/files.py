"""The input files of one worker, open for reads of runs of elements."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.files import ReadFile, changed, fill_table, read_rows, row_table
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.errors import CheckpointError, InputChangedError
from core.helpers import Helpers
from core.sources.source import FileRange, ReadStored, Source

__all__ = ["ColdPages", "Inputs", "OpenInputs", "ReadAhead", "ScatteredInputs"]

_WINDOW_BYTES = 4 * 1024**2
_SHARED_BYTES = 1024**2
"""That are worth handing to another thread."""

_PAGE_BYTES = 4096


class ColdPages:
    """Which parts of the input files were not in the page cache before anything was read of them.

    Shared by all workers. A shard is looked at when the first of them opens it: later, what they
    and the system's own read-ahead bring in could not be told from what was there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[Path, frozenset[int]] = {}

    def of(self, file: ReadFile) -> frozenset[int]:
        """The numbers of the cold windows of `file`."""
        with self._lock:
            if file.path not in self._windows:
                numbers = range(-(-file.size_bytes // _WINDOW_BYTES))
                self._windows[file.path] = frozenset(
                    number for number in numbers if file.is_cold(number * _WINDOW_BYTES, _WINDOW_BYTES)
                )
            return self._windows[file.path]


class ReadAhead:
    """Up to where the system was told of what is read next in each file; shared by all workers.

    Each for itself would ask after the same pages again, which costs as much as reading a tenth of them.
    """

    def __init__(self) -> None:
        self._told: dict[Path, _Told] = {}

    def of(self, path: Path) -> _Told:
        return self._told.setdefault(path, _Told())


@dataclass
class _Told:
    """Up to which byte of one file."""

    until: int = 0


class _Opened(Protocol):
    @property
    def file(self) -> ReadFile: ...

    @property
    def told(self) -> _Told:
        """Of how much of the file the system knows that it is read soon."""
        ...

    def expect(self, offset: int, size: int) -> None:
        """Be told what is about to be read."""
        ...

    def close(self) -> None: ...


class Inputs:
    """For every input the one file that is read now; used by one thread at a time."""

    def __init__(self, headers: Mapping[Path, ShardHeader], helpers: Helpers | None = None) -> None:
        """Nothing is opened yet.

        Args:
            headers: of every file, as they were when the work was planned.
            helpers: threads that share each read; None where the caller reads alone.
        """
        self._headers, self._helpers = headers, helpers
        self._open: dict[tuple[int, int], _Opened] = {}
        """By the number of the source, and which of the files that it reads at the same time."""
        self._rows: _Rows | None = None

    def read(self, sources: Sequence[Source], first_element: int, buffers: Sequence[memoryview]) -> None:
        """Fill a buffer from element `first_element` on of each source, in their order.

        What lies in files as it is wanted is read in one call; other sources fill their buffers themselves.

        Raises:
            CheckpointError: a file cannot be read, or is not the one that was planned with.
        """
        rows = self._rows
        if rows is None or not rows.are_of(sources, buffers):
            rows = self._rows = self._rows_of(sources, buffers)
        rows.read(first_element, self._helpers)
        for number, (source, buffer) in enumerate(zip(sources, buffers, strict=True)):
            if not isinstance(source, FileRange):
                paths = list(dict.fromkeys(stored.path for stored in source.stored))

                def read(
                    stored: StoredTensor,
                    first: int,
                    part: memoryview,
                    number: int = number,
                    paths: list[Path] = paths,
                ) -> None:
                    opened = self._opened_for((number, paths.index(stored.path)), stored)
                    offset = stored.offset + first * stored.dtype.itemsize
                    _expect(opened, offset, len(part))
                    read_rows([(opened.file, offset, part)])

                _fill(source, read, first_element, buffer)

    def check_unchanged(self) -> None:
        """Raises InputChangedError where a file that is open is not what it was when it was planned with."""
        for opened in self._open.values():
            opened.file.check_unchanged()

    def close(self) -> None:
        for opened in self._open.values():
            opened.close()

    def _rows_of(self, sources: Sequence[Source], buffers: Sequence[memoryview]) -> _Rows:
        stored = [
            (self._opened_for((number, 0), source.tensor), source.tensor, buffer)
            for number, (source, buffer) in enumerate(zip(sources, buffers, strict=True))
            if isinstance(source, FileRange)
        ]
        return _Rows(sources, buffers, stored)

    def _opened_for(self, place: tuple[int, int], stored: StoredTensor) -> _Opened:
        opened = self._open.get(place)
        if opened is None or opened.file.path != stored.path:
            if opened is not None:
                opened.file.check_unchanged()
                opened.close()
            opened = self._open[place] = self._opened(self._headers[stored.path])
        return opened

    def _opened(self, planned: ShardHeader) -> _Opened:
        raise NotImplementedError


class _Rows:
    """What is read from the files for one chunk after another of a tensor, into the same buffers.

    Made once a tensor, so that a chunk costs a few array operations: with many threads it is the
    interpreter's lock that they queue for.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        buffers: Sequence[memoryview],
        stored: Sequence[tuple[_Opened, StoredTensor, memoryview]],
    ) -> None:
        self._sources, self._buffers, self._stored = sources, buffers, stored
        self._itemsizes = np.array([tensor.dtype.itemsize for _, tensor, _ in stored], np.int64)
        self._offsets = np.array([tensor.offset for _, tensor, _ in stored], np.int64)
        self._table = row_table([(opened.file, 0, buffer) for opened, _, buffer in stored])
        self._sizes = self._table[:, 2].copy()

    def are_of(self, sources: Sequence[Source], buffers: Sequence[memoryview]) -> bool:
        return sources is self._sources and buffers is self._buffers

    def read(self, first_element: int, helpers: Helpers | None) -> None:
        table = self._table
        np.multiply(self._itemsizes, first_element, out=table[:, 3])
        table[:, 3] += self._offsets
        for (opened, _, buffer), offset in zip(self._stored, table[:, 3].tolist(), strict=True):
            _expect(opened, offset, len(buffer))
        if helpers is None:
            self._read(table)
            return
        shares = max(1, min(helpers.count, int(self._sizes.sum()) // _SHARED_BYTES))
        helpers.each(self._read, [_share(table, at, shares) for at in range(shares)])

    def _read(self, table: NDArray[np.int64]) -> None:
        done = fill_table(table)
        for at in range(done, len(table)):
            opened, _, buffer = self._stored[at]
            start = int(table[at, 1] - self._table[at, 1])
            opened.file.read_into(buffer[start : start + int(table[at, 2])], int(table[at, 3]))


def _expect(opened: _Opened, offset: int, size: int) -> None:
    if offset + size + _WINDOW_BYTES > opened.told.until:
        opened.expect(offset, size)


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


class OpenInputs(Inputs):
    """Inputs that are read more or less from beginning to end, fetched a window ahead."""

    def __init__(
        self,
        headers: Mapping[Path, ShardHeader],
        cold_pages: ColdPages | None = None,
        helpers: Helpers | None = None,
        ahead: ReadAhead | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            headers, helpers: as for Inputs.
            cold_pages: to have what was cold dropped from the page cache again; None to leave it there.
            ahead: what workers that read the same files side by side share; None for one alone.
        """
        super().__init__(headers, helpers)
        self._cold_pages, self._ahead = cold_pages, ahead or ReadAhead()

    def _opened(self, planned: ShardHeader) -> _Opened:
        return _OpenShard(planned, self._ahead.of(planned.path), self._cold_pages)


class ScatteredInputs(Inputs):
    """Inputs for reads that leave gaps: nothing is fetched ahead."""

    def _opened(self, planned: ShardHeader) -> _Opened:
        return _ScatteredShard(planned)


def _fill(source: Source, read: ReadStored, first_element: int, buffer: memoryview) -> None:
    """Fill `buffer` from a source, which may deliver whole rows only."""
    size = source.dtype.itemsize
    before = first_element % source.row
    after = -(first_element + len(buffer) // size) % source.row
    if not (before or after):
        source.fill(read, first_element, buffer)
        return
    rows = memoryview(bytearray(len(buffer) + (before + after) * size))
    source.fill(read, first_element - before, rows)
    buffer[:] = rows[before * size : before * size + len(buffer)]


_OF_THIS_PROCESS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of opening a file that say nothing about the file."""


def _open_planned(planned: ShardHeader) -> ReadFile:
    try:
        file = ReadFile(planned.path)
    except CheckpointError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _OF_THIS_PROCESS:
            raise
        # It could be read when it was planned with.
        raise InputChangedError(error.message, hint=error.hint, path=planned.path) from error
    if file.state != planned.state:
        file.close()
        raise changed(planned.path, planned.state, file.state)
    return file


class _ScatteredShard:
    def __init__(self, planned: ShardHeader) -> None:
        self.file = _open_planned(planned)
        self.told = _Told(sys.maxsize)
        advise: Any = getattr(os, "posix_fadvise", None)
        if advise is not None:
            advise(self.file.descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def expect(self, offset: int, size: int) -> None:
        """Nothing is fetched ahead."""

    def close(self) -> None:
        self.file.close()


class _OpenShard:
    """A shard that is read more or less from its beginning to its end, fetched a window ahead.

    Several workers read a shard side by side, each with an `_OpenShard` of its own.
    """

    def __init__(self, planned: ShardHeader, told: _Told, cold_pages: ColdPages | None) -> None:
        self.file = _open_planned(planned)
        self.told = told
        self._cold = cold_pages.of(self.file) if cold_pages is not None else frozenset()
        self._kept_from = 0

    def expect(self, offset: int, size: int) -> None:
        """Have a range that is about to be read, and what comes after it, fetched."""
        first = offset // _WINDOW_BYTES
        start = max(self.told.until, first * _WINDOW_BYTES)
        stop = ((offset + size) // _WINDOW_BYTES + 2) * _WINDOW_BYTES
        self.told.until = stop
        self.file.will_need(start, stop - start)
        self._drop(self._kept_from, first - 1)

    def close(self) -> None:
        self._drop(0, self.told.until // _WINDOW_BYTES + 1)
        self.file.close()

    def _drop(self, start: int, stop: int) -> None:
        """Let go of the windows from `start` to before `stop`, as far as they were cold."""
        if not self._cold:
            return
        for window in range(start, stop):
            if window in self._cold:
                self.file.drop(window * _WINDOW_BYTES, _WINDOW_BYTES)
        self._kept_from = max(self._kept_from, stop)
