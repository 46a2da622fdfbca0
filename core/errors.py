"""Everything that can go wrong with a request, as one tree.

    MergeError
    ├── RecipeError          the recipe asks for something that makes no sense
    ├── CheckpointError      a model on disk is missing, damaged or of the wrong kind
    ├── IncompatibleError    the models cannot be merged with one another
    ├── OutputError          the output folder is taken, or cannot be written
    ├── DeviceError          the chosen device is not there
    ├── VerificationError    an output does not match its run record
    └── Cancelled            the user stopped the job

Each carries one sentence for the user (`message`), what to do about it (`hint`), and an address: the file,
the tensor, the recipe's field and the entry of its `models` concerned, where there are any. Errors of other
libraries are turned into these at the place where the library is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "Cancelled",
    "CheckpointError",
    "DeviceError",
    "IncompatibleError",
    "MergeError",
    "OutputError",
    "RecipeError",
    "VerificationError",
    "addressed",
    "os_error_text",
]


class MergeError(Exception):
    """A request that cannot be carried out.

    Attributes:
        message: one sentence that names the file, tensor or field.
        hint: what the user can do, or None.
        path: the file or folder concerned, or None.
        tensor: the name of the tensor concerned, or None.
        field: what has to be changed: a key of the recipe ("base_model", "models", "seed"), a parameter of
            the method by its own name ("weight", "t"), "out" for the output folder, or "shard_size"; None
            where it is about none of them.
        entry: the number of the entry of `models` concerned, from 0, or None. While a recipe is read, the
            entries are those of its list `models` as it stands, with the base if that is listed. Once it is
            read, they are those of `Recipe.models`, the sub-models without the base.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: Path | None = None,
        tensor: str | None = None,
        field: str | None = None,
        entry: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.tensor = tensor
        self.field = field
        self.entry = entry


class RecipeError(MergeError):
    """The recipe asks for something that makes no sense."""


class CheckpointError(MergeError):
    """A model on disk is missing, damaged or of the wrong kind."""


class IncompatibleError(MergeError):
    """The models cannot be merged with one another."""


class OutputError(MergeError):
    """The output folder is taken, or cannot be written."""


class DeviceError(MergeError):
    """The chosen device is not there."""


class VerificationError(MergeError):
    """An output does not match its run record.

    Attributes:
        report: all that was found (core.run.verify_report.VerificationReport), where files were compared.
    """

    report: Any = None


class Cancelled(MergeError):
    """The user stopped the job."""

    def __init__(self, message: str = "the merge was cancelled") -> None:
        super().__init__(message)


@contextlib.contextmanager
def addressed(*, field: str | None = None, entry: int | None = None) -> Iterator[None]:
    """Give a MergeError that is raised within this address, where it has none of its own.

    For a `with` statement around what is about one field, or a decorator of a function that is.
    """
    try:
        yield
    except MergeError as error:
        if error.field is None:
            error.field = field
        if error.entry is None:
            error.entry = entry
        raise


def os_error_text(error: OSError) -> str:
    """The system's own words for `error` ("No space left on device"), without numbers and paths."""
    return error.strerror or str(error) or type(error).__name__
