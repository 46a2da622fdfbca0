"""Every change to the disk goes through here: making, writing, syncing, renaming, removing.

`disk.system` makes the calls. Tests put something else in its place, to see what happens when any one of
them fails, when the process ends before or after it, or when the power goes and what was not synced is lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from pathlib import Path
from types import TracebackType

from core.errors import OutputError, os_error_text

__all__ = [
    "OpenFolder",
    "System",
    "is_full",
    "open_to_go_on",
    "replace_file",
    "sync_folder",
    "system",
    "write_error",
    "write_new_file",
]

_BINARY: int = getattr(os, "O_BINARY", 0)
_FOLDER: int = getattr(os, "O_DIRECTORY", 0)
_NO_LINKS: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}

_NO_SUCH_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system says that cannot sync a folder. Anything else means that it did not."""


class System:
    """The system's calls that change something on the disk. All raise OSError.

    A `within` is the descriptor of an open folder, to which the name is then relative.
    """

    def make_folder(self, name: str | Path, *, within: int | None = None) -> None:
        os.mkdir(name, dir_fd=within)

    def create(self, name: str | Path, *, within: int | None = None) -> int:
        """Make a file that does not exist yet, and open it to write and read. Returns its descriptor."""
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666, dir_fd=within)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write at the file's position; returns how many bytes were."""
        return os.write(descriptor, data)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Write at an offset; returns how many bytes were. POSIX systems only."""
        return os.pwrite(descriptor, data, offset)

    def reserve(self, descriptor: int, size_bytes: int) -> None:
        """Give the file that size, and the room for it, where the file system can."""
        os.posix_fallocate(descriptor, 0, size_bytes)

    def set_size(self, descriptor: int, size_bytes: int) -> None:
        os.ftruncate(descriptor, size_bytes)

    def set_mode(self, name: str | Path, mode: int) -> None:
        os.chmod(name, mode)

    def sync(self, descriptor: int) -> None:
        """Return when the file's bytes are on the disk; of a folder, the names in it."""
        if sys.platform == "darwin":  # whose fsync leaves the bytes in the disk's own memory
            import fcntl

            try:
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
            except OSError as error:
                if error.errno not in _NO_SUCH_SYNC:
                    raise
        os.fsync(descriptor)

    def rename(
        self, name: str | Path, new: str | Path, *, within: int | None = None, replace: bool = False
    ) -> None:
        """Rename; what already has the new name is replaced only if told so, on systems that would ask."""
        call = os.replace if replace else os.rename
        if within is None:
            call(name, new)
        else:
            call(name, new, src_dir_fd=within, dst_dir_fd=within)

    def lock(self, descriptor: int) -> None:
        """Lock an open file for this process; BlockingIOError where another has it. POSIX systems only."""
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self, name: str | Path, *, within: int | None = None) -> None:
        os.unlink(name, dir_fd=within)

    def remove_folder(self, name: str | Path, *, within: int | None = None) -> None:
        os.rmdir(name, dir_fd=within)


system = System()


class OpenFolder:
    """A folder that is worked in by its descriptor, where the system has that, and by its path elsewhere.

    By its descriptor it stays the same folder, whatever is done to its name meanwhile.

    Attributes:
        path: where it was when it was opened.
        descriptor: the `within` of calls for what is in it; None where the system has no such thing.
        identity: the device and the number of the folder itself.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError: there is no such folder."""
        self.path = path
        self.descriptor: int | None = None
        if _BY_DESCRIPTOR:
            self.descriptor = os.open(path, os.O_RDONLY | _FOLDER)
            status = os.fstat(self.descriptor)
        else:
            status = os.stat(path)
        self.identity = status.st_dev, status.st_ino

    def name(self, *parts: str) -> str | Path:
        """What to call something in it, beside `within=self.descriptor`."""
        return "/".join(parts) if self.descriptor is not None else self.path.joinpath(*parts)

    def names(self, *parts: str) -> list[str]:
        """What is in it, or in a folder in it that is no link; sorted. Raises OSError."""
        if self.descriptor is None:
            return sorted(os.listdir(self.path.joinpath(*parts)))
        if not parts:
            return sorted(os.listdir(self.descriptor))
        inner = os.open(self.name(*parts), os.O_RDONLY | _FOLDER | _NO_LINKS, dir_fd=self.descriptor)
        try:
            return sorted(os.listdir(inner))
        finally:
            os.close(inner)

    def has_folder(self, *parts: str) -> bool:
        """Whether a folder of that name is in it, and no link to one."""
        try:
            status = os.stat(self.name(*parts), dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode)

    def is_at(self, path: Path) -> bool:
        """Whether `path` still leads to this very folder, and not through a link."""
        try:
            status = os.lstat(path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def sync(self) -> None:
        """Return when the names in it are on the disk. Raises OutputError."""
        if self.descriptor is None:
            sync_folder(self.path)
        else:
            _sync(self.descriptor, self.path)

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_to_go_on(name: str | Path, *, within: int | None = None) -> int:
    """Open a regular file that is there to read and write on, and no link; -1 where there is none.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    try:
        descriptor = os.open(name, os.O_RDWR | _BINARY | _NO_LINKS, dir_fd=within)
    except FileNotFoundError:
        return -1
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def write_new_file(path: Path, data: bytes, *, within: OpenFolder | None = None) -> None:
    """Write a new file and return when it is on the disk; of a failed attempt nothing stays.

    Args:
        path: the file; relative to `within`, where that is given.
        within: the folder that it goes into.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    name: str | Path = path if within is None else within.name(*path.parts)
    folder = None if within is None else within.descriptor
    whole = path if within is None else within.path / path
    try:
        descriptor = system.create(name, within=folder)
        try:
            left = memoryview(data)
            while left:
                left = left[system.write(descriptor, left) :]
            system.sync(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                system.remove(name, within=folder)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise write_error(error, whole) from error


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file as a whole, in the place of one that is there; on the disk when this returns.

    Args:
        path: the file.
        data: its content.
        mode: its permissions; None for those of a new file.

    Raises:
        OutputError: it cannot be written; what was there still is.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    write_new_file(temporary, data)
    try:
        if mode is not None:
            system.set_mode(temporary, mode)
        system.rename(temporary, path, replace=True)
    except OSError as error:
        with contextlib.suppress(OSError):
            system.remove(temporary)
        raise write_error(error, path) from error
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are on the disk, where the system can promise that.

    Raises:
        OutputError: it could have, and did not.
    """
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise write_error(error, folder) from error
    try:
        _sync(descriptor, folder)
    finally:
        os.close(descriptor)


def _sync(descriptor: int, folder: Path) -> None:
    try:
        system.sync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SUCH_SYNC:
            raise write_error(error, folder) from error


def is_full(error: OSError) -> bool:
    """Whether there is no room left for it."""
    return error.errno in _DISK_FULL


def write_error(error: OSError, path: Path, field: str | None = None) -> OutputError:
    """What to say of a file that cannot be written."""
    hint = None
    if is_full(error):
        hint = "free some space, or choose an output folder on another disk"
    return OutputError(f"cannot write {path}: {os_error_text(error)}", hint=hint, path=path, field=field)
