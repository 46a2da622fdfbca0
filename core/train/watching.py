"""What is due after each step of a run. Imported when a training begins: it imports transformers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol

import transformers

from core.train.run_job import RunJob
from core.train.step_log import Step, add_eval_loss, log_step, read_log, sync_log

__all__ = ["Watch"]


class Validating(Protocol):
    """A Trainer, as far as what is due after a step asks it.

    Attributes:
        model: that is trained.
        last: of the last step the loss, the learning rate, and the norm of the gradient.
    """

    model: Any
    last: tuple[float, float, float]

    def validation_loss(self) -> float | None: ...


class Watch(transformers.TrainerCallback):  # type: ignore[misc]
    """Does what is due after a step: validate, log, save the epoch, a resume checkpoint.

    In this order, so that all that belongs to a step is on the disk before a checkpoint says that it is done.
    But for the validation of a run that is cancelled: its line in the log has no loss then, and whoever goes
    on from the checkpoint makes up for it first.

    Attributes:
        stopped: whether the run ends before its last step, or before that was validated.
    """

    def __init__(self, trainer: Validating, job: RunJob) -> None:
        self._trainer = trainer
        self._job = job
        self._saved_at = time.monotonic()
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        job, step = self._job, int(state.global_step)
        loss, rate, norm = self._trainer.last
        done = Step(job.number, step, len(job.batches), step / job.steps_an_epoch, loss, rate, norm, None)
        if self._is_validated(step):
            eval_loss = self._trainer.validation_loss()
            if eval_loss is None:
                log_step(job.log, done)
                self._stop(control)
                return
            done = replace(done, eval_loss=eval_loss)
        log_step(job.log, done)
        if step % job.steps_an_epoch == 0:
            sync_log(job.log)
            job.save(self._trainer.model, step // job.steps_an_epoch)
        job.on_step(done)
        if step == done.of:
            return
        if job.cancel.cancelled:
            self._stop(control)
        elif time.monotonic() - self._saved_at >= job.save_every_s:
            self._save(control)

    def make_up_for(self, step: int) -> None:
        """Validate after the last step that was done, and save its epoch, where that was left undone."""
        job = self._job
        last = (read_log(job.log) or [{}])[-1]
        if last.get("step") != step or "eval_loss" in last or not self._is_validated(step):
            return
        eval_loss = self._trainer.validation_loss()
        if eval_loss is None:
            self.stopped = True
            return
        if step % job.steps_an_epoch == 0:
            job.save(self._trainer.model, step // job.steps_an_epoch)
        add_eval_loss(job.log, eval_loss)  # last, which says that all of it is done
        epoch, loss, rate, norm = (last[name] for name in ("epoch", "loss", "learning_rate", "grad_norm"))
        job.on_step(Step(job.number, step, len(job.batches), epoch, loss, rate, norm, eval_loss))

    def _is_validated(self, step: int) -> bool:
        job, every = self._job, self._job.settings.eval_steps
        return bool(job.validation) and (step % job.steps_an_epoch == 0 or (every > 0 and step % every == 0))

    def _stop(self, control: Any) -> None:
        self.stopped = True
        control.should_training_stop = True
        self._save(control)

    def _save(self, control: Any) -> None:
        self._job.points.make_room()
        control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        sync_log(self._job.log)
        self._job.points.seal(int(state.global_step))
        self._saved_at = time.monotonic()
