"""What a child process says of its work, for whoever started it: a file with one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import OutputError, os_error_text

__all__ = ["ProgressFile", "finite_or_null", "stop_file"]


class ProgressFile:
    """Appends events to a file; does nothing without one.

    Every line is whole once `say` has returned, so that a reader may stop at the last line break. An event
    has "at" (seconds since 1970), "kind", and what `say` was given.
    """

    def __init__(self, path: Path | None) -> None:
        """Raises OutputError: it cannot be opened."""
        self._descriptor: int | None = None
        if path is not None:
            try:
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise OutputError(f"cannot write {path}: {os_error_text(error)}", path=path) from error

    def say(self, kind: str, **values: Any) -> None:
        """Append one event. A disk that is full stops nobody's work: the event is lost then.

        A number that is none, or infinite, is null: JSON has neither.
        """
        if self._descriptor is None:
            return
        event = {"at": round(time.time(), 3), "kind": kind, **values}
        line = json.dumps(finite_or_null(event), allow_nan=False)
        try:
            os.write(self._descriptor, line.encode() + b"\n")
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
