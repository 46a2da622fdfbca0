"""What a child process says of its work, for whoever started it: a file with one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import OutputError, os_error_text

__all__ = ["ProgressFile", "finite_or_null", "stop_file"]


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Nobody may ever read from a named pipe; a file is not affected."""


class ProgressFile:
    """Appends events to a file; does nothing without one.

    Every line is whole once `say` has returned, so that a reader may stop at the last line break. An event
    has "at" (seconds since 1970), "kind", and what `say` was given.
    """

    def __init__(self, path: Path | None) -> None:
        """Raises OutputError: it cannot be opened."""
        self._descriptor: int | None = None
        self._torn = False
        """Whether the last line is not whole: the disk was full, or whoever wrote it was killed."""
        if path is not None:
            try:
                self._descriptor = os.open(path, _FLAGS, 0o644)
                self._torn = _is_torn(self._descriptor)
            except OSError as error:
                raise OutputError(f"cannot write {path}: {os_error_text(error)}", path=path) from error

    def say(self, kind: str, **values: Any) -> None:
        """Append one event. A disk that is full stops nobody's work: the event is lost then.

        A number that is none, or infinite, is null: JSON has neither.
        """
        if self._descriptor is None:
            return
        event = {"at": round(time.time(), 3), "kind": kind, **values}
        line = json.dumps(finite_or_null(event), allow_nan=False).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        try:
            self._torn = os.write(self._descriptor, line) < len(line)
        except OSError:
            return

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> ProgressFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stop_file(progress: Path) -> Path:
    """The file that, once it is there, stops a command in the background whose events go to `progress`.

    For where no signal can be sent: some systems have none that reaches a process without a terminal, and
    some do not say which process has a number by now.
    """
    return progress.with_name("stop")


def finite_or_null(value: Any) -> Any:
    """`value` as JSON can have it: None in the place of every number that is not finite, however deep."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_or_null(one) for key, one in value.items()}
    return [finite_or_null(one) for one in value] if isinstance(value, list | tuple) else value


def _is_torn(descriptor: int) -> bool:
    """Whether a file ends within a line. Raises OSError."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if not size:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"
