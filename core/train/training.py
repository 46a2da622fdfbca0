"""Making K sub-models: one base, fine-tuned on the same data in K orders (arXiv:2410.03743, section 2).

Whatever is on the disk when the process ends is enough to go on: the same call again makes the same weights,
bit for bit with the same device, number of threads and versions of torch and transformers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.checkpoint.model import open_checkpoint
from core.checkpoint.owned_folder import owned_folder
from core.cores import begin_with
from core.data.encoding import Encoded
from core.data.remarks import long_rows_of, overlap_of
from core.disk import replace_file
from core.draws import philox_key
from core.errors import DataError, TrainingError, merge_errors_only
from core.pretrained.quiet import quiet
from core.train.beginning import begun_document, device_for
from core.train.disk import memory_sentence, require_disk
from core.train.document import sample_numbers, versions
from core.train.finishing import card, keep_best, write_recipes
from core.train.foreseen import foresee
from core.train.orders import batches_of, read_order
from core.train.request import (
    Inputs,
    TrainRequest,
    existing_document,
    read_inputs,
    refuse_others,
    require_accelerate,
)
from core.train.resuming import ResumePoints, remove_folder
from core.train.run_job import RunJob
from core.train.runs_folder import (
    Training,
    done_path,
    epoch_path,
    float32_path,
    log_path,
    order_path,
    read_training,
    resume_path,
)
from core.train.samples import padding_token, training_samples
from core.train.step_log import Step, read_log

__all__ = ["TrainRequest", "train_sub_models"]


@dataclass(frozen=True)
class _Callbacks:
    """Called with what happens."""

    note: Callable[[str], None]
    step: Callable[[Step], None]
    order_done: Callable[[int, Path], None]


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
        on_note: told sentences that the user should read; the first ones say what disk and memory it takes.
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
    nobody: Callable[..., None] = lambda *_: None  # noqa: E731
    callbacks = _Callbacks(on_note or nobody, on_step or nobody, on_order_done or nobody)
    cancel = cancel or CancelToken()
    require_accelerate()
    inputs = read_inputs(request, cancel)
    if inputs.validation is not None and (leak := overlap_of(inputs.validation, inputs.data)):
        callbacks.note(leak)
    for rows in (inputs.data, inputs.validation):
        if rows is not None and (long := long_rows_of(rows)):
            callbacks.note(long)
    out = request.out.absolute()
    _look_at_room(request, inputs, out, callbacks.note)
    cancel.raise_if_cancelled("training")
    with owned_folder(out, "training"):
        document = existing_document(out)  # another process may have begun since
        if document is not None:
            refuse_others(document, request, inputs, out)
        return _Work(request, inputs, out, callbacks, cancel).train(document)


def _look_at_room(request: TrainRequest, inputs: Inputs, out: Path, note: Callable[[str], None]) -> None:
    """Say what disk and memory it takes, unless all is done.

    Raises:
        TrainingError: the disk has less, or the training was begun with other settings.
    """
    document = existing_document(out)
    if document is not None:
        refuse_others(document, request, inputs, out)
        if all(done_path(out, number).is_file() for number in range(1, request.settings.orders + 1)):
            return
    foreseen = foresee(inputs, request.settings)
    note(require_disk(foreseen.disk, out))
    note(memory_sentence(foreseen.parameters))


class _Work:
    """One call, in a folder that is ours alone."""

    def __init__(
        self, request: TrainRequest, inputs: Inputs, out: Path, callbacks: _Callbacks, cancel: CancelToken
    ) -> None:
        self._request = request
        self._settings = request.settings
        self._inputs = inputs
        self._out = out
        self._callbacks = callbacks
        self._cancel = cancel
        self._base = out / "base" if inputs.new_head else inputs.checkpoint.folder.absolute()

    def train(self, document: dict[str, Any] | None) -> Training:
        left = [number for number in range(1, self._settings.orders + 1) if not self._is_done(number)]
        if document is None or left or len(document["orders"]) < self._settings.orders:
            document = self._train(document, left)
        for number in range(1, self._settings.orders + 1):
            remove_folder(resume_path(self._out, number))
        if self._settings.keep == "best":
            document = keep_best(document, self._out, self._settings)
        write_recipes(
            document,
            self._out,
            self._settings,
            base=self._base,
            resamples=self._request.resamples,
            note=self._callbacks.note,
        )
        found = read_training(self._out)
        for order in found.orders:
            if not order.epochs:
                raise TrainingError(
                    f"order {order.number} in {self._out} is done, and none of its models is there any more",
                    hint="put them back, or train into a new folder (--out)",
                    path=order.folder,
                )
        return found

    def _is_done(self, number: int) -> bool:
        return done_path(self._out, number).is_file()

    def _train(self, document: dict[str, Any] | None, left: Sequence[int]) -> dict[str, Any]:
        """Train the runs that are left; returns what training.json says then."""
        from core.train import models, trainer

        device, device_name = device_for(self._request.device)
        threads = self._request.threads or (document or {}).get("threads") or begin_with()
        with quiet(), trainer.deterministic(threads):
            if self._inputs.task == "causal":
                models.refuse_other_kinds(self._inputs.checkpoint)
            tokenizer = models.load_tokenizer(self._inputs.checkpoint.folder)
            padding = padding_token(tokenizer, self._inputs.checkpoint)
            samples = self._samples(tokenizer)
            validation = self._validation(tokenizer)
            document = begun_document(
                document,
                self._out,
                self._inputs,
                self._settings,
                samples,
                base=self._base,
                padding=padding,
                device=device_name,
                threads=threads,
                note=self._callbacks.note,
            )
            for number in left:
                self._cancel.raise_if_cancelled("training")
                batches = self._batches(number, document, samples)
                trainer.run_order(self._job(number, batches, samples, validation, device, padding))
                self._finish_order(number)
        return document

    # -- before

    def _samples(self, tokenizer: Any) -> Encoded:
        return training_samples(
            self._inputs.data, tokenizer, self._inputs, self._settings, self._callbacks.note, self._cancel
        )

    def _validation(self, tokenizer: Any) -> Encoded | None:
        found = self._inputs.validation
        if found is None:
            return None
        try:
            return training_samples(
                found, tokenizer, self._inputs, self._settings, self._callbacks.note, self._cancel
            )
        except DataError as error:
            error.field = "validation"
            raise

    # -- one run

    def _batches(self, number: int, document: Mapping[str, Any], samples: Encoded) -> list[NDArray[np.int64]]:
        """The samples of each step of a run, by their numbers, as the files of its order say."""
        place = {int(row): at for at, row in enumerate(sample_numbers(document["unit"], samples))}
        batches = []
        for epoch, digest in enumerate(document["orders"][number - 1]["digests"], start=1):
            order = read_order(order_path(self._out, number, epoch), digest)
            at = np.array([place[int(row)] for row in order], np.int64)
            batches += batches_of(at, self._settings.batch)
        return batches

    def _job(
        self,
        number: int,
        batches: Sequence[NDArray[np.int64]],
        samples: Encoded,
        validation: Encoded | None,
        device: str,
        padding: int,
    ) -> RunJob:
        from core.train import models

        inputs, settings = self._inputs, self._settings
        base = open_checkpoint(self._base) if inputs.new_head else inputs.checkpoint

        def save_as(model: Any, folder: Path, epoch: int, dtype: str) -> None:
            made_of = inputs.checkpoint.name, inputs.data.path.name
            readme = card(*made_of, settings, number, epoch, dtype)
            models.save_model(model, folder, source=self._base, dtype=dtype, readme=readme)

        def save(model: Any, epoch: int) -> None:
            if settings.also_float32 and epoch == settings.epochs:
                save_as(model, float32_path(self._out, number), epoch, "float32")
            save_as(model, epoch_path(self._out, number, epoch), epoch, settings.save_dtype)
            if settings.keep == "last" and epoch > 1:
                remove_folder(epoch_path(self._out, number, epoch - 1))

        return RunJob(
            number=number,
            settings=settings,
            load=lambda folder: (
                models.load_model(folder, inputs.task) if folder else models.load_base(base, inputs.task)
            ),
            save=save,
            samples=samples.samples,
            batches=batches,
            steps_an_epoch=len(batches) // settings.epochs,
            validation=() if validation is None else validation.samples,
            task=inputs.task,
            pad_id=padding,
            device=device,
            dropout_seed=philox_key(settings.seed, f"order-{number}")[0],
            points=ResumePoints(resume_path(self._out, number)),
            log=log_path(self._out, number),
            save_every_s=self._request.save_every_s,
            on_step=self._callbacks.step,
            cancel=self._cancel,
        )

    def _finish_order(self, number: int) -> None:
        values = {"steps": read_log(log_path(self._out, number))[-1]["step"], "versions": versions()}
        replace_file(done_path(self._out, number), json.dumps(values, indent=2).encode() + b"\n")
        self._callbacks.order_done(number, epoch_path(self._out, number, self._settings.epochs))
