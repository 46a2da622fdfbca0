"""Lines on stdout and stderr, and what becomes of those that cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

import click

from core.errors import MergeError, os_error_text
from core.text import message_text

__all__ = ["lenient_streams", "print_error", "print_result", "print_usage", "say"]


def say(text: str) -> None:
    """A line on stderr. Where that is closed, full or gone, nobody reads it, and that is all."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: closed
        click.echo(text, err=True)


def print_error(error: MergeError) -> None:
    """Its sentence and its hint, a line each, on stderr."""
    say(f"error: {message_text(error.message)}")
    if error.hint:
        say(f"hint: {message_text(error.hint)}")


def print_usage(error: click.UsageError) -> None:
    """What was not understood, on stderr."""
    if error.ctx is not None:
        say(error.ctx.get_usage())
        say(f"Try '{error.ctx.command_path} --help' for help.\n")
    say(f"Error: {message_text(error.format_message())}")


def print_result(text: str, *, needed: bool = True, ends: bool = True) -> None:
    """What a command was asked for, on stdout.

    Args:
        text: of one line or more.
        needed: False where the command has done what matters without it.
        ends: whether the line ends there; False for a piece of one.

    Raises:
        BrokenPipeError: whoever read it has left.
        MergeError: it cannot be written.
    """
    try:
        if sys.stdout is None or sys.stdout.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        click.echo(text, nl=ends)
    except OSError as error:
        if not needed:
            say("The report could not be written to the standard output.")
        elif isinstance(error, BrokenPipeError):
            raise
        else:
            raise MergeError(f"cannot write to the standard output: {os_error_text(error)}") from error


@contextlib.contextmanager
def lenient_streams() -> Iterator[None]:
    """Have any text written to stdout and stderr; nothing stays in them that could not be written later."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        yield
    finally:
        for stream in streams:
            try:
                stream.flush()
            except (OSError, ValueError):
                with contextlib.suppress(OSError, ValueError):
                    nowhere = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(nowhere, stream.fileno())
                    os.close(nowhere)
