"""Reading and writing at offsets.

Where the system has positional calls (Linux, macOS) they are used: they release the interpreter's
lock and need no shared file position. Elsewhere a lock guards seek-and-read. Inputs are read, never
memory-mapped: a file that is truncated under a map kills the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import disk
from core.checkpoint import page_cache
from core.disk import OpenFolder, write_error
from core.errors import CheckpointError, InputChangedError, os_error_text
from core.small_files import open_regular

__all__ = ["FileState", "ReadFile", "WriteFile", "read_rows"]

_POSITIONAL = hasattr(os, "preadv") and hasattr(os, "pwrite")


@dataclass(frozen=True, slots=True)
class FileState:
    """What the system says of a file, so that one can tell later whether it is still the same.

    Attributes:
        device, number: where the file system keeps it, under whatever name.
        size_bytes: its size.
        modified_ns: when its bytes were last written, or what somebody said of that.
        changed_ns: when anything about it last changed, which nobody can set; 0 on Windows.
    """

    device: int
    number: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        changed = 0 if os.name == "nt" else status.st_ctime_ns
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, changed)

    def differs_little(self, other: FileState) -> bool:
        """Whether nothing differs but when anything about it last changed."""
        mine = self.device, self.number, self.size_bytes, self.modified_ns
        return mine == (other.device, other.number, other.size_bytes, other.modified_ns)


class ReadFile:
    """An input file, open for reads at offsets from any thread.

    Attributes:
        path: where it is.
        state: of the file when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError: it is not there, is no regular file, or cannot be read."""
        self.path = path
        self._lock = threading.Lock()
        self._fd = -1
        descriptor = open_regular(path, CheckpointError)
        if descriptor is None:
            raise CheckpointError(f"cannot read {path}: {os.strerror(errno.ENOENT)}", path=path)
        self._fd = descriptor
        try:
            self.state = FileState.of(os.fstat(descriptor))
        except OSError as error:
            self.close()
            raise CheckpointError(f"cannot read {path}: {os_error_text(error)}", path=path) from error

    @property
    def size_bytes(self) -> int:
        """When it was opened."""
        return self.state.size_bytes

    def check_unchanged(self) -> None:
        """Raises InputChangedError where the file, or what its path leads to, is not what was opened."""
        try:
            now = FileState.of(os.fstat(self._fd))
        except OSError as error:
            raise CheckpointError(
                f"cannot read {self.path}: {os_error_text(error)}", path=self.path
            ) from error
        if now != self.state:
            raise changed(self.path, self.state, now)
        check_unchanged(self.path, self.state)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` (bytes) from `offset`. Raises InputChangedError where the file ends before."""
        try:
            while buffer:
                if _POSITIONAL:
                    count = os.preadv(self._fd, [buffer], offset)
                else:
                    count = self._seek_and_read(buffer, offset)
                if count == 0:
                    raise InputChangedError(
                        f"{self.path} ended before byte {offset + len(buffer):,}",
                        hint="the file was cut short while it was being read; restore it and start again",
                        path=self.path,
                    )
                buffer = buffer[count:]
                offset += count
        except OSError as error:
            raise CheckpointError(
                f"cannot read {self.path}: {os_error_text(error)}", path=self.path
            ) from error

    def will_need(self, offset: int, size: int) -> None:
        """Have the system begin reading a range that is wanted soon."""
        page_cache.will_need(self._fd, offset, size)

    def is_cold(self, offset: int, size: int) -> bool:
        """Whether hardly anything of a range is in the page cache; False where that is not known."""
        return page_cache.is_cold(self._fd, offset, size)

    def drop(self, offset: int, size: int) -> None:
        """Let the system forget a range."""
        page_cache.drop(self._fd, offset, size)

    @property
    def descriptor(self) -> int:
        """The system's number for the open file."""
        return self._fd

    def _seek_and_read(self, buffer: memoryview, offset: int) -> int:
        with self._lock:
            os.lseek(self._fd, offset, os.SEEK_SET)
            data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # everything was read
                os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> ReadFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_rows(rows: Sequence[tuple[ReadFile, int, memoryview]]) -> None:
    """Fill the buffer of each row from its offset in its file; raises as ReadFile.read_into."""
    for file, offset, buffer in rows[fill_table(row_table(rows)) :]:
        file.read_into(buffer, offset)


def row_table(rows: Sequence[tuple[ReadFile, int, memoryview]]) -> NDArray[np.int64]:
    """Rows as `fill_table` takes them: [rows, 4] descriptor, address of the buffer, bytes, offset."""
    table = np.empty((len(rows), 4), np.int64)
    for at, (file, offset, buffer) in enumerate(rows):
        address = np.frombuffer(buffer, np.uint8).ctypes.data if buffer else 0
        table[at] = file.descriptor, address, len(buffer), offset
    return table


def fill_table(table: NDArray[np.int64]) -> int:
    """Read the rows of a table, as far as the system lets it; returns how many were filled.

    Where the system can, all of them in one call: threads that take and give back the interpreter's
    lock for every row wait for each other. What is left is to be read, and refused, one by one.
    """
    if not _POSITIONAL:
        return 0
    from core.checkpoint import native_read  # imports numba

    return int(native_read.read_rows(table))


def check_unchanged(path: Path, state: FileState) -> None:
    """Raises InputChangedError where `path` does not lead to a file of that state any more."""
    try:
        now = FileState.of(os.stat(path))
    except OSError as error:
        raise InputChangedError(
            f"{path} was taken away while it was being read: {os_error_text(error)}",
            hint="put it back, then go on",
            path=path,
        ) from error
    if now != state:
        raise changed(path, state, now)


def changed(path: Path, before: FileState, now: FileState) -> InputChangedError:
    """What to say of an input that is not what it was."""
    also = "; chmod, rename or a hard link also does this" if before.differs_little(now) else ""
    return InputChangedError(
        f"{path} has changed since it was opened{also}",
        hint="wait until nothing writes it any more, then go on",
        path=path,
    )


class WriteFile:
    """An output file of a known size, open for writes at offsets from any thread.

    Its space is reserved at once where the file system can do so, so that a full disk is noticed
    before the work and not at its end.

    Attributes:
        path: where it is.
        size_bytes: its size.
        was_there: whether a file of that size was there and its bytes were kept.
    """

    def __init__(
        self, path: Path, size_bytes: int, *, within: OpenFolder | None = None, keep: bool = False
    ) -> None:
        """Make the file.

        Args:
            path: the file; its name alone, where `within` is given.
            size_bytes: its size.
            within: the folder that it goes into.
            keep: whether to go on with one that is there.

        Raises:
            OutputError: it exists and is not to be kept, or cannot be written.
        """
        self.path = path if within is None else within.path / path
        self.size_bytes = size_bytes
        self.was_there = False
        self._lock = threading.Lock()
        self._fd = -1
        name: str | Path = path if within is None else within.name(*path.parts)
        folder = None if within is None else within.descriptor
        try:
            if keep:
                self._fd = disk.open_to_go_on(name, within=folder)
                if (
                    self._fd >= 0 and os.fstat(self._fd).st_nlink > 1
                ):  # what has another name is not ours alone
                    self.close()
                    disk.system.remove(name, within=folder)
            if self._fd < 0:
                self._fd = disk.system.create(name, within=folder)
                self._reserve()
            elif os.fstat(self._fd).st_size == size_bytes:
                self.was_there = True
            else:
                self._reserve()
        except OSError as error:
            self.close()
            raise write_error(error, self.path, "out") from error

    def _reserve(self) -> None:
        if hasattr(os, "posix_fallocate") and self.size_bytes:
            try:
                disk.system.reserve(self._fd, self.size_bytes)
            except OSError as error:
                if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                    raise
        disk.system.set_size(self._fd, self.size_bytes)

    def write_at(self, buffer: memoryview, offset: int) -> None:
        """Write all of `buffer` (bytes) at `offset`."""
        try:
            while buffer:
                if _POSITIONAL:
                    count = disk.system.write_at(self._fd, buffer, offset)
                else:
                    with self._lock:
                        os.lseek(self._fd, offset, os.SEEK_SET)
                        count = disk.system.write(self._fd, buffer)
                buffer = buffer[count:]
                offset += count
        except OSError as error:
            raise write_error(error, self.path, "out") from error

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` (bytes) with what was written, or was there, from `offset` on. Raises OutputError."""
        try:
            while buffer:
                if _POSITIONAL:
                    count = os.preadv(self._fd, [buffer], offset)
                else:
                    with self._lock:
                        os.lseek(self._fd, offset, os.SEEK_SET)
                        data = os.read(self._fd, len(buffer))
                    count = len(data)
                    buffer[:count] = data
                if count == 0:
                    raise write_error(OSError(errno.EIO, "it is shorter than it was made"), self.path, "out")
                buffer = buffer[count:]
                offset += count
        except OSError as error:
            raise write_error(error, self.path, "out") from error

    def sync(self) -> None:
        """Return when the bytes are on the disk."""
        try:
            disk.system.sync(self._fd)
        except OSError as error:
            raise write_error(error, self.path, "out") from error

    def drop(self) -> None:
        """Let the system forget what was written and synced."""
        page_cache.drop(self._fd, 0, 0)

    def close(self) -> None:
        """Let go of the file. What was written and not synced may be lost, as an error of the system."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # what must last was synced, which says so itself
                os.close(self._fd)
            self._fd = -1
