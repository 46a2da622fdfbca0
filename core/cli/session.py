"""What the commands of one process share: the options many have, how they are cancelled, what they say."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from core.cancel import CancelToken
from core.cli.desktop import Desktop
from core.cli.printing import say
from core.cli.signals import Signals
from core.log import Log
from core.text import message_text

__all__ = [
    "Session",
    "cancellable",
    "json_option",
    "path_type",
    "say_note",
    "this_session",
    "to_json",
    "verbose_option",
]


@dataclass(frozen=True)
class Session:
    """What the commands of one process share."""

    desktop: Desktop
    log: Log
    signals: Signals


def _show_log(context: click.Context, parameter: click.Parameter, verbosity: int) -> None:
    session = context.find_object(Session)
    if session is not None:
        session.log.show(verbosity)


verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_show_log,
    help="Say on stderr what is done; -vv for every detail.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
path_type = click.Path(path_type=Path, readable=False)
"""A path of anything: the engine says what it cannot read, and why."""


def this_session() -> Session:
    """That of the command that runs."""
    session = click.get_current_context().find_object(Session)
    assert session is not None
    return session


@contextlib.contextmanager
def cancellable() -> Iterator[CancelToken]:
    """A token that signals cancel."""
    token = CancelToken()
    with this_session().signals.cancel(token):
        yield token


def say_note(sentence: str) -> None:
    """A note on stderr."""
    say(f"note: {message_text(sentence)}")


def to_json(value: Any) -> str:
    """One document."""
    return json.dumps(value, indent=2)  # escapes only: stdout may not be UTF-8
