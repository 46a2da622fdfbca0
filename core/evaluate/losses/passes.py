"""One batch through a model, and what becomes of memory where it was too large."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.encoding import Sample
from core.errors import MergeError
from core.evaluate.losses.forward import Forward
from core.evaluate.models.loading import LoadedModel
from core.pretrained.quiet import is_of_memory, transformers_errors

__all__ = ["counting", "free", "pass_of", "try_pass"]

Found = tuple[NDArray[np.float64], NDArray[np.bool_] | None]
"""Of each sample the sum of its losses, in nats, and of classifiers whether the class is right. [B]"""


def counting(samples: Sequence[Sample], task: str) -> list[Sample]:
    """Those of which anything counts."""
    return [sample for sample in samples if task == "classifier" or sample.scored.any()]


def pass_of(model: LoadedModel, forward: Forward, samples: Sequence[Sample]) -> Found:
    """What the model makes of a batch. Raises CheckpointError, or MergeError where memory lacks."""
    with transformers_errors(f"{model.name} fails", path=model.folder):
        if model.task == "classifier":
            return forward.classes(samples)
        return forward.losses(samples), None


def try_pass(model: LoadedModel, forward: Forward, samples: Sequence[Sample]) -> Found | None:
    """The same; None where memory lacks, of which as much is given back as can be."""
    try:
        return pass_of(model, forward, samples)
    except MergeError as error:
        if error.__cause__ is None or not is_of_memory(error.__cause__):
            raise
    # Out of the except clause, which holds on to the frames of what failed and all that is in them.
    free(model.device)
    return None


def free(device: str) -> None:
    """Give back what nothing holds any more."""
    gc.collect()
    if device != "cpu":
        import torch

        with contextlib.suppress(Exception):  # each driver in its own way
            getattr(torch, device.partition(":")[0]).empty_cache()
