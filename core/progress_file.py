"""What a child process says of its work, for whoever started it: a file with one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import OutputError, os_error_text

__all__ = ["ProgressFile"]


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
        """Append one event. A disk that is full stops nobody's work: the event is lost then."""
        if self._descriptor is None:
            return
        line = json.dumps({"at": round(time.time(), 3), "kind": kind, **values}, allow_nan=False)
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
