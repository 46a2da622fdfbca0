"""Calls into transformers: without its chatter, and with its errors in one sentence."""

from __future__ import annotations

import contextlib
import errno
import warnings
from collections.abc import Iterator
from pathlib import Path

from core.errors import CheckpointError, MergeError
from core.text import message_text

__all__ = ["first_line", "is_of_memory", "quiet", "transformers_errors"]

_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "DefaultCPUAllocator",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""In the words of torch and of the libraries of cards."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Have transformers say nothing: no warnings, no log, no bars. For the thread of one job at a time."""
    import transformers

    logging = transformers.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def transformers_errors(what: str, *, path: Path | None = None, hint: str | None = None) -> Iterator[None]:
    """Say in one sentence, that begins with `what`, whatever a model's class raises.

    Raises:
        CheckpointError: in the place of what transformers and torch raise.
        MergeError: where memory lacks; our own errors as they are.
    """
    try:
        yield
    except MergeError:
        raise
    except Exception as error:  # each class of models and tokenizers raises what it likes
        if is_of_memory(error):
            raise MergeError(
                f"{what}: there is not enough memory",
                hint="close other programs, or choose another device (--device)",
                path=path,
            ) from error
        raise CheckpointError(f"{what}: {first_line(error)}", path=path, hint=hint) from error


def is_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, the machine's or a card's."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "AcceleratorError"):
        return isinstance(error, MemoryError) or any(sign in str(error) for sign in _MEMORY)
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MEMORY)


def first_line(error: BaseException) -> str:
    """The first line of what it says, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return message_text(f"{lines[0]} …" if lines[0].endswith(":") else lines[0].rstrip("."))
