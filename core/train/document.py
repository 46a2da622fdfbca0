"""What training.json says: the inputs, the settings, and the digests of each run's orders."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.encoding import Encoded
from core.data.rows import DataSet
from core.disk import replace_file, write_error
from core.errors import TrainingError
from core.train.orders import digest_of_order, order_text, rows_in_order
from core.train.request import Inputs, files_of
from core.train.runs_folder import FORMAT, SAMPLES_NAME, TRAINING_NAME, order_path
from core.train.settings import TrainSettings

__all__ = [
    "new_document",
    "sample_numbers",
    "say_differences",
    "versions",
    "with_orders",
    "write_document",
]

_BIT_FOR_BIT = ("torch", "transformers", "accelerate")
"""Packages on whose versions the last bits depend."""


def new_document(
    out: Path, inputs: Inputs, settings: TrainSettings, samples: Encoded, *, device: str, threads: int
) -> dict[str, Any]:
    """That of a training that begins in `out`, without its orders. Raises OutputError."""
    rows = [sample.row for sample in samples.samples]
    unit = "row" if len(set(rows)) == len(rows) else "window"
    if unit == "window":
        replace_file(out / SAMPLES_NAME, order_text(rows))
    return {
        "format": FORMAT,
        "base": {
            "name": inputs.checkpoint.name,
            "path": str(inputs.checkpoint.folder.absolute()),
            "files": files_of(inputs.checkpoint),
            "new_head": inputs.new_head,
        },
        "data": _data_values(inputs.data),
        "validation": None if inputs.validation is None else _data_values(inputs.validation),
        "task": inputs.task,
        "labels": None if inputs.labels is None else list(inputs.labels),
        "unit": unit,
        "samples": len(rows),
        "samples_digest": _samples_digest(samples),
        "settings": settings.as_dict(),
        "orders": [],
        "device": device,
        "threads": threads,
        "versions": versions(),
    }


def say_differences(
    document: Mapping[str, Any],
    out: Path,
    inputs: Inputs,
    settings: TrainSettings,
    samples: Encoded,
    *,
    device: str,
    threads: int,
    note: Callable[[str], None],
) -> None:
    """Say what is not as it was when the training began, where it can go on all the same.

    Raises:
        TrainingError: the data are other tokens than they were.
    """
    if document["samples_digest"] != _samples_digest(samples):
        raise TrainingError(
            f"the rows of {inputs.data.path} are other tokens than when the training in {out} began: the "
            "tokenizer, or how this program reads data, has changed",
            hint="put the tokenizer's files back as they were, or train into a new folder",
            path=out,
            field="data",
        )
    now = {name: versions()[name] for name in _BIT_FOR_BIT}
    before = {name: document["versions"].get(name) for name in _BIT_FOR_BIT}
    for name, value in (("device", device), ("threads", threads)):
        now[name], before[name] = str(value), str(document[name])
    now["micro_batch"] = str(settings.micro_batch)
    before["micro_batch"] = str(document["settings"]["micro_batch"])
    for name, value in now.items():
        if before[name] != value:
            note(
                f"{name}: the training began with {before[name]} and goes on with {value}, "
                "so that the last bits may differ"
            )


def with_orders(
    document: dict[str, Any], out: Path, settings: TrainSettings, samples: Encoded
) -> dict[str, Any]:
    """The document with all orders of the settings, whose files are written before it says so.

    Raises:
        OutputError: they cannot be.
    """
    orders = list(document["orders"])
    if len(orders) >= settings.orders:
        return document
    numbers = sample_numbers(document["unit"], samples)
    for number in range(len(orders) + 1, settings.orders + 1):
        place = order_path(out, number, 1).parent
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, place) from error
        digests = []
        for epoch in range(1, settings.epochs + 1):
            order = rows_in_order(
                numbers,
                seed=settings.seed,
                order=number,
                epoch=epoch,
                batch=settings.batch,
                same_batches=settings.same_batches,
            )
            text = order_text(order)
            replace_file(order_path(out, number, epoch), text)
            digests.append(digest_of_order(text))
        orders.append({"digests": digests})
    document = {
        **document,
        "orders": orders,
        "settings": {**document["settings"], "orders": settings.orders},
    }
    write_document(out, document)
    return document


def write_document(out: Path, document: Mapping[str, Any]) -> None:
    """Raises OutputError."""
    replace_file(out / TRAINING_NAME, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")


def sample_numbers(unit: str, samples: Encoded) -> NDArray[np.int64]:
    """What the file of an order calls each sample, ascending: its row, or where rows are several windows its
    own number. [samples]"""
    if unit == "window":
        return np.arange(len(samples.samples), dtype=np.int64)
    return np.array([sample.row for sample in samples.samples], np.int64)


def versions() -> dict[str, str]:
    """Of what a training depends on."""
    found = {"python": platform.python_version()}
    for name in (*_BIT_FOR_BIT, "paramosaic"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _samples_digest(samples: Encoded) -> str:
    digest = blake2b(digest_size=16)
    for sample in samples.samples:
        label = -1 if sample.label is None else sample.label
        digest.update(np.array([sample.row, len(sample.ids), label], "<i8").tobytes())
        digest.update(sample.ids.astype("<i4").tobytes())
        digest.update(np.packbits(sample.scored).tobytes())
    return digest.hexdigest()


def _data_values(data: DataSet) -> dict[str, Any]:
    return {
        "path": str(data.path.absolute()),
        "digest": data.digest,
        "kind": data.kind,
        "rows": len(data.rows),
    }
