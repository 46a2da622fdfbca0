"""Making K sub-models: one base, fine-tuned on the same data in K orders (arXiv:2410.03743, section 2).

Whatever is on the disk when the process ends is enough to go on: the same call again makes the same weights,
bit for bit with the same device, number of threads and versions of torch and transformers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from core.cancel import CancelToken
from core.checkpoint.model import Checkpoint, open_checkpoint
from core.checkpoint.ownership import OWN_FOLDER, Ownership, new_run_id
from core.cores import begin_with
from core.data.encoding import Encoded, encode
from core.data.rows import DataSet, read_data
from core.disk import OpenFolder, replace_file, write_error
from core.draws import philox_key
from core.errors import DataError, OutputError, RunningError, TrainingError, addressed, merge_errors_only
from core.text import shown
from core.train.disk import disk_need, require_disk
from core.train.orders import batches_of, digest_of_order, order_text, read_order, rows_in_order
from core.train.resuming import ResumePoints, remove_folder
from core.train.runs_folder import (
    FORMAT,
    SAMPLES_NAME,
    TRAINING_NAME,
    Training,
    done_path,
    epoch_path,
    log_path,
    order_folder,
    order_path,
    read_document,
    read_log,
    read_training,
    resume_path,
)
from core.train.settings import TrainSettings, option_of

if False:  # for types only: it imports torch
    from core.train.trainer import Step

__all__ = ["TrainRequest", "train_sub_models"]

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
class _Inputs:
    """What was read of a request."""

    checkpoint: Checkpoint
    data: DataSet
    validation: DataSet | None
    task: str
    labels: tuple[str, ...] | None
    new_head: bool


@dataclass
class _Said:
    note: Callable[[str], None]
    step: Callable[[Step], None]
    order_done: Callable[[int, Path], None]
    cancel: CancelToken = field(default_factory=CancelToken)


@merge_errors_only()
def train_sub_models(
    request: TrainRequest,
    *,
    on_note: Callable[[str], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
    on_order_done: Callable[[int, Path], None] | None = None,
    cancel: CancelToken | None = None,
) -> Training:
    """Make the sub-models, or go on with those that are not finished.

    Args:
        request: what is asked for.
        on_note: told sentences that the user should read.
        on_step: told of every step, in this thread.
        on_order_done: told the number of a run that is done, and the folder of its last epoch.
        cancel: stops it after the step in hand, from where it goes on later.

    Raises:
        TrainingError: it cannot begin, go on or end well, or was begun with other settings.
        DataError, CheckpointError: the data or the base cannot be used.
        OutputError: the folder is taken, or cannot be written.
        RunningError: another process trains into it.
        Cancelled: the job was cancelled.
    """
    said = _Said(
        on_note or (lambda _: None),
        on_step or (lambda _: None),
        on_order_done or (lambda *_: None),
        cancel or CancelToken(),
    )
    _require_accelerate()
    inputs = _read_inputs(request)
    out = request.out.absolute()
    document = _existing(out)
    if document is not None:
        _refuse_others(document, request, inputs, out)
    parameters = sum(
        int(np.prod(tensor.shape)) for tensor in inputs.checkpoint.tensors.values() if tensor.dtype.is_float
    )
    new_base = inputs.checkpoint.size_bytes if inputs.new_head else 0
    said.note(require_disk(disk_need(parameters, request.settings, new_base_bytes=new_base), out))
    said.cancel.raise_if_cancelled()
    with _owned(out):
        document = _existing(out)  # another process may have begun since
        if document is not None:
            _refuse_others(document, request, inputs, out)
        return _Work(request, inputs, out, said).train(document)


class _Work:
    """One call, in a folder that is ours alone."""

    def __init__(self, request: TrainRequest, inputs: _Inputs, out: Path, said: _Said) -> None:
        self._request = request
        self._settings = request.settings
        self._inputs = inputs
        self._out = out
        self._said = said

    def train(self, document: dict[str, Any] | None) -> Training:
        from core.train import models, trainer

        with models.quietly():
            device, device_name = _device(self._request.device)
            threads = self._request.threads or (document or {}).get("threads") or begin_with()
            base = self._out / "base" if self._inputs.new_head else self._inputs.checkpoint.folder
            with trainer.deterministic(threads):
                tokenizer = models.load_tokenizer(self._inputs.checkpoint.folder)
                pad_id = _pad_id(tokenizer)
                if self._inputs.new_head and (document is None or not base.is_dir()):
                    self._make_base(base, pad_id)
                samples = self._encode(self._inputs.data, tokenizer)
                validation = self._encode_validation(tokenizer)
                if document is None:
                    document = self._begin(samples, device_name, threads)
                else:
                    self._check_same(document, samples, device_name, threads)
                document = self._add_orders(document, samples)
                trained = False
                for number in range(1, self._settings.orders + 1):
                    if done_path(self._out, number).is_file():
                        remove_folder(resume_path(self._out, number))
                        continue
                    self._said.cancel.raise_if_cancelled()
                    job = self._job(number, document, samples, validation, base, device, pad_id)
                    trainer.run_order(job)
                    self._finish_order(number)
                    trained = True
        return self._finish(document, trained)

    # -- before

    def _make_base(self, base: Path, pad_id: int) -> None:
        from core.train import models

        stored = {tensor.dtype.torch_name for tensor in self._inputs.checkpoint.tensors.values()}
        dtype = stored.pop() if len(stored) == 1 else "float32"
        models.make_new_head(
            self._inputs.checkpoint.folder,
            base,
            labels=self._inputs.labels or (),
            seed=self._settings.seed,
            dtype=dtype,
            pad_id=pad_id,
        )
        self._said.note(
            f"{self._inputs.checkpoint.name} has no head for the {len(self._inputs.labels or ())} labels of "
            f"the data: a new one was made from the seed, the same for all orders; the base of the sub-models "
            f"is {base}"
        )

    def _encode(self, data: DataSet, tokenizer: Any) -> Encoded:
        encoded = encode(
            data,
            tokenizer,
            max_length=self._settings.max_length,
            task=self._inputs.task,
            labels=self._inputs.labels,
        )
        for note in (*data.notes, *encoded.notes):
            self._said.note(note)
        counting = [
            sample
            for sample in encoded.samples
            if self._inputs.task == "classifier" or bool(sample.scored[1:].any())
        ]
        if len(counting) < len(encoded.samples):
            self._said.note(
                f"{len(encoded.samples) - len(counting):,} samples of {data.path.name} have no token that counts "
                f"within {self._settings.max_length:,} tokens, and are left out"
            )
        if not counting:
            raise DataError(
                f"{data.path} has no token that counts within {self._settings.max_length:,} tokens",
                hint="raise --max-length",
                path=data.path,
                field="data",
            )
        return replace(encoded, samples=tuple(counting))

    def _encode_validation(self, tokenizer: Any) -> tuple[Any, ...]:
        found = self._inputs.validation
        if found is None:
            return ()
        with addressed(field="validation"):
            return self._encode(found, tokenizer).samples

    def _begin(self, samples: Encoded, device: str, threads: int) -> dict[str, Any]:
        inputs = self._inputs
        rows = [sample.row for sample in samples.samples]
        unit = "row" if len(set(rows)) == len(rows) else "window"
        if unit == "window":
            replace_file(self._out / SAMPLES_NAME, order_text(rows))
        validation = inputs.validation
        return {
            "format": FORMAT,
            "base": {
                "name": inputs.checkpoint.name,
                "path": str(inputs.checkpoint.folder.absolute()),
                "files": _files_of(inputs.checkpoint),
                "new_head": inputs.new_head,
            },
            "data": _data_values(inputs.data),
            "validation": None if validation is None else _data_values(validation),
            "task": inputs.task,
            "labels": None if inputs.labels is None else list(inputs.labels),
            "unit": unit,
            "samples": len(rows),
            "samples_digest": _samples_digest(samples),
            "settings": self._settings.as_dict(),
            "orders": [],
            "device": device,
            "threads": threads,
            "versions": _versions(),
        }

    def _check_same(self, document: Mapping[str, Any], samples: Encoded, device: str, threads: int) -> None:
        if document["samples_digest"] != _samples_digest(samples):
            raise TrainingError(
                f"the rows of {self._inputs.data.path.name} are other tokens than when the training in "
                f"{self._out} began: its tokenizer or the program's version has changed",
                hint="put the tokenizer back as it was, or train into a new folder",
                path=self._out,
                field="data",
            )
        for name, now in (*_versions().items(), ("device", device), ("threads", threads)):
            before = document["versions"].get(name) if name in document["versions"] else document.get(name)
            if before != now:
                self._said.note(
                    f"{name}: the training began with {before} and goes on with {now}: its last bits may differ"
                )
        if document["settings"]["micro_batch"] != self._settings.micro_batch:
            self._said.note("micro_batch is another than at the beginning: the last bits may differ")

    def _add_orders(self, document: dict[str, Any], samples: Encoded) -> dict[str, Any]:
        """Write the orders that are not there yet, and then that they are."""
        digests = list(document["orders"])
        if len(digests) >= self._settings.orders:
            return document
        numbers = _numbers(document["unit"], samples)
        for number in range(len(digests) + 1, self._settings.orders + 1):
            place = order_path(self._out, number, 1).parent
            _make_folders(place)
            found = []
            for epoch in range(1, self._settings.epochs + 1):
                order = rows_in_order(
                    numbers,
                    seed=self._settings.seed,
                    order=number,
                    epoch=epoch,
                    batch=self._settings.batch,
                    same_batches=self._settings.same_batches,
                )
                text = order_text(order)
                replace_file(order_path(self._out, number, epoch), text)
                found.append(digest_of_order(text))
            digests.append({"digests": found})
        settings = {**document["settings"], "orders": self._settings.orders}
        document = {**document, "orders": digests, "settings": settings}
        _write_document(self._out, document)
        return document

    # -- one run

    def _job(
        self,
        number: int,
        document: Mapping[str, Any],
        samples: Encoded,
        validation: Sequence[Any],
        base: Path,
        device: str,
        pad_id: int,
    ) -> Any:
        from core.train import models, trainer

        place = {int(row): at for at, row in enumerate(_numbers(document["unit"], samples))}
        batches = []
        for epoch, digest in enumerate(document["orders"][number - 1]["digests"], start=1):
            path = order_path(self._out, number, epoch)
            order = read_order(path, digest)
            try:
                at = np.array([place[int(row)] for row in order], np.int64)
            except KeyError as error:
                raise TrainingError(f"{path} names the row {error}, which is not trained on", path=path) from error
            batches += batches_of(at, self._settings.batch)
        task, settings, name = self._inputs.task, self._settings, self._inputs.checkpoint.name

        def save(model: Any, epoch: int) -> None:
            models.save_model(
                model,
                epoch_path(self._out, number, epoch),
                source=base,
                dtype=settings.save_dtype,
                readme=_readme(name, self._inputs.data.path.name, settings, number, epoch),
            )
            if settings.keep == "last" and epoch > 1:
                remove_folder(epoch_path(self._out, number, epoch - 1))

        return trainer.RunJob(
            number=number,
            settings=settings,
            load=lambda folder: models.load_model(base if folder is None else folder, task),
            save=save,
            samples=samples.samples,
            batches=batches,
            steps_an_epoch=len(batches) // settings.epochs,
            validation=validation,
            task=task,
            pad_id=pad_id,
            device=device,
            dropout_seed=philox_key(settings.seed, f"order-{number}")[0],
            points=ResumePoints(resume_path(self._out, number)),
            log=log_path(self._out, number),
            save_every_s=self._request.save_every_s,
            on_step=self._said.step,
            cancel=self._said.cancel,
        )

    def _finish_order(self, number: int) -> None:
        last = epoch_path(self._out, number, self._settings.epochs)
        values = {"steps": read_log(log_path(self._out, number))[-1]["step"], "versions": _versions()}
        replace_file(done_path(self._out, number), json.dumps(values, indent=2).encode() + b"\n")
        remove_folder(resume_path(self._out, number))
        self._said.order_done(number, last)

    # -- after

    def _finish(self, document: dict[str, Any], trained: bool) -> Training:
        if self._settings.keep == "best" and (trained or "best_epoch" not in document):
            document = {**document, "best_epoch": self._best_epoch()}
            _write_document(self._out, document)
        if self._settings.keep == "best":
            for number in range(1, self._settings.orders + 1):
                for epoch in range(1, self._settings.epochs + 1):
                    if epoch != document["best_epoch"]:
                        remove_folder(epoch_path(self._out, number, epoch))
        self._write_recipes(document, trained)
        return read_training(self._out)

    def _best_epoch(self) -> int:
        """The one after which the mean validation loss over the runs is lowest; the first of equals."""
        losses = np.zeros((self._settings.orders, self._settings.epochs))
        for number in range(1, self._settings.orders + 1):
            log = read_log(log_path(self._out, number))
            for epoch in range(1, self._settings.epochs + 1):
                step = len(log) // self._settings.epochs * epoch
                losses[number - 1, epoch - 1] = log[step - 1]["eval_loss"]
        return int(losses.mean(0).argmin()) + 1

    def _write_recipes(self, document: Mapping[str, Any], trained: bool) -> None:
        settings = self._settings
        if settings.orders < 2:
            return
        last = document["best_epoch"] if settings.keep == "best" else settings.epochs
        wanted = {"recipe.yaml": last}
        if settings.keep == "all" and settings.epochs > 1:
            wanted |= {f"recipe-epoch-{epoch}.yaml": epoch for epoch in range(1, settings.epochs + 1)}
        for name, epoch in wanted.items():
            if trained or not (self._out / name).exists():
                replace_file(self._out / name, self._recipe(epoch))

    def _recipe(self, epoch: int) -> bytes:
        base = "base" if self._inputs.new_head else str(self._inputs.checkpoint.folder.absolute())
        values = {
            "merge_method": "parameter_selection",
            "base_model": base,
            "models": [
                {"model": f"order-{number}/epoch-{epoch}"} for number in range(1, self._settings.orders + 1)
            ],
            "parameters": {"resamples": self._request.resamples},
            "seed": 0,
        }
        said = f"# Merges the sub-models of all {self._settings.orders} orders after epoch {epoch}.\n"
        return (said + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).encode()


# -- reading what is asked


def _require_accelerate() -> None:
    if importlib.util.find_spec("accelerate") is None:
        raise TrainingError(
            "training needs the package accelerate, which is not installed",
            hint=f"install it: pip install '{ACCELERATE}'",
        )


def _read_inputs(request: TrainRequest) -> _Inputs:
    settings = request.settings
    if settings.keep == "best" and request.validation is None:
        raise TrainingError(
            "keeping the best epoch needs data to measure it on",
            hint="name a file of held-out rows (--validation FILE), or keep all or the last",
            field="keep",
        )
    if settings.eval_steps and request.validation is None:
        raise TrainingError(
            "eval_steps needs data to measure on",
            hint="name a file of held-out rows (--validation FILE)",
            field="eval_steps",
        )
    with addressed(field="base"):
        checkpoint = open_checkpoint(request.base)
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
    with addressed(field="data"):
        data = read_data(request.data, skip_bad_rows=request.skip_bad_rows)
    validation = None
    if request.validation is not None:
        with addressed(field="validation"):
            validation = read_data(request.validation, skip_bad_rows=request.skip_bad_rows)
    if data.kind != "label":
        return _Inputs(checkpoint, data, validation, "causal", None, False)
    return _classifier_inputs(checkpoint, data, validation)


def _classifier_inputs(checkpoint: Checkpoint, data: DataSet, validation: DataSet | None) -> _Inputs:
    config = checkpoint.config or {}
    kinds = config.get("architectures") or ()
    is_classifier = any(str(kind).endswith("ForSequenceClassification") for kind in kinds)
    known = config.get("id2label") if is_classifier else None
    wanted = sorted({row.label or "" for row in data.rows})
    if isinstance(known, dict) and all(str(key).isdigit() for key in known):
        names = tuple(str(known[key]) for key in sorted(known, key=int))
        if set(wanted) <= set(names):
            return _Inputs(checkpoint, data, validation, "classifier", names, False)
    if len(wanted) < 2:
        raise TrainingError(
            f"{data.path} has the one label {shown(wanted[0])}, and there is nothing to tell apart",
            path=data.path,
            field="data",
        )
    return _Inputs(checkpoint, data, validation, "classifier", tuple(wanted), True)


def _existing(out: Path) -> dict[str, Any] | None:
    """The document of a training that was begun in `out`; None where none was.

    Raises:
        OutputError: the folder is something else's.
    """
    document = read_document(out)
    if document is not None:
        return document
    try:
        names = [] if not out.exists() else os.listdir(out)
    except OSError as error:
        raise write_error(error, out, "out") from error
    if names and OWN_FOLDER not in names:
        raise OutputError(
            f"{out} is there already, and holds no training", hint="choose a new folder", path=out, field="out"
        )
    return None


def _refuse_others(document: Mapping[str, Any], request: TrainRequest, inputs: _Inputs, out: Path) -> None:
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
        if document["base"]["files"] != _files_of(inputs.checkpoint):
            raise other("base", document["base"]["name"], f"{inputs.checkpoint.name}, whose files differ")
        if document["data"]["digest"] != inputs.data.digest:
            raise other("data", document["data"]["path"], f"{inputs.data.path}, which differs")
        before = document["validation"] and document["validation"]["digest"]
        now = inputs.validation and inputs.validation.digest
        if before != now:
            raise other("validation", before, now)
        if document["data"]["rows"] != len(inputs.data.rows):
            raise other("data", document["data"]["rows"], len(inputs.data.rows))
        name = settings.differing(request.settings)
        if name is not None:
            raise other(name, getattr(settings, name), getattr(request.settings, name))
        if len(document["orders"]) > request.settings.orders:
            raise other("orders", len(document["orders"]), request.settings.orders)
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{out / TRAINING_NAME} is damaged", path=out, hint="choose a new folder") from error


@contextlib.contextmanager
def _owned(out: Path) -> Iterator[None]:
    """That this process alone trains into the folder."""
    _make_folders(out / OWN_FOLDER)
    try:
        folder = OpenFolder(out)
    except OSError as error:
        raise write_error(error, out, "out") from error
    with folder:
        try:
            ownership = Ownership(folder, new_run_id())
        except RunningError as error:
            error.message = error.message.replace("another merge is writing", "another training is writing")
            error.hint = "wait until it is done, or choose another folder"
            raise
        try:
            yield
        finally:
            ownership.release()


# -- values


def _numbers(unit: str, samples: Encoded) -> np.ndarray[Any, np.dtype[np.int64]]:
    """What an order's file calls each sample, ascending. [samples]"""
    if unit == "window":
        return np.arange(len(samples.samples), dtype=np.int64)
    return np.array([sample.row for sample in samples.samples], np.int64)


def _samples_digest(samples: Encoded) -> str:
    digest = blake2b(digest_size=16)
    for sample in samples.samples:
        label = -1 if sample.label is None else sample.label
        digest.update(np.array([sample.row, len(sample.ids), label], "<i8").tobytes())
        digest.update(sample.ids.astype("<i4").tobytes())
        digest.update(np.packbits(sample.scored).tobytes())
    return digest.hexdigest()


def _files_of(checkpoint: Checkpoint) -> list[list[Any]]:
    """Name, size and header digest of every file of weights."""
    return [[shard.path.name, shard.path.stat().st_size, shard.digest] for shard in checkpoint.shards]


def _data_values(data: DataSet) -> dict[str, Any]:
    return {
        "path": str(data.path.absolute()),
        "digest": data.digest,
        "kind": data.kind,
        "rows": len(data.rows),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "transformers", "accelerate", "paramosaic"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _device(wanted: str) -> tuple[str, str]:
    """ "cpu" or "cuda", and what it is called."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device", hint="use --device cpu", field="device")
    if wanted != "cpu" and torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name(0)
    return "cpu", f"{platform.machine()} CPU"


def _pad_id(tokenizer: Any) -> int:
    for found in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if isinstance(found, int):
            return found
    return 0


def _readme(base: str, data: str, settings: TrainSettings, number: int, epoch: int) -> str:
    return (
        "---\nlibrary_name: transformers\ntags: [paramosaic]\n---\n\n"
        f"# Order {number}, epoch {epoch}\n\n"
        f"A sub-model for merging, made with Paramosaic: `{base}`, fine-tuned on `{data}` in order {number} of "
        f"{settings.orders}, after {epoch} of {settings.epochs} epochs. AdamW, learning rate "
        f"{settings.learning_rate:g} ({settings.schedule}, {settings.warm_up:.0%} warm-up), "
        f"{settings.batch} samples a step, at most {settings.max_length:,} tokens each, saved as "
        f"{settings.save_dtype}.\n"
    )


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder, "out") from error


def _write_document(out: Path, document: Mapping[str, Any]) -> None:
    replace_file(out / TRAINING_NAME, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
