"""What the headers of a model say, for the list of models."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

from gui.failure import Failure

__all__ = ["ModelSummary", "read_summary"]


@dataclass(frozen=True)
class ModelSummary:
    """What the headers of a model say.

    Attributes:
        folder: where it is.
        name: how it is called.
        parameters: elements of all tensors.
        dtypes: its floating-point types, the one with the most bytes first.
        size_bytes: of its weights.
        adapter: what it puts on which model, in words; "" for a whole model. The numbers are the adapter's.
        adapter_kind: the same in two words; "" for a whole model.
        problem: why it is no model; the numbers are zero then.
        is_made: whether a merge of the same recipe makes it, so that there is nothing to read yet.
    """

    folder: Path
    name: str
    parameters: int = 0
    dtypes: tuple[str, ...] = ()
    size_bytes: int = 0
    adapter: str = ""
    adapter_kind: str = ""
    problem: Failure | None = None
    is_made: bool = False


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
    own = [tensor for shard in model.shards for tensor in shard.tensors]
    tensors = own if model.adapters else list(model.tensors.values())
    for tensor in tensors:
        if tensor.dtype.is_float:
            sizes[tensor.dtype.name] += tensor.size_bytes
    return ModelSummary(
        folder=folder,
        name=model.name,
        parameters=sum(prod(tensor.shape) for tensor in tensors),
        dtypes=tuple(name for name, _ in sizes.most_common()),
        size_bytes=sum(tensor.size_bytes for tensor in tensors),
        adapter=model.adapter_text,
        adapter_kind=f"{len(model.adapters)} LoRA"
        if len(model.adapters) > 1
        else "".join(adapter.short_text for adapter in model.adapters),
    )
