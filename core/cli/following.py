"""What a long command says of its work while it runs: to people on stderr, to a program in a file of
events."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from core.cancel import CancelToken
from core.checkpoint.ownership import OWN_FOLDER, Ownership, new_run_id, process_began
from core.cli.own_files import refuse_inputs
from core.cli.printing import say
from core.cli.progress_display import ProgressDisplay
from core.cli.session import path_type, say_note
from core.disk import OpenFolder
from core.errors import Cancelled, MergeError
from core.progress import Share
from core.progress_file import ProgressFile, stop_file

__all__ = ["Following", "followed", "going_on", "progress_options"]

_NICENESS = 10
_EVERY_S = 0.25
"""Between two events of progress."""

_LOOK_S = 0.25
"""Between two looks at the file that stops it."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def progress_options(command: _Command) -> _Command:
    """The options of a command that another process may start and follow."""
    command = click.option(
        "--background", is_flag=True, hidden=True, help="Leave the processor to other programs."
    )(command)
    return click.option(
        "--progress", type=path_type, help="Append what happens to this file, one JSON object a line."
    )(command)


class Following:
    """Says what happens: notes and progress to whoever looks at stderr, everything to the file."""

    def __init__(self, file: ProgressFile, display: ProgressDisplay) -> None:
        self._file, self._display = file, display
        self._last, self._text = 0.0, ""

    def say(self, kind: str, **values: Any) -> None:
        """An event for the file alone."""
        self._file.say(kind, **values)

    def note(self, sentence: str) -> None:
        """What is worth knowing."""
        say_note(sentence)
        self._file.say("note", text=sentence)

    def show(self, share: Share) -> None:
        """How far it is; a core.progress.ShareCallback."""
        self._display.show_share(share)
        now = time.monotonic()
        if now - self._last < _EVERY_S and share.fraction < 1.0:
            return
        self._last = now
        remaining = None if share.remaining_s is None else round(share.remaining_s, 1)
        self._file.say("progress", share=round(share.fraction, 6), text=share.text, remaining_s=remaining)


@contextlib.contextmanager
def going_on() -> Iterator[None]:
    """Say of a work that is stopped in a `with` statement that the same command takes it up again."""
    try:
        yield
    except Cancelled:
        say("hint: the same command again goes on from here")
        raise


@contextlib.contextmanager
def followed(
    path: Path | None,
    *,
    background: bool = False,
    inputs: Iterable[str | Path | None] = (),
    cancel: CancelToken | None = None,
) -> Iterator[Following]:
    """Say how the command in a `with` statement begins, goes on, and ends where that is not well.

    Args:
        path: the file of events, made where it is not there; None for none.
        background: whether other programs go first, the folder of `path` is this command's alone, and a file
            beside it (core.progress_file.stop_file) stops it.
        inputs: files and folders that the command reads, to none of which anything is appended.
        cancel: the token of what the command does.

    Raises:
        OutputError: the file cannot be written, or is one of `inputs`.
    """
    refuse_inputs(path, inputs, option="--progress")
    # Read when torch is loaded. Where other programs run, threads that spin while they wait for one another
    # took five times as long as threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if background and hasattr(os, "nice"):
        os.nice(_NICENESS)
    with ProgressFile(path) as file, ProgressDisplay() as display, contextlib.ExitStack() as stack:
        if background and path is not None:
            stack.enter_context(_held(path.parent))
            if cancel is not None:
                stack.enter_context(_stopped_by(stop_file(path), cancel))
        pid = os.getpid()
        command = ["paramosaic", *sys.argv[1:]]
        file.say("began", pid=pid, process_began=process_began(pid), command=command)
        try:
            yield Following(file, display)
        except (Cancelled, KeyboardInterrupt):
            file.say("cancelled")
            raise
        except MergeError as error:
            file.say("failed", message=error.message, hint=error.hint)
            raise
        except BaseException as error:
            file.say("failed", message=f"a fault of the program: {type(error).__name__}", hint=None)
            raise


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock of a task's folder, by which others see that this process is there, by whatever number.

    Where that cannot be, they have its number alone, and this goes on without.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, MergeError):
            (folder / OWN_FOLDER).mkdir(exist_ok=True)
            ownership = Ownership(stack.enter_context(OpenFolder(folder)), new_run_id())
            stack.callback(ownership.release)
        yield


@contextlib.contextmanager
def _stopped_by(path: Path, cancel: CancelToken) -> Iterator[None]:
    """Cancel once the file is there."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            if path.exists():
                cancel.cancel()
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
