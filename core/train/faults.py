"""What to say where a training breaks off."""

from __future__ import annotations

import math
from pathlib import Path

from core.disk import write_error
from core.errors import MergeError, OutputError, TrainingError
from core.pretrained.quiet import is_of_memory

__all__ = ["in_words", "not_a_number"]

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
        return write_error(error, folder)
    if type(error).__name__ == "SafetensorError" or any(sign in text for sign in _SIGNS_OF_WRITING):
        return OutputError(
            f"cannot write {folder}: {text.splitlines()[0]}",
            hint="free some space: what was written before is whole, and the same command goes on from there",
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


def not_a_number(order: int, step: int, loss: float, norm: float) -> TrainingError:
    """What to say of a loss, or a norm of the gradient, that is none; nothing of that step is kept."""
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
    return TrainingError(
        f"order {order}: {what} at step {step}",
        hint="take a lower learning rate (--lr) in a new folder, and look for damaged rows in the data",
        field="learning_rate",
    )
