"""Reading runs of elements of stored tensors: the input files of one worker."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.checkpoint.files import ReadFile, read_rows
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.errors import CheckpointError

__all__ = ["ColdPages", "OpenInputs"]

_WINDOW_BYTES = 4 * 1024**2


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


class OpenInputs:
    """For every input model the one shard that is read now; used by one thread."""

    def __init__(self, headers: Mapping[Path, ShardHeader], cold_pages: ColdPages | None = None) -> None:
        """Nothing is opened yet.

        Args:
            headers: of every shard, as they were when the work was planned.
            cold_pages: to have what was cold dropped from the page cache again; None to leave it there.
        """
        self._headers = headers
        self._cold_pages = cold_pages
        self._open: dict[int, _OpenShard] = {}

    def read(self, inputs: Sequence[StoredTensor], first_element: int, buffers: Sequence[memoryview]) -> None:
        """Fill a buffer from element `first_element` on of the tensor of each input, in their order.

        Raises:
            CheckpointError: a file cannot be read, or is not the one that was planned with.
        """
        rows = []
        for number, (stored, buffer) in enumerate(zip(inputs, buffers, strict=True)):
            shard = self._open.get(number)
            if shard is None or shard.file.path != stored.path:
                if shard is not None:
                    shard.close()
                shard = self._open[number] = _OpenShard(self._headers[stored.path], self._cold_pages)
            offset = stored.offset + first_element * stored.dtype.itemsize
            shard.expect(offset, len(buffer))
            rows.append((shard.file, offset, buffer))
        read_rows(rows)

    def close(self) -> None:
        for shard in self._open.values():
            shard.close()


class _OpenShard:
    """A shard that is read more or less from its beginning to its end, fetched a window ahead.

    Several workers read a shard side by side, each with an `_OpenShard` of its own.
    """

    def __init__(self, planned: ShardHeader, cold_pages: ColdPages | None) -> None:
        self.file = ReadFile(planned.path)
        self._cold = cold_pages.of(self.file) if cold_pages is not None else frozenset()
        self._fetched = -1
        self._kept_from = 0
        if (self.file.size_bytes, self.file.modified_ns) != (planned.size_bytes, planned.modified_ns):
            self.file.close()
            raise CheckpointError(
                f"{planned.path} has changed since it was opened",
                hint="wait until it is written, then start again",
                path=planned.path,
            )

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
