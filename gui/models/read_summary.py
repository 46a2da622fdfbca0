"""Reading what the headers of a model say."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path

from gui.failure import Failure
from gui.models.summary import ModelSummary

__all__ = [
    "read_summary",
]


def read_summary(folder: Path) -> ModelSummary:
    """What the headers in `folder` say; a problem where they say nothing."""
    try:
        return _summary(folder)
    except Exception as error:
        return ModelSummary(folder, folder.name or str(folder), problem=Failure.of(error))


def _summary(folder: Path) -> ModelSummary:
    from core.checkpoint.model import open_checkpoint

    model = open_checkpoint(folder)
    sizes: Counter[str] = Counter()
    for tensor in model.tensors.values():
        if tensor.dtype.is_float:
            sizes[tensor.dtype.name] += tensor.size_bytes
    return ModelSummary(
        folder=folder,
        name=model.name,
        parameters=sum(prod(tensor.shape) for tensor in model.tensors.values()),
        dtypes=tuple(name for name, _ in sizes.most_common()),
        size_bytes=model.size_bytes,
    )
