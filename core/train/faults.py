"""What to say where a training breaks off."""

from __future__ import annotations

import math
from pathlib import Path

from core.checkpoint.model import Checkpoint
from core.checkpoint.output import free_disk_bytes
from core.disk import is_full, write_error
from core.errors import MergeError, OutputError, TrainingError
from core.pretrained.finite import NonFinite
from core.pretrained.quiet import first_line, is_of_memory
from core.units import bytes_text

__all__ = [
    "in_words",
    "is_of_full_disk",
    "not_a_number",
    "not_finite",
    "not_saved",
    "says_what_is_kept",
]

_SIGNS_OF_A_FULL_DISK = (
    *("StorageFull", "No space left on device", "not enough space on the disk"),
    *("QuotaExceeded", "quota exceeded"),
)
"""In the words of safetensors, which has no numbers of errors."""

_GOES_ON = "what was saved before is whole, and the same command goes on from there"

_SIGNS_OF_WRITING = ("PytorchStreamWriter", "unexpected pos", "inline_container")
"""In the words of torch.save on a disk that is full."""


def in_words(error: Exception, order: int, micro: int, folder: Path) -> MergeError | None:
    """What to say of an error of torch, transformers or safetensors; None of one that has no words.

    Args:
        error: what was raised.
        order: of the run.
        micro: samples that were in memory at a time.
        folder: of its resume checkpoints.
    """
    text = str(error)
    if is_of_memory(error):
        return TrainingError(
            f"order {order}: there is not enough memory for the model and {micro:,} samples at a time",
            hint=f"take fewer of them: --micro-batch {max(1, micro // 2)}, which changes a step by its "
            "rounding alone; or shorter samples (--max-length) in a new folder",
            field="micro_batch",
        )
    if isinstance(error, OSError):
        return says_what_is_kept(write_error(error, folder), error)
    if type(error).__name__ == "SafetensorError" or any(sign in text for sign in _SIGNS_OF_WRITING):
        return OutputError(
            f"cannot write {folder}: {text.splitlines()[0]}",
            hint=f"free some space: {_GOES_ON}",
            path=folder,
        )
    if "deterministic" in text:
        return TrainingError(
            f"order {order}: the model needs an operation that does not give the same bits each time on "
            f"this device: {text.splitlines()[0]}",
            hint="train on the CPU (--device cpu)",
            field="device",
        )
    return None


def is_of_full_disk(error: BaseException) -> bool:
    """Whether it, or what it was raised from, says that there is no room left on the disk."""
    if isinstance(error, OSError):
        return is_full(error)
    if type(error).__name__ == "SafetensorError":
        return any(sign in str(error) for sign in _SIGNS_OF_A_FULL_DISK)
    return error.__cause__ is not None and is_of_full_disk(error.__cause__)


def not_saved(error: Exception, folder: Path, size_bytes: int) -> OutputError:
    """What to say of a model that cannot be written.

    Args:
        error: what was raised.
        folder: the one to be made.
        size_bytes: of its weights.
    """
    if not is_of_full_disk(error):
        why = error if isinstance(error, OSError) else OSError(None, first_line(error))
        return write_error(why, folder)
    free_bytes = free_disk_bytes(folder)
    beside = f", and {bytes_text(free_bytes)} are free" if free_bytes < size_bytes else ""  # more: a quota
    return OutputError(
        f"cannot write {folder}: there is no room left on the disk",
        hint=f"make room: this model takes {bytes_text(size_bytes)}{beside}; {_GOES_ON}",
        path=folder,
    )


def says_what_is_kept(error: OutputError, cause: BaseException | None = None) -> OutputError:
    """The same error; where a disk is full, and nothing is said but what helps any writer, with a hint that
    does not have the training begun again elsewhere.

    Args:
        error: of a file of a training.
        cause: what it is raised from, where it was not raised yet.
    """
    cause = cause or error.__cause__
    if isinstance(cause, OSError) and is_full(cause) and error.hint == write_error(cause, Path()).hint:
        error.hint = f"free some space: {_GOES_ON}"
    return error


def not_a_number(order: int, step: int, loss: float, norm: float) -> TrainingError:
    """What to say of a loss, or a norm of the gradient, that is none; nothing of that step is kept."""
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
    return TrainingError(
        f"order {order}: {what} at step {step}",
        hint="take a lower learning rate (--lr) in a new folder, and look for damaged rows in the data",
        field="learning_rate",
    )


def not_finite(base: Checkpoint, found: NonFinite) -> TrainingError:
    """What to say of a base with which no loss can be a number, whatever the learning rate."""
    stored = base.tensors.get(found.tensor) or next(
        (one for name, one in base.tensors.items() if found.tensor.endswith(f".{name}")), None
    )  # a classifier's body has a prefix that the model which it is made from has not
    path = base.folder if stored is None else stored.path
    return TrainingError(
        f"{path}: {found.what}, and no training can begin with such a base",
        hint="take a whole copy of it, or another base; where it is a merge, `nonfinite: error` in its "
        "recipe says which model they come from",
        path=path,
        tensor=found.tensor,
        field="base",
    )
