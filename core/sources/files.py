"""The input files of one worker, open for reads of runs of elements."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.checkpoint.files import ReadFile, changed, read_rows
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.errors import CheckpointError, InputChangedError
from core.helpers import Helpers
from core.sources.ahead import WINDOW_BYTES, ColdPages, ReadAhead, Told
from core.sources.rows import Opened, Rows, expect
from core.sources.source import FileRange, Source, fill_from

__all__ = ["Inputs", "OpenInputs", "ScatteredInputs"]


class Inputs:
    """For every input the one file that is read now; used by one thread at a time."""

    def __init__(self, headers: Mapping[Path, ShardHeader], helpers: Helpers | None = None) -> None:
        """Nothing is opened yet.

        Args:
            headers: of every file, as they were when the work was planned.
            helpers: threads that share each read; None where the caller reads alone.
        """
        self._headers, self._helpers = headers, helpers
        self._open: dict[tuple[int, int], Opened] = {}
        """By the number of the source, and which of the files that it reads at the same time."""
        self._rows: Rows | None = None

    def read(
        self,
        sources: Sequence[Source],
        first_element: int,
        buffers: Sequence[memoryview],
        numbers: Sequence[int] | None = None,
    ) -> None:
        """Fill a buffer from element `first_element` on of each source, in their order.

        What lies in files as it is wanted is read in one call; other sources fill their buffers themselves.

        Args:
            sources: what is read.
            first_element: from where on.
            buffers: one for each of `sources`.
            numbers: which input each of `sources` is of, where not all are read; a file of each stays open.

        Raises:
            CheckpointError: a file cannot be read, or is not the one that was planned with.
        """
        rows = self._rows
        if rows is None or not rows.are_of(sources, buffers):
            rows = self._rows = self._rows_of(sources, buffers, numbers or range(len(sources)))
        rows.read(first_element, self._helpers)
        for number, source, buffer in zip(numbers or range(len(sources)), sources, buffers, strict=True):
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
                    expect(opened, offset, len(part))
                    read_rows([(opened.file, offset, part)])
                    if opened.forgets:
                        opened.end()

                fill_from(source, read, first_element, buffer)

    def check_unchanged(self) -> None:
        """Raises InputChangedError where a file that is open is not what it was when it was planned with."""
        for opened in self._open.values():
            opened.file.check_unchanged()

    def close(self) -> None:
        for opened in self._open.values():
            opened.close()

    def _rows_of(
        self, sources: Sequence[Source], buffers: Sequence[memoryview], numbers: Sequence[int]
    ) -> Rows:
        stored = [
            (self._opened_for((number, 0), source.tensor), source.tensor, buffer)
            for number, source, buffer in zip(numbers, sources, buffers, strict=True)
            if isinstance(source, FileRange)
        ]
        return Rows(sources, buffers, stored)

    def _opened_for(self, place: tuple[int, int], stored: StoredTensor) -> Opened:
        opened = self._open.get(place)
        if opened is None or opened.file.path != stored.path:
            if opened is not None:
                opened.file.check_unchanged()
                opened.close()
            opened = self._open[place] = self._opened(self._headers[stored.path])
        return opened

    def _opened(self, planned: ShardHeader) -> Opened:
        raise NotImplementedError


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

    def _opened(self, planned: ShardHeader) -> Opened:
        return _OpenShard(planned, self._ahead.of(planned.path), self._cold_pages)


class ScatteredInputs(Inputs):
    """Inputs for reads that leave gaps: nothing is fetched ahead."""

    def _opened(self, planned: ShardHeader) -> Opened:
        return _ScatteredShard(planned)


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
        self.told = Told(0, sys.maxsize)
        self.forgets = False
        advise: Any = getattr(os, "posix_fadvise", None)
        if advise is not None:
            advise(self.file.descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def expect(self, offset: int, size: int) -> None:
        """Nothing is fetched ahead."""

    def begin(self, offset: int, size: int) -> None:
        """Nothing is forgotten."""

    def end(self) -> None:
        """Nothing is forgotten."""

    def close(self) -> None:
        self.file.close()


class _OpenShard:
    """A shard that is read more or less from its beginning to its end, fetched a window ahead.

    Several workers read a shard side by side, each with an `_OpenShard` of its own.
    """

    def __init__(self, planned: ShardHeader, told: Told, cold_pages: ColdPages | None) -> None:
        self.file = _open_planned(planned)
        self.told = told
        self._cold = cold_pages.of(self.file) if cold_pages is not None else frozenset()
        self.forgets = bool(self._cold)
        told.opened()

    def expect(self, offset: int, size: int) -> None:
        """Have a range that is about to be read, and what comes after it, fetched."""
        first, stop = offset // WINDOW_BYTES, (offset + size) // WINDOW_BYTES + 2
        for begin, end in self.told.news(first, stop):
            self.file.will_need(begin * WINDOW_BYTES, (end - begin) * WINDOW_BYTES)

    def begin(self, offset: int, size: int) -> None:
        """A range is being read: nobody lets go of it."""
        self.told.begun(self, offset, size)

    def end(self) -> None:
        """It was: what is not read by others can go."""
        self._forget(self.told.ended(self))

    def close(self) -> None:
        if self.told.closed():  # what was fetched and not read, or read and not to its end
            self._forget(self._cold)
        self.file.close()

    def _forget(self, windows: Iterable[int]) -> None:
        """Let go of these windows, as far as they were cold."""
        for window in windows:
            if window in self._cold:
                self.file.drop(window * WINDOW_BYTES, WINDOW_BYTES)
