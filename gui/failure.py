"""Why something could not be done, for a person."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from core import MergeError
from core.text import message_text

__all__ = [
    "Failure",
    "sentence",
]


@dataclass(frozen=True)
class Failure:
    """Why something could not be done, for a person.

    Attributes:
        message: one sentence.
        hint: what to do about it, or None.
        details: a traceback where the fault is the program's own; None otherwise.
        kept: the staging folder from which the merge that failed can go on; None where nothing is left.
    """

    message: str
    hint: str | None = None
    details: str | None = None
    kept: Path | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What to say about `error`."""
        if isinstance(error, MergeError):
            hint = sentence(error.hint) if error.hint else None
            return cls(sentence(error.message), hint, kept=error.kept)
        return cls(
            "Something went wrong that should not have.",
            "The details help to find the fault.",
            "".join(traceback.format_exception(error)),
        )


def sentence(text: str) -> str:
    """The engine's words as a sentence: a capital where they begin with a word, and a full stop."""
    text = message_text(text.strip())
    first = text.split(" ", 1)[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
