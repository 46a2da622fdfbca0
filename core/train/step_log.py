"""A run's log: a line of JSON for each step, which goes on where the run does."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.disk import replace_file, write_error
from core.errors import TrainingError
from core.progress_file import finite_or_null
from core.small_files import read_small

__all__ = ["Step", "add_eval_loss", "cut_log", "log_step", "read_log", "sync_log"]

_MOST_LOG_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Step:
    """What one step gave.

    Attributes:
        order: the run, from 1.
        step, of: how many steps are done, and of how many.
        epoch: epochs done, with the share of the one in hand.
        loss: of the batch, before the step; nats a token (of a classifier: a row).
        learning_rate, grad_norm: of the step; the norm before it was clipped.
        eval_loss: on the validation data after the step, the mean over its rows, or None.
    """

    order: int
    step: int
    of: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    eval_loss: float | None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log.jsonl, as far as they are whole; none where there is no such file.

    Each has "step", "epoch", "loss", "learning_rate", "grad_norm", "at" (seconds since 1970), and where it
    was measured after that step "eval_loss": nats a token (of a classifier: a row), the mean over the rows;
    None where that was no number.

    Raises:
        TrainingError: it cannot be read.
    """
    if not path.exists():
        return []
    lines = []
    for line in read_small(path, _MOST_LOG_BYTES, TrainingError).split(b"\n")[:-1]:
        try:
            values = json.loads(line)
        except ValueError:
            break  # what follows a line torn by a power cut was written after it
        if not isinstance(values, dict) or type(values.get("step")) is not int:
            break
        lines.append(values)
    return lines


def log_step(path: Path, step: Step) -> None:
    """Append the line of a step. Raises OutputError."""
    values = {
        "step": step.step,
        "epoch": step.epoch,
        "loss": step.loss,
        "learning_rate": step.learning_rate,
        "grad_norm": step.grad_norm,
        "at": round(time.time(), 3),
    }
    if step.eval_loss is not None:
        values["eval_loss"] = step.eval_loss
    try:
        with open(path, "ab") as file:
            file.write(json.dumps(finite_or_null(values), allow_nan=False).encode() + b"\n")
    except OSError as error:
        raise write_error(error, path) from error


def add_eval_loss(path: Path, eval_loss: float) -> None:
    """Say what was measured after the last step of the log. Raises TrainingError or OutputError."""
    *before, last = read_log(path)
    lines = [*before, last | finite_or_null({"eval_loss": eval_loss})]
    replace_file(path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def sync_log(path: Path) -> None:
    """Return when the log is on the disk. Raises OutputError."""
    try:
        with open(path, "ab") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(error, path) from error


def cut_log(path: Path, step: int) -> None:
    """Drop the lines after `step`, which are written again. Raises TrainingError or OutputError."""
    if path.exists():
        kept = [line for line in read_log(path) if line["step"] <= step]
        replace_file(path, b"".join(json.dumps(line).encode() + b"\n" for line in kept))
