"""What the system is told of the files that are read: what is wanted soon, and what it may forget again."""

from __future__ import annotations

import threading
from pathlib import Path

from core.checkpoint.files import ReadFile

__all__ = ["WINDOW_BYTES", "ColdPages", "ReadAhead", "Told"]

WINDOW_BYTES = 4 * 1024**2

_REMEMBERED = 64
"""Windows of a file that count as told: more than workers side by side are apart. What is read again long
after may have left the page cache."""


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
                numbers = range(-(-file.size_bytes // WINDOW_BYTES))
                self._windows[file.path] = frozenset(
                    number for number in numbers if file.is_cold(number * WINDOW_BYTES, WINDOW_BYTES)
                )
            return self._windows[file.path]


class ReadAhead:
    """What the system was told of each file; shared by all workers.

    Each for itself would ask after the same pages again, which costs as much as reading a tenth of them.
    """

    def __init__(self) -> None:
        self._told: dict[Path, Told] = {}

    def of(self, path: Path) -> Told:
        return self._told.setdefault(path, Told())


class Told:
    """What the system was told of one file, and what is being read of it. Thread-safe.

    Attributes:
        since, until: bytes in a row of which all were told. In most files that is all there is to know;
            others are read in another order than they are written in, and go on elsewhere.
    """

    def __init__(self, since: int = 0, until: int = 0) -> None:
        self.since, self.until = since, until
        self._lock = threading.Lock()
        self._windows: dict[int, None] = {}
        """That were told, the last ones; those told first come first."""
        self._reads: dict[object, tuple[int, int]] = {}
        """By who reads: the bytes that are being read."""
        self._read: set[int] = set()
        """Windows that were read to their end and are not forgotten."""
        self._users = 0

    def news(self, first: int, stop: int) -> list[tuple[int, int]]:
        """What of the windows from `first` to before `stop` is not told: in runs, from and to before."""
        runs: list[tuple[int, int]] = []
        with self._lock:
            for window in range(first, stop):
                if window not in self._windows:
                    self._windows[window] = None
                    begin = runs.pop()[0] if runs and runs[-1][1] == window else window
                    runs.append((begin, window + 1))
            while len(self._windows) > max(_REMEMBERED, stop - first):
                del self._windows[next(iter(self._windows))]
            if self.since <= first * WINDOW_BYTES <= self.until:
                self.until = max(self.until, stop * WINDOW_BYTES)
                self.since = max(self.since, self.until - _REMEMBERED * WINDOW_BYTES)
            else:
                self.since, self.until = first * WINDOW_BYTES, stop * WINDOW_BYTES
        return runs

    def opened(self) -> None:
        with self._lock:
            self._users += 1

    def closed(self) -> bool:
        """Whether nobody has the file open any more; of what it was told nothing holds then."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._windows.clear()
                self._read.clear()
                self.since = self.until = 0
            return self._users == 0

    def begun(self, reader: object, offset: int, size: int) -> None:
        """Take that a reader begins to read a range."""
        with self._lock:
            self._reads[reader] = (offset, offset + size)

    def ended(self, reader: object) -> list[int]:
        """Take that it has read it; returns the windows that were read to their end and that nobody reads
        now: they may be forgotten."""
        with self._lock:
            start, end = self._reads.pop(reader)
            self._read.update(range(start // WINDOW_BYTES, end // WINDOW_BYTES))
            if not self._read:
                return []
            busy: set[int] = set()
            for other_start, other_end in self._reads.values():
                busy.update(range(other_start // WINDOW_BYTES, -(-other_end // WINDOW_BYTES)))
            free = self._read - busy
            self._read &= busy
            for window in free:
                self._windows.pop(window, None)
            return sorted(free)
