"""The input files of one worker, open for reads of runs of elements."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from core.checkpoint.files import ReadFile, changed, read_rows
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.errors import CheckpointError, InputChangedError
from core.sources.source import FileRange, ReadStored, Source

__all__ = ["ColdPages", "Inputs", "OpenInputs", "ScatteredInputs"]

_WINDOW_BYTES = 4 * 1024**2
_SHARED_BYTES = 2 * 1024**2
"""That one of several threads reads at a time."""


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


class _Opened(Protocol):
    @property
    def file(self) -> ReadFile: ...

    def expect(self, offset: int, size: int) -> None: ...

    def close(self) -> None: ...


class Inputs:
    """For every input the one file that is read now; used by one thread at a time."""

    def __init__(
        self, headers: Mapping[Path, ShardHeader], helpers: ThreadPoolExecutor | None = None
    ) -> None:
        """Nothing is opened yet.

        Args:
            headers: of every file, as they were when the work was planned.
            helpers: threads that share each read; None where the caller reads alone.
        """
        self._headers, self._helpers = headers, helpers
        self._open: dict[int, _Opened] = {}

    def read(self, sources: Sequence[Source], first_element: int, buffers: Sequence[memoryview]) -> None:
        """Fill a buffer from element `first_element` on of each source, in their order.

        What lies in files as it is wanted is read in one call; other sources fill their buffers themselves.

        Raises:
            CheckpointError: a file cannot be read, or is not the one that was planned with.
        """
        rows = []
        for number, (source, buffer) in enumerate(zip(sources, buffers, strict=True)):
            if isinstance(source, FileRange):
                rows.append(self._row(number, source.tensor, first_element, buffer))
        if self._helpers is None:
            read_rows(rows)
        else:
            for _ in self._helpers.map(read_rows, _shares(rows)):
                pass
        for number, (source, buffer) in enumerate(zip(sources, buffers, strict=True)):
            if not isinstance(source, FileRange):

                def read(stored: StoredTensor, first: int, part: memoryview, number: int = number) -> None:
                    read_rows([self._row(number, stored, first, part)])

                _fill(source, read, first_element, buffer)

    def check_unchanged(self) -> None:
        """Raises InputChangedError where a file that is open is not what it was when it was planned with."""
        for opened in self._open.values():
            opened.file.check_unchanged()

    def close(self) -> None:
        for opened in self._open.values():
            opened.close()

    def _row(
        self, number: int, stored: StoredTensor, first_element: int, buffer: memoryview
    ) -> tuple[ReadFile, int, memoryview]:
        opened = self._open.get(number)
        if opened is None or opened.file.path != stored.path:
            if opened is not None:
                opened.file.check_unchanged()
                opened.close()
            opened = self._open[number] = self._opened(self._headers[stored.path])
        offset = stored.offset + first_element * stored.dtype.itemsize
        opened.expect(offset, len(buffer))
        return opened.file, offset, buffer

    def _opened(self, planned: ShardHeader) -> _Opened:
        raise NotImplementedError


class OpenInputs(Inputs):
    """Inputs that are read more or less from beginning to end, fetched a window ahead."""

    def __init__(
        self,
        headers: Mapping[Path, ShardHeader],
        cold_pages: ColdPages | None = None,
        helpers: ThreadPoolExecutor | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            headers, helpers: as for Inputs.
            cold_pages: to have what was cold dropped from the page cache again; None to leave it there.
        """
        super().__init__(headers, helpers)
        self._cold_pages = cold_pages

    def _opened(self, planned: ShardHeader) -> _Opened:
        return _OpenShard(planned, self._cold_pages)


class ScatteredInputs(Inputs):
    """Inputs for reads that leave gaps: nothing is fetched ahead."""

    def _opened(self, planned: ShardHeader) -> _Opened:
        return _ScatteredShard(planned)


def _shares(
    rows: Sequence[tuple[ReadFile, int, memoryview]],
) -> Iterator[list[tuple[ReadFile, int, memoryview]]]:
    """What one thread reads at a time, of rows that may be long."""
    for file, offset, buffer in rows:
        for start in range(0, len(buffer), _SHARED_BYTES):
            yield [(file, offset + start, buffer[start : start + _SHARED_BYTES])]


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

    def __init__(self, planned: ShardHeader, cold_pages: ColdPages | None) -> None:
        self.file = _open_planned(planned)
        self._cold = cold_pages.of(self.file) if cold_pages is not None else frozenset()
        self._fetched = -1
        self._kept_from = 0

    def expect(self, offset: int, size: int) -> None:
        """Have a range that is about to be read, and what comes after it, fetched."""
        first, ahead = offset // _WINDOW_BYTES, (offset + size) // _WINDOW_BYTES + 1
        if ahead > self._fetched:
            start = max(self._fetched + 1, first)
            self.file.will_need(start * _WINDOW_BYTES, (ahead + 1 - start) * _WINDOW_BYTES)
            self._fetched = ahead
            self._drop(self._kept_from, first - 1)

    def close(self) -> None:
        self._drop(0, self._fetched + 2)
        self.file.close()

    def _drop(self, start: int, stop: int) -> None:
        """Let go of the windows from `start` to before `stop`, as far as they were cold."""
        if not self._cold:
            return
        for window in range(start, stop):
            if window in self._cold:
                self.file.drop(window * _WINDOW_BYTES, _WINDOW_BYTES)
        self._kept_from = max(self._kept_from, stop)
