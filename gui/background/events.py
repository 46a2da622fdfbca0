"""Events of a task as they are written: only what is new is read, and a damaged line is nobody's end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from core.errors import MergeError
from core.small_files import open_regular

__all__ = ["Events", "last_words"]

_AT_ONCE = 65_536
_LONGEST_LINE = 1 << 20
_LAST_BYTES = 16_384


class Events:
    """Reads a file of events on from where it was read last.

    Attributes:
        at_end: whether all was read that was there.
    """

    def __init__(self, path: Path) -> None:
        self.at_end = False
        self._path = path
        self._offset = 0
        self._rest = b""
        self._skipping = False

    def read_on(self) -> list[dict[str, Any]]:
        """What was written since, at most 64 KiB of it; nothing where the file cannot be read."""
        try:
            descriptor = open_regular(self._path, MergeError)
        except MergeError:
            descriptor = None
        if descriptor is None:
            self.at_end = True
            return []
        try:
            os.lseek(descriptor, self._offset, os.SEEK_SET)
            data = os.read(descriptor, _AT_ONCE)
        except OSError:
            data = b""
        finally:
            os.close(descriptor)
        self._offset += len(data)
        self.at_end = len(data) < _AT_ONCE
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            self._skipping = False
            lines = lines[1:]  # the end of a line that is none of ours
        if len(self._rest) > _LONGEST_LINE:
            self._rest, self._skipping = b"", True
        return [event for line in lines if (event := _event(line)) is not None]


def last_words(path: Path) -> str:
    """The end of what a process has written to stderr; "" for nothing."""
    try:
        descriptor = open_regular(path, MergeError)
    except MergeError:
        return ""
    if descriptor is None:
        return ""
    try:
        size = os.fstat(descriptor).st_size
        os.lseek(descriptor, max(0, size - _LAST_BYTES), os.SEEK_SET)
        return os.read(descriptor, _LAST_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("kind"), str) else None
