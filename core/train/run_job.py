"""What one run of a training is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.data.encoding import Sample
from core.train.resuming import ResumePoints
from core.train.settings import TrainSettings
from core.train.step_log import Step

__all__ = ["RunJob"]


@dataclass(frozen=True)
class RunJob:
    """All that one run needs.

    Attributes:
        number: from 1.
        load: loads the model to begin with, from the base or from a resume checkpoint's folder.
        save: writes the model after an epoch.
        samples: of the data.
        batches: the samples of each step, by their number, for all epochs.
        steps_an_epoch: the ends of epochs are its multiples.
        validation: samples of the validation data; empty for none.
        task: "causal" or "classifier".
        pad_id: the token that is padded with.
        device: "cpu" or "cuda".
        dropout_seed: of all that is random in the model.
        points: where its resume checkpoints are.
        log: its log.jsonl.
        save_every_s: seconds between resume checkpoints.
        on_step: told of every step.
    """

    number: int
    settings: TrainSettings
    load: Callable[[Path | None], Any]
    save: Callable[[Any, int], None]
    samples: Sequence[Sample]
    batches: Sequence[NDArray[np.int64]]
    steps_an_epoch: int
    validation: Sequence[Sample]
    task: str
    pad_id: int
    device: str
    dropout_seed: int
    points: ResumePoints
    log: Path
    save_every_s: float
    on_step: Callable[[Step], None]
    cancel: CancelToken = field(default_factory=CancelToken)
