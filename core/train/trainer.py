"""One run: transformers' Trainer, given its batches as lists of samples. Imported when a training begins.

A step is one batch of the order. Its gradient is that of the mean loss over all tokens that count in the
batch (over all rows, of a classifier), added up over micro-batches here and not in the Trainer's own way, so
that the last batch of an epoch, which may be smaller, is an ordinary step. All epochs are one of the
Trainer's, whose place is then one number: the step.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from core.data.encoding import Sample
from core.errors import Cancelled, MergeError, TrainingError
from core.train.batches import counted, loss_sum, micro_batches, padded, row_losses
from core.train.faults import in_words, not_a_number
from core.train.run_job import RunJob
from core.train.step_log import cut_log
from core.train.watching import Watch

__all__ = ["deterministic", "run_order"]


@contextlib.contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Have torch use `threads` threads and only algorithms that give the same bits each time.

    On a GPU cuBLAS has to be told by the environment before it is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    memory: Any = torch.utils.deterministic  # which sets and gets by a class that mypy does not see through
    filled = memory.fill_uninitialized_memory
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        memory.fill_uninitialized_memory = filled
        random.setstate(states[0])  # all of which the Trainer seeds
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])


def run_order(job: RunJob) -> None:
    """Train one run to its end, from its newest resume checkpoint that is whole or from the beginning.

    Raises:
        TrainingError: the loss is not a number, or there is not enough memory.
        OutputError: something cannot be written.
        Cancelled: the job was cancelled; a resume checkpoint was written unless it was hurried.
    """
    found = job.points.newest()
    cut_log(job.log, 0 if found is None else found[0])
    stopped = False
    try:
        stopped = _train(job, found)
    except MergeError:
        raise
    except Exception as error:
        said = in_words(error, job.number, job.settings.micro_batch, job.points.folder)
        if said is None:
            raise
        raise said from error
    finally:
        # The Trainer and its model hold one another: without this they stay while the next run loads its own.
        gc.collect()
        if job.device == "cuda":
            torch.cuda.empty_cache()
    if stopped:
        raise Cancelled("the training was cancelled")


def _train(job: RunJob, found: tuple[int, Path] | None) -> bool:
    """Train from a resume checkpoint, of which the step is given too, or from the beginning.

    Returns whether it was stopped before its end.
    """
    if found is None:
        trainer = _OrderTrainer(job, job.load(None))
        trainer.train()
        return trainer.watch.stopped
    step, source = found
    trainer = _OrderTrainer(job, job.load(source))
    trainer.watch.make_up_for(step)
    if not trainer.watch.stopped and step < len(job.batches):
        trainer.train(resume_from_checkpoint=str(source))
    return trainer.watch.stopped


class _OrderTrainer(transformers.Trainer):  # type: ignore[misc]
    """A Trainer whose data are the batches of a run, a step each."""

    def __init__(self, job: RunJob, model: Any) -> None:
        self.job = job
        self.watch = Watch(self, job)
        model.config.use_cache = False
        if model.config.pad_token_id is None:  # a decoder that classifies looks for the last other token
            model.config.pad_token_id = job.pad_id
        super().__init__(model=model, args=_arguments(job), callbacks=[self.watch])
        self.remove_callback(transformers.PrinterCallback)
        self.last: tuple[float, float, float] = (0.0, 0.0, 0.0)  # loss, learning rate, norm

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        steps: Any = list(self.job.batches)
        return torch.utils.data.DataLoader(
            steps, batch_size=1, shuffle=False, collate_fn=_only, num_workers=0
        )

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """The gradient of one batch."""
        job = self.job
        model.train()
        samples = [job.samples[number] for number in inputs["batch"]]
        count = counted(samples, job.task)
        total = torch.zeros((), device=self.args.device)
        for part in micro_batches(samples, job.settings.micro_batch):
            if job.cancel.hurried:
                raise Cancelled("the training was cancelled")
            with self._mixed_precision():
                logits = _logits(model, part, job, self.args.device)
            loss = loss_sum(logits, part, job.task) / count
            self.accelerator.backward(loss)
            total += loss.detach()
            del logits, loss
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), job.settings.clip)
        loss_now, norm_now = float(total), float(norm)
        if not (math.isfinite(loss_now) and math.isfinite(norm_now)):
            raise not_a_number(job.number, self.state.global_step + 1, loss_now, norm_now)
        self.last = loss_now, float(self.optimizer.param_groups[0]["lr"]), norm_now
        return total

    def _mixed_precision(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 where a device has it. Not the Trainer's, which would also be that of validation."""
        if self.args.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
        return contextlib.nullcontext()

    def validation_loss(self) -> float | None:
        """The mean over the rows of the validation data of their losses a token; float32 on every device.

        None once the job was cancelled: validation data may take far longer than a step.
        """
        job = self.job
        by_row: dict[int, list[float]] = {}
        self.model.eval()
        with torch.no_grad():
            for part in micro_batches(job.validation, job.settings.micro_batch):
                if job.cancel.cancelled:
                    return None
                logits = _logits(self.model, part, job, self.args.device)
                for sample, loss in zip(part, row_losses(logits, part, job.task).tolist(), strict=True):
                    sums = by_row.setdefault(sample.row, [0.0, 0.0])
                    sums[0] += loss
                    sums[1] += counted([sample], job.task)
        self.model.train()
        return math.fsum(loss / count for loss, count in by_row.values()) / len(by_row)


def _logits(model: Any, samples: Sequence[Sample], job: RunJob, device: Any) -> torch.Tensor:
    try:
        logits: torch.Tensor = model(**padded(samples, job.pad_id, device)).logits
    except (ValueError, TypeError, IndexError, NotImplementedError) as error:
        raise TrainingError(
            f"order {job.number}: the model cannot be trained: {error}",
            hint="take a model that transformers trains as it is",
            field="base",
        ) from error
    return logits


def _only(items: Sequence[Any]) -> dict[str, Any]:
    (batch,) = items
    return {"batch": batch}


def _arguments(job: RunJob) -> Any:
    settings = job.settings
    steps = len(job.batches)
    arguments = transformers.TrainingArguments(
        output_dir=str(job.points.writing),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=int(settings.warm_up * steps),
        weight_decay=settings.weight_decay,
        optim="adamw_torch",
        max_grad_norm=0.0,  # clipped here, where its norm is known
        use_cpu=job.device == "cpu",
        seed=job.dropout_seed,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    if arguments.n_gpu > 1:  # several cards would share each batch, and round otherwise
        arguments._n_gpu = 1
    return arguments
