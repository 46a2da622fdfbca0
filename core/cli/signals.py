"""What a signal does to a command: cancels it, and never in the middle of clearing up.

SIGINT, SIGTERM and SIGHUP (unless it is ignored, as nohup has it) are one to us. The first cancels what
runs, which takes away what it made; another one no longer waits for a step that hangs. Where nothing runs
the command ends at once. Once the output is whole, the first changes nothing and the second only cuts short
what is said about it: the exit status is that of a merge that is done.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from core.cancel import CancelToken

__all__ = ["Signals", "numbers"]


def numbers() -> list[signal.Signals]:
    """Those that a command answers to."""
    found = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        found.append(signal.SIGHUP)
    if hasattr(signal, "SIGBREAK"):  # all that a window on Windows can send to a process of another group
        found.append(signal.SIGBREAK)
    return found


class Signals:
    """Answers signals while a `with` statement lasts; only in the main thread, which is where they arrive."""

    def __init__(self, *, last: bool = False) -> None:
        """Args: last: whether the process ends after that: signals are ignored from then on."""
        self._last = last
        self._before: dict[signal.Signals, Any] = {}
        self._token: CancelToken | None = None
        self._whole = False
        self._came_late = False

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in numbers():
                self._before[number] = signal.signal(number, self._answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._last else handler)

    @contextlib.contextmanager
    def cancel(self, token: CancelToken) -> Iterator[None]:
        """Have signals cancel the job of `token`."""
        self._token = token
        try:
            yield
        finally:
            self._token = None

    def output_is_whole(self) -> None:
        """Say that the command has done what it was asked for, whatever becomes of its report."""
        self._whole = True

    def _answer(self, number: int, frame: FrameType | None) -> None:
        token = self._token
        if self._whole:
            if self._came_late:
                os._exit(0)
            self._came_late = True
        elif token is None:
            before = self._before.get(signal.Signals(number))
            if callable(before):
                before(number, frame)
            raise KeyboardInterrupt
        elif not token.cancelled:
            token.cancel()
        else:
            token.hurry()
            if token.may_be_interrupted:
                raise KeyboardInterrupt
