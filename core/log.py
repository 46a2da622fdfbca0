"""Where what the program did is written down, for whoever looks into a fault later.

Every module logs to `logging.getLogger(__name__)`, so that the packages are the categories: "core.plan",
"core.run", "gui.window". Nothing is written unless a `Log` is open, which the command line opens for the
commands and for the window; a script sets up its own handlers, as with any library.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from core.text import message_text

__all__ = ["LOG_NAME", "Log", "log_folder"]

LOG_NAME = "paramosaic.log"

_PROGRAM = ("core", "gui")
"""Loggers of our packages. Others write down what they like, and much of it."""

_FILE_BYTES = 1_000_000
_FILES = 3


class Log:
    """The program's log, for as long as a `with` statement lasts.

    It goes to a file that begins anew after a megabyte, with two older ones beside it, and once `show` is
    called to stderr as well. A file that cannot be written is done without.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Args: folder: of the file; None for `log_folder()`."""
        self._verbosity = 0
        self._handlers: list[logging.Handler] = []
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # a home that is not known
            self._handlers.append(_File((folder or log_folder()) / LOG_NAME))

    def show(self, verbosity: int) -> None:
        """Write to stderr too: 1 for what is written to the file, 2 for every detail."""
        if not verbosity:
            return
        if not self._verbosity:
            self._handlers.append(_Stderr())
            for logger in _loggers():
                logger.addHandler(self._handlers[-1])
        self._verbosity = max(verbosity, self._verbosity)
        if self._verbosity > 1:
            self._handlers[-1].setLevel(logging.DEBUG)
            for logger in _loggers():
                logger.setLevel(logging.DEBUG)

    def __enter__(self) -> Log:
        self._levels = [logger.level for logger in _loggers()]
        for logger in _loggers():
            logger.setLevel(logging.INFO)
            for handler in self._handlers:
                logger.addHandler(handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger, level in zip(_loggers(), self._levels, strict=True):
            logger.setLevel(level)
            for handler in self._handlers:
                logger.removeHandler(handler)
        for handler in self._handlers:
            with contextlib.suppress(OSError):  # a full disk: what was not yet written is lost
                handler.close()


def log_folder() -> Path:
    """Where this system keeps such files; $PARAMOSAIC_DATA_DIR/log where that is set."""
    chosen = os.environ.get("PARAMOSAIC_DATA_DIR")
    if chosen:
        return Path(chosen).absolute() / "log"
    home = Path.home()  # RuntimeError where there is none
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local", "Paramosaic", "Logs")
    if sys.platform == "darwin":
        return home / "Library" / "Logs" / "Paramosaic"
    state = Path(os.environ.get("XDG_STATE_HOME", ""))  # to be ignored where it is not absolute
    return (state if state.is_absolute() else home / ".local" / "state") / "paramosaic"


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in _PROGRAM]


class _Lines(logging.Formatter):
    """One line a record, and the lines of a traceback, all bounded; nothing in them can steer a terminal."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "{asctime}.{msecs:03.0f}Z {process} {levelname:7} {name}: {message}",
            datefmt="%Y-%m-%dT%H:%M:%S",
            style="{",
        )

    def formatMessage(self, record: logging.LogRecord) -> str:
        return message_text(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return "\n".join(map(message_text, super().formatException(ei).splitlines()))


class _File(RotatingFileHandler):
    """Made, with its folder, when there is something to write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=_FILE_BYTES, backupCount=_FILES - 1, encoding="utf-8", delay=True)
        self.setLevel(logging.INFO)
        self.setFormatter(_Lines())

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            return  # a merge does not need its log
        super().handleError(record)


class _Stderr(logging.Handler):
    """Whatever stderr is at the time: a progress bar puts something of its own in its place."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_Lines())

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if sys.stderr is not None:  # as in a windowed program on Windows
            with contextlib.suppress(OSError, ValueError):
                print(text, file=sys.stderr, flush=True)
