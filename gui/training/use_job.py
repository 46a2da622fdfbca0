"""Which sub-models a training has made so far: those that belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal

from core.errors import TrainingError, merge_errors_only
from core.train.runs_folder import Training, read_training
from gui.failure import Failure
from gui.jobs import Job

__all__ = ["MadeModels", "UseJob", "made_models"]


@dataclass(frozen=True)
class MadeModels:
    """What a training has made.

    Attributes:
        folder: of the runs.
        base: what the task vectors are differences from.
        models: one of each order that has it, all with the same number of steps.
        epoch: after which they were saved.
        missing: how many orders have not got so far.
    """

    folder: Path
    base: Path
    models: tuple[Path, ...]
    epoch: int
    missing: int


class UseJob(Job):
    """Reads a folder of runs.

    Signals:
        succeeded(object): its MadeModels.
        failed(object): a Failure: it has no two models that belong together, or cannot be read.
    """

    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def run(self) -> None:
        try:
            made = made_models(self._folder)
        except Exception as error:
            self.failed.emit(Failure.of(error))
        else:
            self.succeeded.emit(made)


@merge_errors_only()
def made_models(folder: Path) -> MadeModels:
    """The models in `folder` that are merged: of the best epoch where only that was kept, else of the last
    one that as many orders have as any. Models of different numbers of steps do not belong together.

    Raises:
        TrainingError: there are no two.
    """
    training = read_training(folder)
    epoch = training.best_epoch or _epoch(training)
    models = tuple(
        order.epochs[order.epoch_numbers.index(epoch)]
        for order in training.orders
        if epoch in order.epoch_numbers
    )
    if len(models) < 2:
        raise TrainingError(
            f"{folder} has no two sub-models after the same epoch yet",
            hint="go on with the training, or wait for its second order",
            path=folder,
        )
    return MadeModels(folder, training.base, models, epoch, len(training.orders) - len(models))


def _epoch(training: Training) -> int:
    counts = Counter(epoch for order in training.orders for epoch in order.epoch_numbers)
    return max(counts, key=lambda epoch: (counts[epoch], epoch), default=0)
