"""Small files of whoever wrote them: configs, indices, recipes, records, settings.

None of them may hang the program or fill its memory: a name that leads to a pipe, a device or a folder is
refused without waiting, and no more bytes are read than a file of its kind can have.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from core.errors import MergeError, os_error_text

__all__ = ["open_regular", "read_if_there", "read_small"]

_FLAGS: int = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
)
"""Nobody may ever write to a named pipe; a file is not affected."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def read_small(path: Path, most_bytes: int, error: type[MergeError]) -> bytes:
    """The content of a regular file of at most `most_bytes`.

    Raises:
        error: it is not there, is something else, is larger, or cannot be read.
    """
    found = read_if_there(path, most_bytes, error)
    if found is None:
        raise error(f"cannot read {path}: No such file or directory", path=path)
    return found


def read_if_there(path: Path, most_bytes: int, error: type[MergeError]) -> bytes | None:
    """The same, and None where nothing has that name. A link that leads nowhere is something.

    Raises:
        error: as for `read_small`.
    """
    try:
        descriptor = open_regular(path, error)
        if descriptor is None:
            return None
        with contextlib.closing(os.fdopen(descriptor, "rb", buffering=0)) as file:
            parts, left = [], most_bytes + 1
            while left and (part := file.read(min(left, 1 << 20))):
                parts.append(part)
                left -= len(part)
    except OSError as failed:
        raise error(f"cannot read {path}: {os_error_text(failed)}", path=path) from failed
    if not left:
        raise error(
            f"{path} is too large to be what its name says: more than {most_bytes:,} bytes", path=path
        )
    return b"".join(parts)


def open_regular(path: Path, error: type[MergeError]) -> int | None:
    """A descriptor of the regular file `path`; None where nothing has that name.

    Raises:
        error: it is something else, or cannot be opened.
    """
    try:
        _refuse_special(path, os.stat(path).st_mode, error)  # before an open that a device might act upon
        descriptor = os.open(path, _FLAGS)
        try:
            _refuse_special(path, os.fstat(descriptor).st_mode, error)
        except BaseException:
            os.close(descriptor)
            raise
    except FileNotFoundError as failed:
        if not os.path.lexists(path):
            return None
        target = os.readlink(path) if os.path.islink(path) else "something"
        raise error(
            f"{path} is a link to {target}, which does not exist",
            hint="copy or download the file again",
            path=path,
        ) from failed
    except (OSError, ValueError) as failed:  # ValueError: a null character in the name
        text = os_error_text(failed) if isinstance(failed, OSError) else str(failed)
        raise error(f"cannot read {path}: {text}", path=path) from failed
    return descriptor


def _refuse_special(path: Path, mode: int, error: type[MergeError]) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise error(f"{path} is not a file but {kind}", path=path)
