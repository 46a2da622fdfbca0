"""What is expected of each n before anything is merged: from the deltas of the sub-models alone."""

from __future__ import annotations

from collections.abc import Sequence

from core.cancel import CancelToken
from core.checkpoint.model import open_checkpoint
from core.deltas.inspection import inspect_models
from core.errors import MergeError
from core.recipe.stages import on_stage
from core.study.family import Family

__all__ = ["expected_left"]

_MOST_BYTES = 4_000_000_000
"""Of more, a sample is read: its curve is right to a small part of a percent."""


def expected_left(family: Family, cancel: CancelToken) -> Sequence[float]:
    """The share of parameters on a zero delta with n = 0, 1, … resamples, of equal weights. [21]

    Raises:
        MergeError: the models cannot be read.
        Cancelled: after `cancel`.
    """
    for name, model in zip(family.names, family.models, strict=True):
        if on_stage(model, family.plain.stages) is not None:
            raise MergeError(f"{name} is the result of a merge, and is not there to be looked at")
    size = sum(open_checkpoint(model).size_bytes for model in (family.base, *family.models))
    inspection = inspect_models(
        family.base, family.models, sample=min(1.0, _MOST_BYTES / max(size, 1)), cancel=cancel
    )
    statistics = inspection.statistics
    return () if statistics is None else [float(share) for share in statistics.zero_after_draw.value]
