"""Small files of whoever wrote them: configs, indices, recipes, records, settings.

None of them may hang the program or fill its memory: a name that leads to a pipe, a device or a folder is
refused without waiting, no more bytes are read than a file of its kind can have, and JSON is looked at before
it is parsed: three bytes of it can become an object of a hundred.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import MergeError, os_error_text
from core.text import shown

__all__ = ["is_there", "open_regular", "parse_json", "read_if_there", "read_small"]

_DEEPEST = 100
"""Levels of JSON. What walks over it calls itself once a level."""

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


def read_small(path: Path, most_bytes: int, error: type[MergeError], what: str = "") -> bytes:
    """The content of a regular file of at most `most_bytes`; `what` is what to call one that cannot be read.

    Raises:
        error: it is not there, is something else, is larger, or cannot be read.
    """
    found = read_if_there(path, most_bytes, error, what)
    if found is None:
        raise error(f"cannot read {what}{path}: No such file or directory", path=path)
    return found


def read_if_there(path: Path, most_bytes: int, error: type[MergeError], what: str = "") -> bytes | None:
    """The same, and None where nothing has that name. A link that leads nowhere is something.

    Raises:
        error: as for `read_small`.
    """
    try:
        descriptor = open_regular(path, error, what)
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


def is_there(path: Path, error: type[MergeError]) -> bool:
    """Whether anything has that name, be it a link that leads nowhere.

    Raises:
        error: that cannot be found out.
    """
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as failed:
        raise _unreadable(path, failed, error) from failed
    return True


def parse_json(
    data: bytes | bytearray, most_parts: int, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value that `data` is, which is UTF-8.

    Args:
        data: JSON text.
        most_parts: lists, objects and commas, which say how much memory the value takes.
        pairs: makes the objects, of their keys and values; None for plain dictionaries.

    Raises:
        ValueError: it is not JSON, or too much or too deep for what it should be, in words that go on from
            the name of the file.
    """
    opened = data.count(b"{") + data.count(b"[")
    if opened + data.count(b",") > most_parts:
        raise ValueError(f"has more than {most_parts:,} parts, too many for what its name says")
    try:
        value = json.loads(data.decode(), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:  # errors of UTF-8 and of very long numbers are ValueErrors
        raise ValueError("is not valid JSON") from error
    if opened > _DEEPEST and _is_deep(value):
        raise ValueError("is nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += (part for part in item.values() if isinstance(part, dict | list))
            elif isinstance(item, list):
                inner += (part for part in item if isinstance(part, dict | list))
        if not inner:
            return False
        level = inner
    return True


def open_regular(path: Path, error: type[MergeError], what: str = "") -> int | None:
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
        try:
            target = shown(os.readlink(path))
        except OSError:  # no link, or not any more
            target = "something"
        raise error(
            f"{path} is a link to {target}, which does not exist",
            hint="copy or download the file again",
            path=path,
        ) from failed
    except (OSError, ValueError) as failed:
        raise _unreadable(path, failed, error, what) from failed
    return descriptor


def _unreadable(
    path: Path, failed: OSError | ValueError, error: type[MergeError], what: str = ""
) -> MergeError:
    text = os_error_text(failed) if isinstance(failed, OSError) else str(failed)  # a null character in a name
    return error(f"cannot read {what}{path}: {text}", path=path)


def _refuse_special(path: Path, mode: int, error: type[MergeError]) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise error(f"{path} is not a file but {kind}", path=path)
