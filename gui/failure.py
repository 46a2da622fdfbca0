"""Why something could not be done, for a person."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

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
    """

    message: str
    hint: str | None = None
    details: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What to say about `error`."""
        if isinstance(error, MergeError):
            return cls(sentence(error.message), sentence(error.hint) if error.hint else None)
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
