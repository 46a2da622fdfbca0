"""The process in which the models answer, as a job of the window.

It is a process of its own so that the window starts without torch, stays free while models work on every
core, and is there still where one of them takes more memory than there is.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from PySide6.QtCore import Signal

from core.errors import os_error_text
from core.text import message_text
from gui.background.processes import environment, program
from gui.failure import Failure, sentence
from gui.jobs import Job

__all__ = ["AnswerProcess", "TryEvent"]

_GRACE_S = 4.0
"""That the process has to end by itself once it is told to."""

_MOST_LINE = 4_000_000
"""Characters of one event; a line that is longer is none of ours."""


@dataclass(frozen=True)
class TryEvent:
    """What the process says, as core.cli.try_server describes it.

    Attributes:
        kind: "loading", "loaded", "note", "token", "answer", "failed" or "ended".
        request: the number that it was asked under; None where it is about none.
        model: the number of the model among those that were asked; None where it is about none.
        text: of a note, a token or a failure.
        hint: of a failure; None where there is none.
        tokens, seconds: of an answer; seconds also of a model that was loaded.
        stopped: of an answer: "end", "length" or "cancelled".
    """

    kind: str
    request: int | None = None
    model: int | None = None
    text: str = ""
    hint: str | None = None
    tokens: int = 0
    seconds: float = 0.0
    stopped: str = ""


class AnswerProcess(Job):
    """A child process that answers what it is sent, until it is cancelled.

    Signals:
        said(object): a TryEvent.
        ended(object): it is no more: a Failure where nobody asked for that, else None.
    """

    said = Signal(object)
    ended = Signal(object)

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """Args: command: what to run; None for this program's own."""
        super().__init__()
        self._command = list(command or [*program(), "try", "--serve"])
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._cancelled = False

    def send(self, line: Mapping[str, Any]) -> None:
        """Have it do what `line` says, once it can; returns at once."""
        self._lines.put(json.dumps(line))

    def cancel(self) -> None:
        """Let it end; one that does not within a few seconds is killed."""
        with self._lock:
            self._cancelled = True
        self._lines.put(None)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        with self._lock:
            self._cancelled = True
            process = self._process
        if process is not None:
            process.kill()
        self._lines.put(None)

    def run(self) -> None:
        self.ended.emit(self._run())

    def _run(self) -> Failure | None:
        with tempfile.TemporaryFile() as errors:
            try:
                with self._lock:
                    if self._cancelled:
                        return None
                    process = self._process = _start(self._command, errors)
            except OSError as error:
                return Failure(f"The process for the models cannot be started: {os_error_text(error)}.")
            with process:
                writer = threading.Thread(target=self._write, args=(process,), name="prompts", daemon=True)
                writer.start()
                self._listen(process)
                self._lines.put(None)
                status = process.wait()
                writer.join()
            return None if self._cancelled else Failure(*_why(status, errors))

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while line := process.stdout.readline(_MOST_LINE):
            event = _event(line)
            if event is not None:
                self.said.emit(event)

    def _write(self, process: subprocess.Popen[bytes]) -> None:
        """In a thread of its own: a process that is busy may leave its input unread."""
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            while (line := self._lines.get()) is not None:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _start(command: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment(),
        start_new_session=True,  # Ctrl+C in the terminal of the window is the window's
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _event(line: bytes) -> TryEvent | None:
    """What a line says; None for what is not one of ours, as the cry of a library."""
    try:
        read = json.loads(line)
        kind = read["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(kind, str):
        return None
    text = read.get("message" if kind == "failed" else "text")
    hint, stopped = read.get("hint"), read.get("stopped")
    return TryEvent(
        kind,
        _whole(read.get("id")),
        _whole(read.get("model")),
        text if isinstance(text, str) else "",
        hint if isinstance(hint, str) else None,
        _whole(read.get("tokens")) or 0,
        float(read["seconds"]) if isinstance(read.get("seconds"), (int, float)) else 0.0,
        stopped if isinstance(stopped, str) else "",
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _why(status: int, errors: IO[bytes]) -> tuple[str, str]:
    """What to say of a process that ended by itself, and what to do."""
    errors.seek(0)
    lines = errors.read()[-20_000:].decode(errors="replace").split("\n")
    said = [line.removeprefix("error: ") for line in lines if line.strip()]
    if status < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-status).name
            ended = f"was ended by {name}"
            hint = "The system ends what takes more memory than there is: leave out the largest model."
            return f"The process in which the models answer {ended}.", hint
    last = message_text(said[-1]) if said else f"its exit status was {status}"
    return f"The process in which the models answer has ended: {sentence(last)}", "Send the prompt again."
