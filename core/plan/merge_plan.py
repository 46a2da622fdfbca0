"""A plan as a value: every output tensor, where its bytes come from and go to, and how it is cut up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from core.checkpoint.headers import ShardHeader, StoredTensor
from core.checkpoint.model import Checkpoint
from core.checkpoint.shard_layout import OutputTensor, Placement, ShardLayout, index_json
from core.digest import PIECE_BYTES
from core.dtypes import DType
from core.kernels.interface import MapJob
from core.recipe.recipe import Recipe
from core.recipe.rules import ListedValues

__all__ = [
    "CHUNK_BYTES",
    "MEMORY_BUDGET_BYTES",
    "LedgerEntry",
    "MergePlan",
    "TensorPlan",
    "chunk_elements",
    "usable_threads",
]

MEMORY_BUDGET_BYTES = 256 * 1024**2
"""For the buffers of all workers together."""

CHUNK_BYTES = 6 * 1024**2
"""Input bytes of one chunk that are worth aiming at: large enough for the disk, small for the cache."""


@dataclass(frozen=True)
class LedgerEntry:
    """The plan's account of one tensor.

    Attributes:
        name: of the tensor.
        action: "merged", "copied" or "omitted".
        reason: why it is not simply merged; "" otherwise.
        values: (name, value) of each parameter of the method for this tensor; a tuple of K values where
            each sub-model has its own. Empty where it is not merged.
    """

    name: str
    action: str
    reason: str = ""
    values: ListedValues = ()


@dataclass(frozen=True)
class TensorPlan:
    """One output tensor.

    Attributes:
        output: its name, type and shape.
        models: where each sub-model stores it. [K]
        base: where the base stores it; None where there is no base.
        job: how it is merged; None when it is copied from the base (or the first sub-model).
        placement: where it goes.
    """

    output: OutputTensor
    models: tuple[StoredTensor, ...]
    base: StoredTensor | None
    job: MapJob | None
    placement: Placement

    @property
    def elements(self) -> int:
        return prod(self.output.shape)

    @property
    def inputs(self) -> tuple[StoredTensor, ...]:
        """What is read, in the order of a workspace's buffers: the sub-models, then the base.

        A tensor that is copied is read from everywhere too, to see whether the copies agree.
        """
        reads_base = self.base is not None and (self.job is None or self.job.base_dtype is not None)
        return (*self.models, self.base) if reads_base and self.base is not None else self.models


@dataclass(frozen=True)
class MergePlan:
    """A recipe that was checked against the models on disk.

    Attributes:
        recipe: what was asked.
        models: the K sub-models. base: the base, or None.
        names: how each model folder is called in records and cards.
        tensors: every output tensor, in the order of the work.
        shards: the output files.
        ledger: the account of every tensor.
        warnings: sentences for the user.
        vocabulary: rows of the input embedding; None where it was not recognised.
    """

    recipe: Recipe
    models: tuple[Checkpoint, ...]
    base: Checkpoint | None
    names: Mapping[Path, str]
    tensors: tuple[TensorPlan, ...]
    shards: tuple[ShardLayout, ...]
    ledger: tuple[LedgerEntry, ...]
    warnings: tuple[str, ...]
    vocabulary: int | None

    @property
    def parameters(self) -> int:
        """Elements of the output."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def bytes_to_read(self) -> int:
        return sum(stored.size_bytes for tensor in self.tensors for stored in tensor.inputs)

    @property
    def bytes_to_write(self) -> int:
        return sum(shard.size_bytes for shard in self.shards)

    @property
    def equal_weights(self) -> bool:
        """Whether every sub-model has the same weight as any other, in every tensor that is merged."""
        return all(len(set(tensor.job.weights)) == 1 for tensor in self.tensors if tensor.job)

    @property
    def resamples(self) -> tuple[int, int]:
        """The least and the largest n of any tensor that is merged; 0 where there is none."""
        every = {tensor.job.resamples for tensor in self.tensors if tensor.job} or {0}
        return min(every), max(every)

    @property
    def out_dtype(self) -> DType | None:
        """The floating-point type of most of the output; None where there is none."""
        sizes: Counter[DType] = Counter()
        for tensor in self.tensors:
            if tensor.output.dtype.is_float:
                sizes[tensor.output.dtype] += tensor.output.size_bytes
        return sizes.most_common(1)[0][0] if sizes else None

    @property
    def input_folders(self) -> tuple[Path, ...]:
        folders = [model.folder for model in self.models]
        folders += [self.base.folder] if self.base else []
        folders += [self.recipe.tokenizer_source] if self.recipe.tokenizer_source else []
        return tuple(dict.fromkeys(folders))

    @property
    def headers(self) -> dict[Path, ShardHeader]:
        """The header of every input file."""
        every = [*self.models, *([self.base] if self.base else [])]
        return {shard.path: shard for model in every for shard in model.shards}

    @property
    def index(self) -> bytes | None:
        """The content of the output's index; None where there is a single file."""
        return index_json(self.shards) if len(self.shards) > 1 else None

    def peak_memory_bytes(self, threads: int) -> int:
        """What the buffers of `threads` workers take at most, beyond what the imports take."""
        threads = usable_threads(self, threads)
        largest = max((chunk_elements(t, threads) * _working_bytes(t) for t in self.tensors), default=0)
        return threads * largest


def usable_threads(plan: MergePlan, wanted: int, budget_bytes: int = MEMORY_BUDGET_BYTES) -> int:
    """How many workers fit in the memory budget, each with the smallest chunk; at least one."""
    smallest = max((_piece_elements(t) * _working_bytes(t) for t in plan.tensors), default=1)
    return max(1, min(wanted, budget_bytes // max(1, smallest)))


def chunk_elements(
    tensor: TensorPlan,
    threads: int,
    budget_bytes: int = MEMORY_BUDGET_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
) -> int:
    """Elements of one chunk: whole pieces, of about `chunk_bytes` of input, within the budget."""
    piece = _piece_elements(tensor)
    input_bytes = piece * sum(stored.dtype.itemsize for stored in tensor.inputs)
    pieces = max(
        1, min(chunk_bytes // input_bytes, budget_bytes // (threads * piece * _working_bytes(tensor)))
    )
    return min(pieces * piece, max(1, tensor.elements))


def _piece_elements(tensor: TensorPlan) -> int:
    return PIECE_BYTES // tensor.output.dtype.itemsize


def _working_bytes(tensor: TensorPlan) -> int:
    """Bytes an element that a worker holds: inputs, conversions, masks, output and scratch."""
    itemsizes = [stored.dtype.itemsize for stored in tensor.inputs]
    if tensor.job is None:
        return sum(itemsizes)
    converted = 0
    if any(dtype != tensor.job.merge_dtype for dtype in tensor.job.model_dtypes):
        converted = tensor.job.merge_dtype.itemsize * len(tensor.models)
    masks = max(2, len(tensor.models) // 8 + 8)
    return sum(itemsizes) + converted + masks + tensor.output.dtype.itemsize + 32
