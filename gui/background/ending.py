"""How a task has ended, where it says so itself, and where it does not."""

from __future__ import annotations

import re
import signal
from dataclasses import replace

from core.errors import MergeError
from core.text import message_text
from gui.background.events import last_words
from gui.background.task import ERRORS, Task
from gui.failure import Failure

__all__ = ["why_it_ended"]

_CANCELLED = 130
_BUTTONS = {"train": "Go on", "evaluate": "Start"}
"""What the button is called that takes it up again, by the kind of the task."""

_SAID = re.compile(r"^(?:error|Error): (?P<message>.+)(?:\nhint: (?P<hint>.+))?", re.MULTILINE)


def why_it_ended(task: Task, status: int | None) -> Task:
    """`task` with its last state, where its process has left.

    Args:
        task: as its events say.
        status: of its process; negative for the number of a signal, 0 or None where it is not known.
    """
    if not task.running:
        return task
    words = last_words(task.folder / ERRORS)
    if status == _CANCELLED or (words.splitlines() or [""])[-1] == "cancelled":
        return replace(task, state="cancelled")
    said = list(_SAID.finditer(words))
    if said:  # before it could say so in its file of events
        found = said[-1]
        failure = Failure.of(MergeError(found["message"], hint=found["hint"]))
    else:
        details = "\n".join(map(message_text, words.splitlines())) or None
        failure = Failure(
            f"{task.title} ended before it was done{_by_what(status)}.", _hint(task, status), details
        )
    return replace(task, state="failed", failure=failure)


def _by_what(status: int | None) -> str:
    if status is None or status >= 0:
        return f" (exit status {status})" if status else ""
    try:
        return f" ({signal.Signals(-status).name})"
    except ValueError:
        return f" (signal {-status})"


def _hint(task: Task, status: int | None) -> str:
    """A process that is killed says nothing, and memory is what systems kill for."""
    again = f"What it had kept is still there: press “{_BUTTONS.get(task.kind, 'Start')}”."
    if status == -signal.SIGTERM:
        return again
    return f"The system may have run out of memory, or was restarted. {again}"
