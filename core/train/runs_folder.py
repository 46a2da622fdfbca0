"""The folder of a training: what was asked, the order that each run has, what each has made.

training.json               base, data, settings, orders with their digests, versions
base/                       only where a classifier's new head had to be made: the base of all runs
samples.txt                 only where the order is one of windows: the row of each
order-1/order/epoch-1.txt   row numbers, one a line (core.train.orders)
order-1/log.jsonl           a line for each step
order-1/epoch-1/            a model, whole when it has this name
order-1/resume/             what an unfinished run goes on from (core.train.resuming)
order-1/done.json           written when the run is finished
recipe.yaml                 merges the sub-models
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import TrainingError
from core.small_files import parse_json, read_if_there
from core.train.orders import read_order
from core.train.settings import TrainSettings

__all__ = [
    "TRAINING_NAME",
    "OrderRun",
    "Training",
    "done_path",
    "epoch_path",
    "float32_path",
    "log_path",
    "order_folder",
    "order_path",
    "read_training",
    "resume_path",
]

TRAINING_NAME = "training.json"
SAMPLES_NAME = "samples.txt"
FORMAT = 1

_MOST_BYTES, _MOST_PARTS = 64_000_000, 4_000_000


def order_folder(runs: Path, number: int) -> Path:
    return runs / f"order-{number}"


def order_path(runs: Path, number: int, epoch: int) -> Path:
    return order_folder(runs, number) / "order" / f"epoch-{epoch}.txt"


def float32_path(runs: Path, number: int) -> Path:
    """The sub-model of a run's last epoch before it was rounded, where that was asked for."""
    return order_folder(runs, number) / "float32"


def epoch_path(runs: Path, number: int, epoch: int) -> Path:
    return order_folder(runs, number) / f"epoch-{epoch}"


def log_path(runs: Path, number: int) -> Path:
    return order_folder(runs, number) / "log.jsonl"


def resume_path(runs: Path, number: int) -> Path:
    return order_folder(runs, number) / "resume"


def done_path(runs: Path, number: int) -> Path:
    return order_folder(runs, number) / "done.json"


@dataclass(frozen=True)
class OrderRun:
    """One run: a base, trained on the data in one order.

    Attributes:
        number: from 1.
        folder: of the run.
        epochs: the models that are there, by the epoch that they were saved after.
        epoch_numbers: of these, from 1.
        steps: that it has when it is done, in all epochs.
        done: whether it is.
    """

    number: int
    folder: Path
    epochs: tuple[Path, ...]
    epoch_numbers: tuple[int, ...]
    steps: int
    done: bool
    _digests: tuple[str, ...] = field(repr=False)
    _rows: int = field(repr=False)
    _row_of: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The rows in the order in which it sees them in `epoch`, from 1; a row of several windows stands
        there once for each. [samples]

        Raises:
            TrainingError: there is no such epoch, or its file is not what it was.
        """
        if not 1 <= epoch <= len(self._digests):
            raise TrainingError(f"{self.folder} has no epoch {epoch}", path=self.folder)
        order = read_order(self.folder / "order" / f"epoch-{epoch}.txt", self._digests[epoch - 1])
        return order if self._row_of is None else self._row_of[order]

    def positions(self, epoch: int) -> NDArray[np.int64]:
        """The place of each row of the data in `epoch`, from 0; of several windows the first one's; −1 for
        a row that it does not see. [rows]

        Raises:
            TrainingError: as for `order`.
        """
        order = self.order(epoch)
        places = np.full(self._rows, -1, np.int64)
        places[order[::-1]] = np.arange(len(order))[::-1]  # the first of several is written last
        return places

    def steps_after(self, epoch: int) -> int:
        """Steps done when `epoch`, from 1, ends."""
        return self.steps // len(self._digests) * epoch


@dataclass(frozen=True)
class Training:
    """A folder of runs.

    Attributes:
        base: the model that all runs began with: task vectors are differences from it.
        data: the file of the training data.
        data_digest: of its bytes.
        validation: the file that losses were measured on, or None.
        task: "causal" or "classifier".
        orders: all runs that were asked for.
        settings: how they are made.
        best_epoch: the one that was kept, where only the best was.
        done: whether all runs are.
        document: all of training.json.
    """

    folder: Path
    base: Path
    data: Path
    data_digest: str
    validation: Path | None
    task: str
    orders: tuple[OrderRun, ...]
    settings: TrainSettings
    best_epoch: int | None
    done: bool
    document: Mapping[str, Any] = field(repr=False)


def read_training(folder: str | Path) -> Training:
    """What is in a folder of runs, finished or not.

    Raises:
        TrainingError: it is none, or damaged.
    """
    folder = Path(folder)
    path = folder / TRAINING_NAME
    document = read_document(folder)
    if document is None:
        raise TrainingError(
            f"{folder} is no folder of training runs: it has no {TRAINING_NAME}",
            hint="choose the folder that `paramosaic train` wrote, the one above order-1",
            path=folder,
        )
    try:
        settings = TrainSettings.from_dict(document["settings"])
        samples = int(document["samples"])
        row_of = read_order(folder / SAMPLES_NAME) if document["unit"] == "window" else None
        orders = tuple(
            _order_run(folder, settings, document, number, samples, row_of)
            for number in range(1, len(document["orders"]) + 1)
        )
        base = Path(document["base"]["path"])
        validation = document["validation"]
        return Training(
            folder=folder,
            base=folder / "base" if document["base"]["new_head"] else base,
            data=Path(document["data"]["path"]),
            data_digest=str(document["data"]["digest"]),
            validation=None if validation is None else Path(validation["path"]),
            task=str(document["task"]),
            orders=orders,
            settings=settings,
            best_epoch=document.get("best_epoch"),
            done=all(order.done for order in orders),
            document=document,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path) from error


def _order_run(
    folder: Path,
    settings: TrainSettings,
    document: Mapping[str, Any],
    number: int,
    samples: int,
    row_of: NDArray[np.int64] | None,
) -> OrderRun:
    there = [epoch for epoch in range(1, settings.epochs + 1) if epoch_path(folder, number, epoch).is_dir()]
    return OrderRun(
        number=number,
        folder=order_folder(folder, number),
        epochs=tuple(epoch_path(folder, number, epoch) for epoch in there),
        epoch_numbers=tuple(there),
        steps=settings.steps_of(samples),
        done=done_path(folder, number).is_file(),
        _digests=tuple(str(digest) for digest in document["orders"][number - 1]["digests"]),
        _rows=int(document["data"]["rows"]),
        _row_of=row_of,
    )


def read_document(folder: Path) -> dict[str, Any] | None:
    """The values of training.json; None where there is none.

    Raises:
        TrainingError: it is damaged, or of a later version of the program.
    """
    path = folder / TRAINING_NAME
    data = read_if_there(path, _MOST_BYTES, TrainingError)
    if data is None:
        return None
    try:
        document = parse_json(data, _MOST_PARTS)
    except ValueError as error:
        raise damaged(path) from error
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise damaged(path)
    if document["format"] > FORMAT:
        raise TrainingError(
            f"{path} was written by a later version of this program", hint="use that version", path=path
        )
    return document


def damaged(path: Path) -> TrainingError:
    return TrainingError(
        f"{path} is damaged, and does not say what was trained",
        hint="train into a new folder",
        path=path,
    )
