"""Everything that can go wrong with a request, as one tree.

    MergeError
    ├── RecipeError          the recipe asks for something that makes no sense
    ├── CheckpointError      a model on disk is missing, damaged or of the wrong kind
    │   └── InputChangedError    it changed while it was being read
    ├── IncompatibleError    the models cannot be merged with one another
    ├── OutputError          the output folder is taken, or cannot be written
    │   ├── UnfinishedError      an earlier merge into it was cut off, and can go on
    │   └── RunningError         another merge is writing it now
    ├── DataError            a data file is damaged, or has not the rows that are needed
    ├── TrainingError        a training cannot begin, go on or end well
    ├── DeviceError          the chosen device is not there
    ├── VerificationError    an output does not match its run record
    └── Cancelled            the user stopped the job

Each carries one sentence for the user (`message`), what to do about it (`hint`), and an address: the file,
the tensor, the recipe's field and the entry of its `models` concerned, where there are any. Errors of other
libraries are turned into these at the place where the library is called.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "Cancelled",
    "CheckpointError",
    "DataError",
    "DeviceError",
    "IncompatibleError",
    "InputChangedError",
    "MergeError",
    "OutputError",
    "RecipeError",
    "RunningError",
    "TrainingError",
    "UnfinishedError",
    "VerificationError",
    "addressed",
    "error_of_memory",
    "merge_errors_only",
    "os_error_text",
]

_FULL = "free some space, or choose a folder on another disk"
_TOO_MANY_FILES = "allow more open files, as with `ulimit -n 4096`, or use fewer threads"
_NOT_ALLOWED = "change its permissions, as with `chmod`, or ask whoever owns it"
_HINTS = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: "close other programs: the whole system has too many open files",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOMEM: "use fewer threads, or close other programs",
}
"""What helps against errors of the system."""

_SIGNS_OF_MEMORY = (
    "Cannot allocate memory",
    "can't start new thread",
    "cannot allocate memory",
    "failed to map segment",
)
"""In the words of those that raise something else than a MemoryError: threads, loaders, allocators."""


class MergeError(Exception):
    """A request that cannot be carried out.

    Attributes:
        message: one sentence that names the file, tensor or field.
        hint: what the user can do, or None. Where nothing else is said, it is what helps against the error of
            the system that the message quotes, and that it was raised from.
        path: the file or folder concerned, or None.
        tensor: the name of the tensor concerned, or None.
        field: what has to be changed: a key of the recipe ("base_model", "models", "seed"), a parameter of
            the method by its own name ("weight", "t"), "out" for the output folder, or "shard_size"; None
            where it is about none of them.
        entry: the number of the entry of `models` concerned, from 0, or None. While a recipe is read, the
            entries are those of its list `models` as it stands, with the base if that is listed. Once it is
            read, they are those of `Recipe.models`, the sub-models without the base.
        kept: the staging folder with what a merge had finished, from which the same merge can go on; None
            where nothing is left.
        reasons: the errors that it says in one sentence, where it stands for several.
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
        self._hint = hint
        self.path = path
        self.tensor = tensor
        self.field = field
        self.entry = entry
        self.kept: Path | None = None
        self.reasons: tuple[MergeError, ...] = ()

    @property
    def hint(self) -> str | None:
        return _hint_against(self.__cause__) if self._hint is None else self._hint

    @hint.setter
    def hint(self, hint: str | None) -> None:
        self._hint = hint


class RecipeError(MergeError):
    """The recipe asks for something that makes no sense."""


class CheckpointError(MergeError):
    """A model on disk is missing, damaged or of the wrong kind."""


class InputChangedError(CheckpointError):
    """A file of a model changed while it was being read, so that its old and new bytes would mix."""


class IncompatibleError(MergeError):
    """The models cannot be merged with one another."""


class OutputError(MergeError):
    """The output folder is taken, or cannot be written."""


class UnfinishedError(OutputError):
    """An earlier merge into the same folder was cut off. `path` is its staging folder, which can be gone on
    with or removed."""


class RunningError(OutputError):
    """Another merge is writing the same folder now."""


class DataError(MergeError):
    """A data file is damaged, or has not the rows that are needed."""


class TrainingError(MergeError):
    """A training cannot begin, go on or end well."""


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


@contextlib.contextmanager
def merge_errors_only() -> Iterator[None]:
    """Say in words what the system refuses, and no module below has put into words.

    The decorator of what scripts call. Faults of the program itself, as a KeyError, stay what they are.

    Raises:
        MergeError: in the place of an OSError, and of what is raised for paths that are none and for want of
            memory or threads.
    """
    try:
        yield
    except (OSError, MemoryError, ValueError, RuntimeError, ImportError) as error:
        said = _in_words(error)
        if said is None:
            raise
        raise said from error


def _in_words(error: Exception) -> MergeError | None:
    if isinstance(error, MemoryError) or any(sign in _whole_text(error) for sign in _SIGNS_OF_MEMORY):
        return error_of_memory(error)
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        return MergeError(f"{where}{os_error_text(error)}")
    if isinstance(error, UnicodeEncodeError):
        return MergeError(f"{error.object!r} is not valid text", hint="choose another name")
    if isinstance(error, ValueError) and "null" in str(error):  # which the system's calls say of a path
        return MergeError("a path has a null character in it", hint="choose another name")
    return None


def _whole_text(error: BaseException | None) -> str:
    """What it says, and all that it was raised from."""
    texts: list[str] = []
    while error is not None and len(texts) < 10:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def error_of_memory(error: BaseException | None = None) -> MergeError:
    """What to say where there is no memory, or no room for another thread."""
    if isinstance(error, RuntimeError) and "thread" in str(error):
        return MergeError("the system lets no more threads be started", hint="use fewer threads")
    return MergeError(
        "there is not enough memory", hint="use fewer threads, or raise the limit if `ulimit -v` shows one"
    )


def _hint_against(cause: BaseException | None) -> str | None:
    return _HINTS.get(cause.errno or 0) if isinstance(cause, OSError) else None


def os_error_text(error: OSError) -> str:
    """The system's own words for `error` ("No space left on device"), without numbers and paths."""
    return error.strerror or str(error) or type(error).__name__
