"""Which sub-models a training has made so far: those that belong together. No Qt."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core.errors import TrainingError, merge_errors_only
from core.train.runs_folder import Training, read_training

__all__ = ["MadeModels", "made_models"]


@dataclass(frozen=True)
class MadeModels:
    """What a training has made.

    Attributes:
        folder: of the runs.
        base: what the task vectors are differences from.
        models: one of each order that has it, all with the same number of steps.
        epoch: after which they were saved.
        best: whether only the best epoch was kept, which this is.
        missing: how many orders have not got so far.
        others: the models of other epochs, which do not belong to these.
    """

    folder: Path
    base: Path
    models: tuple[Path, ...]
    epoch: int
    best: bool
    missing: int
    others: tuple[Path, ...] = ()


@merge_errors_only()
def made_models(folder: Path, *, least: int = 2) -> MadeModels:
    """The models in `folder` that are merged: of the best epoch where only that was kept, else of the last
    one that as many orders have as any. Models of different numbers of steps do not belong together.

    Args:
        folder: of the runs.
        least: how many there have to be.

    Raises:
        TrainingError: there are fewer, or it is no such folder.
    """
    training = read_training(folder)
    epoch = training.best_epoch or _epoch(training)
    there = [
        (number, path)
        for order in training.orders
        for number, path in zip(order.epoch_numbers, order.epochs, strict=True)
    ]
    models = tuple(path for number, path in there if number == epoch)
    if len(models) < least:
        raise TrainingError(
            f"{folder} has no two sub-models after the same epoch yet",
            hint="go on with the training, or wait for its second order",
            path=folder,
        )
    return MadeModels(
        folder=folder,
        base=training.base,
        models=models,
        epoch=epoch,
        best=training.best_epoch is not None,
        missing=len(training.orders) - len(models),
        others=tuple(path for number, path in there if number != epoch),
    )


def _epoch(training: Training) -> int:
    counts = Counter(epoch for order in training.orders for epoch in order.epoch_numbers)
    return max(counts, key=lambda epoch: (counts[epoch], epoch), default=0)
