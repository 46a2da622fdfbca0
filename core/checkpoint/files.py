"""Reading and writing at offsets.

Where the system has positional calls (Linux, macOS) they are used: they release the interpreter's
lock and need no shared file position. Elsewhere a lock guards seek-and-read. Inputs are read, never
memory-mapped: a file that is truncated under a map kills the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.checkpoint import page_cache
from core.errors import CheckpointError, MergeError, OutputError, os_error_text

__all__ = ["ReadFile", "WriteFile", "read_rows", "sync_folder", "write_small_file"]

_POSITIONAL = hasattr(os, "preadv") and hasattr(os, "pwrite")
_BINARY: int = getattr(os, "O_BINARY", 0)
_NO_WAITING: int = getattr(os, "O_NONBLOCK", 0)
"""Nobody may ever write to a named pipe; a file is not affected."""
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


class ReadFile:
    """An input file, open for reads at offsets from any thread.

    Attributes:
        path: where it is.
        size_bytes: its size when it was opened.
        modified_ns: its modification time then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | _BINARY | _NO_WAITING)
            status = os.fstat(self._fd)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise CheckpointError(f"{path} is not a file", path=path)
        self.size_bytes = status.st_size
        self.modified_ns = status.st_mtime_ns

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` (bytes) from `offset`. Raises CheckpointError when the file ends before."""
        try:
            while buffer:
                if _POSITIONAL:
                    count = os.preadv(self._fd, [buffer], offset)
                else:
                    count = self._seek_and_read(buffer, offset)
                if count == 0:
                    raise CheckpointError(
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
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> ReadFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_rows(rows: Sequence[tuple[ReadFile, int, memoryview]]) -> None:
    """Fill the buffer of each row from its offset in its file.

    Where the system can, all of them in one call: threads that take and give back the interpreter's
    lock for every row wait for each other. Raises as ReadFile.read_into.
    """
    done = 0
    if _POSITIONAL:
        from core.checkpoint import native_read  # imports numba

        table = np.empty((len(rows), 4), np.int64)
        for at, (file, offset, buffer) in enumerate(rows):
            address = np.frombuffer(buffer, np.uint8).ctypes.data if buffer else 0
            table[at] = file.descriptor, address, len(buffer), offset
        done = native_read.read_rows(table)
    for file, offset, buffer in rows[done:]:
        file.read_into(buffer, offset)


class WriteFile:
    """A new output file of a known size, open for writes at offsets from any thread.

    Its space is reserved at once where the file system can do so, so that a full disk is noticed
    before the work and not at its end. Raises OutputError when it exists or cannot be written.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._lock = threading.Lock()
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
            self._reserve()
        except OSError as error:
            self.close()
            raise _write_error(error, path, "out") from error

    def _reserve(self) -> None:
        if hasattr(os, "posix_fallocate") and self.size_bytes:
            try:
                os.posix_fallocate(self._fd, 0, self.size_bytes)
            except OSError as error:
                if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                    raise
            else:
                return
        os.ftruncate(self._fd, self.size_bytes)

    def write_at(self, buffer: memoryview, offset: int) -> None:
        """Write all of `buffer` (bytes) at `offset`."""
        try:
            while buffer:
                if _POSITIONAL:
                    count = os.pwrite(self._fd, buffer, offset)
                else:
                    with self._lock:
                        os.lseek(self._fd, offset, os.SEEK_SET)
                        count = os.write(self._fd, buffer)
                buffer = buffer[count:]
                offset += count
        except OSError as error:
            raise _write_error(error, self.path, "out") from error

    def sync(self) -> None:
        """Return when the bytes are on the disk."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _write_error(error, self.path, "out") from error

    def drop(self) -> None:
        """Let the system forget what was written and synced."""
        page_cache.drop(self._fd, 0, 0)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_small_file(path: Path, data: bytes) -> None:
    """Write a new file and return when it is on the disk. Raises OutputError."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _write_error(error, path) from error


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are on the disk, where the system can promise that."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some network file systems refuse it
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _write_error(error: OSError, path: Path, field: str | None = None) -> MergeError:
    hint = None
    if error.errno in _DISK_FULL:
        hint = "free some space, or choose an output folder on another disk"
    return OutputError(f"cannot write {path}: {os_error_text(error)}", hint=hint, path=path, field=field)
