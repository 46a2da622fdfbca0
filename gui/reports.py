"""What jobs tell the window: frozen values, no Qt."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from core import MergeError, RunRecord
from gui.pictures.data import Pictures

__all__ = ["Failure", "MergeResult", "ModelSummary", "PlanSummary"]


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
            return cls(_sentence(error.message), _sentence(error.hint) if error.hint else None)
        return cls(
            "Something went wrong that should not have.",
            "The details help to find the fault.",
            "".join(traceback.format_exception(error)),
        )


@dataclass(frozen=True)
class ModelSummary:
    """What the headers of a model say.

    Attributes:
        folder: where it is.
        name: how it is called.
        parameters: elements of all tensors.
        dtypes: its floating-point types, the one with the most bytes first.
        size_bytes: of its weights.
        problem: why it is no model; the numbers are zero then.
    """

    folder: Path
    name: str
    parameters: int = 0
    dtypes: tuple[str, ...] = ()
    size_bytes: int = 0
    problem: Failure | None = None


@dataclass(frozen=True)
class PlanSummary:
    """What is about to happen.

    Attributes:
        bytes_to_read, bytes_to_write: of weights.
        tensors: of the output.
        models: K.
        warnings: sentences for the user.
        pictures: the empty pictures; None for a method that looks at no deltas.
    """

    bytes_to_read: int
    bytes_to_write: int
    tensors: int
    models: int
    warnings: tuple[str, ...]
    pictures: Pictures | None


@dataclass(frozen=True)
class MergeResult:
    """A finished merge.

    Attributes:
        record: what it did.
        out: where it was written.
        warnings: the plan's.
        pictures: complete; None for a method that looks at no deltas.
    """

    record: RunRecord
    out: Path
    warnings: tuple[str, ...]
    pictures: Pictures | None


def _sentence(text: str) -> str:
    """The engine's words as a sentence: a capital where they begin with a word, and a full stop."""
    text = text.strip()
    first = text.split(" ", 1)[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
