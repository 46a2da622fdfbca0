"""How much disk space a training takes, before it begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core.checkpoint.output import free_disk_bytes
from core.errors import TrainingError
from core.train.settings import TrainSettings
from core.units import bytes_text

__all__ = ["DiskNeed", "disk_need", "memory_sentence", "require_disk"]

_RESUME_BYTES = 12
"""Bytes a parameter of a resume checkpoint: the weight and two moments of AdamW, float32 each."""

_TRAINING_BYTES = 16
"""Bytes a parameter in memory: weight, gradient and two moments, float32 each. A batch comes on top."""

_RESUME_POINTS = 2
_LOG_LINE_BYTES = 200
_SAVED_BYTES = {"bfloat16": 2, "float32": 4}


@dataclass(frozen=True)
class DiskNeed:
    """Disk space of a training at its greatest.

    Attributes:
        models: how many sub-models there are at the most.
        models_bytes: what they take.
        resume_bytes: what the unfinished run goes on from takes.
        lists_bytes: orders and logs, about.
        rows: of the data.
        new_base_bytes: a base with a new head.
    """

    models: int
    models_bytes: int
    resume_bytes: int
    lists_bytes: int = 0
    new_base_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.models_bytes + self.resume_bytes + self.lists_bytes + self.new_base_bytes

    def sentence(self, there_bytes: int, free_bytes: int) -> str:
        """What is said before it begins."""
        base = f", {bytes_text(self.new_base_bytes)} for the base" if self.new_base_bytes else ""
        there = f", of which {bytes_text(there_bytes)} are there" if there_bytes else ""
        return (
            f"disk: {bytes_text(self.total_bytes)} in all{there}: {bytes_text(self.models_bytes)} for "
            f"{self.models} model{'' if self.models == 1 else 's'}{base}, "
            f"{bytes_text(self.resume_bytes)} to go on after a stop, {bytes_text(self.lists_bytes)} for "
            f"orders and logs; {bytes_text(free_bytes)} are free"
        )


def disk_need(
    parameters: int, settings: TrainSettings, *, rows: int = 0, new_base_bytes: int = 0
) -> DiskNeed:
    """What a training takes.

    Args:
        parameters: elements of the model.
        settings: how it is trained. Of "last" there are two models of one run while the second is written, of
            "best" all until the last run is done.
        rows: of the data.
        new_base_bytes: a base with a new head that is written.
    """
    one = _SAVED_BYTES[settings.save_dtype] * parameters
    if settings.keep == "last":
        models = settings.orders + min(1, settings.epochs - 1)
    else:
        models = settings.orders * settings.epochs
    lists = rows * settings.epochs * (len(str(rows)) + 1) + settings.steps_of(rows) * _LOG_LINE_BYTES
    floats = settings.orders if settings.also_float32 else 0
    resume = _RESUME_POINTS * _RESUME_BYTES * parameters
    saved = models * one + floats * _SAVED_BYTES["float32"] * parameters
    return DiskNeed(models + floats, saved, resume, settings.orders * lists, new_base_bytes)


def require_disk(need: DiskNeed, runs: Path) -> str:
    """The sentence of what it takes.

    Raises:
        TrainingError: there is less room.
    """
    there, free = min(_bytes_in(runs), need.total_bytes), free_disk_bytes(runs)
    sentence = need.sentence(there, free)
    if need.total_bytes - there > free:
        raise TrainingError(
            f"there is not enough room at {runs}: {sentence}",
            hint="free some space, choose a folder on another disk, or keep fewer epochs (--keep last)",
            path=runs,
            field="out",
        )
    return sentence


def memory_sentence(parameters: int) -> str:
    """What a training of so many parameters takes in memory."""
    return (
        f"memory: {bytes_text(_TRAINING_BYTES * parameters)} for the weights, their gradients and AdamW in "
        "float32, and what a micro-batch takes"
    )


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
