"""What is asked of a training, read and checked before anything is written."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cancel import CancelToken
from core.checkpoint.model import Checkpoint, open_checkpoint
from core.checkpoint.ownership import OWN_FOLDER
from core.checkpoint.same_files import digest_of
from core.data.rows import DataSet, read_data
from core.disk import write_error
from core.errors import OutputError, TrainingError, addressed
from core.pretrained.models import is_classifier
from core.text import shown
from core.train.runs_folder import TRAINING_NAME, read_document
from core.train.settings import TrainSettings, option_of

__all__ = [
    "Inputs",
    "TrainRequest",
    "existing_document",
    "files_of",
    "read_inputs",
    "refuse_others",
    "require_accelerate",
]

ACCELERATE = "accelerate>=1.1"


@dataclass(frozen=True)
class TrainRequest:
    """What is asked for.

    Attributes:
        base: the model's folder.
        data: a data file (core.data.rows): of labels for a classifier of texts, anything else for a language
            model, whose loss is on the tokens of the answers, where there are any.
        out: the folder of the runs.
        settings: how.
        validation: a data file of the same kind that losses are measured on, or None.
        resamples: n of the recipe that is written beside the sub-models.
        device: "auto", "cpu" or "cuda".
        threads: of torch; None for those that the training began with, or one a core.
        save_every_s: seconds between resume checkpoints.
        skip_bad_rows: whether rows that cannot be used are left out.
    """

    base: Path
    data: Path
    out: Path
    settings: TrainSettings
    validation: Path | None = None
    resamples: int = 4
    device: str = "auto"
    threads: int | None = None
    save_every_s: float = 600.0
    skip_bad_rows: bool = False


@dataclass(frozen=True)
class Inputs:
    """What was read of a request.

    Attributes:
        checkpoint: the base, of which the headers were read.
        data, validation: the rows.
        task: "causal" or "classifier".
        labels: of a classifier, in the order of its classes; None for language models.
        new_head: whether the base has no head for these labels.
    """

    checkpoint: Checkpoint
    data: DataSet
    validation: DataSet | None
    task: str
    labels: tuple[str, ...] | None
    new_head: bool


def require_accelerate() -> None:
    """Raises TrainingError: the package that the Trainer runs on is not installed."""
    if importlib.util.find_spec("accelerate") is None:
        raise TrainingError(
            "training needs the package accelerate, which is not installed",
            hint=f"install it: pip install '{ACCELERATE}'",
        )


def read_inputs(request: TrainRequest, cancel: CancelToken | None = None) -> Inputs:
    """Read the headers of the base and the rows of the data.

    Args:
        request: what is asked for.
        cancel: looked at before each file of data.

    Raises:
        TrainingError: they do not fit one another, or what is asked.
        CheckpointError, DataError: one of them cannot be read.
        Cancelled: after `cancel`.
    """
    _refuse_without_validation(request)
    if not request.save_every_s >= 0:
        raise TrainingError(
            f"the time between two places to go on from is {request.save_every_s / 60:g} minutes",
            hint="change --save-every",
            field="save_every",
        )
    with addressed(field="base"):
        checkpoint = open_checkpoint(request.base)
    _refuse_base(request, checkpoint)
    cancel = cancel or CancelToken()
    cancel.raise_if_cancelled("training")
    data = read_data(request.data, skip_bad_rows=request.skip_bad_rows)
    validation = None
    if request.validation is not None:
        cancel.raise_if_cancelled("training")
        validation = read_data(request.validation, skip_bad_rows=request.skip_bad_rows, field="validation")
        if (validation.kind == "label") != (data.kind == "label"):
            raise TrainingError(
                f"of {data.path} and {validation.path} one has labels and the other has none",
                hint="give both the same fields",
                path=validation.path,
                field="validation",
            )
    if data.kind == "label":
        return _classifier_inputs(checkpoint, data, validation)
    if is_classifier(checkpoint.config):
        raise TrainingError(
            f"{request.base} is a classifier of texts, and the rows of {request.data} have no label",
            hint='give every row a "text" and a "label", or choose a language model',
            path=request.data,
            field="data",
        )
    return Inputs(checkpoint, data, validation, "causal", None, False)


def _refuse_without_validation(request: TrainRequest) -> None:
    if request.validation is not None:
        return
    if request.settings.keep == "best":
        raise TrainingError(
            "keeping the best epoch needs data to measure it on",
            hint="name a file of held-out rows (--validation FILE), or keep all or the last",
            field="keep",
        )
    if request.settings.eval_steps:
        raise TrainingError(
            "eval_steps needs data to measure on",
            hint="name a file of held-out rows (--validation FILE)",
            field="eval_steps",
        )


def _refuse_base(request: TrainRequest, checkpoint: Checkpoint) -> None:
    if checkpoint.adapters:
        raise TrainingError(
            f"{request.base} is an adapter, and training begins with a whole model",
            hint="merge it into its base first, by a recipe of that one model",
            path=request.base,
            field="base",
        )
    if checkpoint.config is None:
        raise TrainingError(
            f"{request.base} has no config.json, which says what kind of model it is",
            hint="take the model's whole folder",
            path=request.base,
            field="base",
        )
    if checkpoint.config.get("quantization_config"):
        raise TrainingError(
            f"{request.base} is quantised, and cannot be trained as it is",
            hint="take the model that it was made from, or write it in bfloat16 by a recipe of it alone",
            path=request.base,
            field="base",
        )
    out, folder = (Path(os.path.realpath(path)) for path in (request.out, checkpoint.folder))
    if out == folder or out.is_relative_to(folder):
        raise TrainingError(
            f"{request.out} is in the folder of the base, and nothing is written there",
            hint="choose another folder",
            path=request.out,
            field="out",
        )


def _classifier_inputs(checkpoint: Checkpoint, data: DataSet, validation: DataSet | None) -> Inputs:
    known = (checkpoint.config or {}).get("id2label") if is_classifier(checkpoint.config) else None
    wanted = sorted({row.label or "" for row in data.rows})
    if isinstance(known, dict) and all(str(key).isdigit() for key in known):
        names = tuple(str(known[key]) for key in sorted(known, key=int))
        if _are_known(wanted, names):
            return Inputs(checkpoint, data, validation, "classifier", names, False)
    if len(wanted) < 2:
        raise TrainingError(
            f"{data.path} has the one label {shown(wanted[0])}, and there is nothing to tell apart",
            hint="give rows of two labels or more",
            path=data.path,
            field="data",
        )
    return Inputs(checkpoint, data, validation, "classifier", tuple(wanted), True)


def _are_known(wanted: Sequence[str], names: Sequence[str]) -> bool:
    """Whether all are labels of the model, as core.data.encoding takes them: in any case, or as numbers."""
    folded = {name.casefold() for name in names}
    numbers = {str(number) for number in range(len(names))}
    return all(label.casefold() in folded for label in wanted) or set(wanted) <= numbers


def existing_document(out: Path) -> dict[str, Any] | None:
    """The document of a training that was begun in `out`; None where none was.

    Raises:
        OutputError: the folder is something else's.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", hint="choose a new folder", path=out, field="out")
    document = read_document(out)
    if document is not None:
        return document
    try:
        names = [] if not out.exists() else os.listdir(out)
    except OSError as error:
        raise write_error(error, out, "out") from error
    if names and OWN_FOLDER not in names:
        raise OutputError(
            f"{out} is there already, and holds no training",
            hint="choose a new folder",
            path=out,
            field="out",
        )
    return None


def refuse_others(document: Mapping[str, Any], request: TrainRequest, inputs: Inputs, out: Path) -> None:
    """Raises TrainingError where the training in `out` was begun with something else."""

    def other(field_name: str, before: Any, now: Any) -> TrainingError:
        return TrainingError(
            f"the training in {out} was begun with {field_name} {shown(before)}, and not {shown(now)}",
            hint=f"give the same ({option_of(field_name)}), or choose a new folder (--out)",
            path=out,
            field=field_name,
        )

    try:
        settings = TrainSettings.from_dict(document["settings"])
        if document["base"]["files"] != files_of(inputs.checkpoint):
            raise other("base", document["base"]["name"], f"{inputs.checkpoint.name}, whose files differ")
        if document["data"]["digest"] != inputs.data.digest:
            raise other("data", document["data"]["path"], f"{inputs.data.path}, which differs")
        before = document["validation"] and document["validation"]["digest"]
        now = inputs.validation and inputs.validation.digest
        if before != now:
            raise _other_validation(document, request, out)
        if document["data"]["rows"] != len(inputs.data.rows):
            raise other("data", document["data"]["rows"], len(inputs.data.rows))
        name = settings.differing(request.settings)
        if name is not None:
            raise other(name, getattr(settings, name), getattr(request.settings, name))
        if len(document["orders"]) > request.settings.orders:
            raise other("orders", len(document["orders"]), request.settings.orders)
    except (KeyError, TypeError) as error:
        raise TrainingError(
            f"{out / TRAINING_NAME} is damaged", path=out, hint="choose a new folder"
        ) from error


def _other_validation(document: Mapping[str, Any], request: TrainRequest, out: Path) -> TrainingError:
    """Files by their names: a digest says nothing to whoever has named another file, or none."""
    before, now = document["validation"], request.validation
    was = "without validation data" if before is None else f"with validation data {before['path']}"
    what = "none are given"
    if now is not None:
        what = f"{now} {'is given' if before is None else 'differs from them'}"
    to_do = "leave out --validation" if before is None else "give the same (--validation)"
    return TrainingError(
        f"the training in {out} was begun {was}, and {what}",
        hint=f"{to_do}, or choose a new folder (--out)",
        path=out,
        field="validation",
    )


def files_of(checkpoint: Checkpoint) -> list[list[Any]]:
    """Name, size and a digest of every file of weights: of the header, and of pieces of what follows.

    Not of all of it, which would take as long as reading a large model.
    """
    return [
        [shard.path.name, *digest_of(shard.path, full=False), shard.digest] for shard in checkpoint.shards
    ]
