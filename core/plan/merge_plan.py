"""A plan as a value: every output tensor, where its bytes come from and go to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from core.checkpoint.headers import ShardHeader
from core.checkpoint.model import Checkpoint
from core.checkpoint.shard_layout import OutputTensor, Placement, ShardLayout, index_files
from core.dtypes import DType
from core.kernels.interface import ListedValues, MapJob
from core.methods.folds import Fold
from core.plan.layer_origin import LayerOrigin
from core.plan.row_part import RowPart
from core.plan.shared_tensors import Look
from core.plan.vocabulary_plan import VocabularyPlan
from core.recipe.recipe import Recipe
from core.sources.source import Absent, Source

__all__ = [
    "CONTRACT",
    "LedgerEntry",
    "MergePlan",
    "TensorPlan",
]

CONTRACT = {"draws": 1, "average": 2}
"""What a merge keeps to today. A record that does not say it was made by version 1 of both. Draws are of
version 2 where a tensor draws under another name than version 1 gives it."""


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
        models: what fills the buffer of each sub-model that has it. [K, or fewer]
        base: the same of the base; `Absent` where the base lacks it, None where there is no base.
        job: how it is merged, with a value of each parameter for each of `models`; None when it is copied
            from the base (or the first sub-model).
        placement: where it goes.
        folds: what is found out of it before it is mapped.
        present: which sub-models have it, in the recipe's order; None for all. () for a tensor that only the
            base has and whose values are taken: these are in the place of a single sub-model's.
        tied_to: the tensor under whose name it draws, and why; None for its own.
        parts: rows that not the same inputs have, and how each are merged; empty where all have all of them.
    """

    output: OutputTensor
    models: tuple[Source, ...]
    base: Source | None
    job: MapJob | None
    placement: Placement
    folds: tuple[Fold, ...] = ()
    present: tuple[int, ...] | None = None
    tied_to: tuple[str, str] | None = None
    parts: tuple[RowPart, ...] = ()

    @property
    def passes(self) -> int:
        """How often it is read, as a rule: once for each fold and for the map."""
        return 1 + sum(fold.when is None for fold in self.folds)

    @property
    def is_measured(self) -> bool:
        """Whether its deltas say something of every sub-model: all have it, and so does the base."""
        return self.job is not None and self.present is None and not isinstance(self.base, Absent)

    @property
    def elements(self) -> int:
        return prod(self.output.shape)

    @cached_property
    def inputs(self) -> tuple[Source, ...]:
        """What is read, in the order of a workspace's buffers: the sub-models, then the base.

        A tensor that is copied is read from everywhere too, to see whether the copies agree.
        """
        reads_base = self.base is not None and (self.job is None or self.job.base_dtype is not None)
        return (*self.models, self.base) if reads_base and self.base is not None else self.models

    @property
    def jobs(self) -> tuple[MapJob, ...]:
        """Whatever it takes to merge it."""
        parts = dict.fromkeys(part.job for part in self.parts)
        return (*([self.job] if self.job else []), *parts)

    @property
    def terms(self) -> int:
        """What its sources do beyond reading, in all passes; see `Source.terms`."""
        return self.passes * self.elements * sum(source.terms for source in self.inputs)

    @property
    def bytes_to_read(self) -> int:
        """Of all passes."""
        whole = sum(source.bytes_to_read for source in self.inputs)
        return (self.passes - 1) * whole + self.bytes_of_a_pass

    @property
    def bytes_of_a_pass(self) -> int:
        """Of the last one, the map."""
        if self.parts:
            return sum(part.bytes_to_read for part in self.parts)
        return sum(source.bytes_to_read for source in self.inputs)


@dataclass(frozen=True)
class MergePlan:
    """A recipe that was checked against the models on disk.

    Attributes:
        recipe: what is merged: what was asked, but for slices that are all layers of their models.
        models: the K sub-models. base: the base, or None.
        names: how each model folder is called in records and cards.
        tensors: every output tensor, in the order of the work.
        shards: the output files.
        ledger: the account of every tensor.
        warnings: sentences for the user.
        shard_size_bytes: the most data in one output file.
        draws: the version of the contract of draws.
        to_look_at: pairs of tensors whose bytes decide how they are merged; see core.plan.shared_tensors.
        vocabulary: rows of the input embedding; None where it was not recognised.
        unties: whether a head is written that some input leaves out as tied.
        tokens: how the vocabularies were brought together; None where all inputs have the same rows.
        layers: where each layer of the result comes from, where it is put together from slices; () elsewhere.
        stages: the plans of the merges that come before, by name. The models that they make are not on disk.
        with_slices: what was asked, where `recipe` is that without slices.
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
    unties: bool = False
    shard_size_bytes: int = 0
    draws: int = 1
    to_look_at: tuple[Look, ...] = ()
    tokens: VocabularyPlan | None = None
    layers: tuple[LayerOrigin, ...] = ()
    stages: tuple[tuple[str, MergePlan], ...] = ()
    with_slices: Recipe | None = None

    @property
    def asked(self) -> Recipe:
        """The recipe as its author wrote it, which records, cards and the history tell."""
        return self.with_slices or self.recipe

    @property
    def merges(self) -> tuple[MergePlan, ...]:
        """Those that come before and this one, in their order."""
        return (*(planned for _, planned in self.stages), self)

    @property
    def contract(self) -> dict[str, int]:
        """The versions of the contracts by which it is merged."""
        return {**CONTRACT, "draws": self.draws}

    @property
    def parameters(self) -> int:
        """Elements of the output."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def bytes_to_read(self) -> int:
        """Of weights, every pass counted."""
        return sum(tensor.bytes_to_read for tensor in self.tensors)

    @property
    def passes(self) -> int:
        """How often the inputs are read at most, tensor by tensor."""
        return max((tensor.passes for tensor in self.tensors), default=1)

    @property
    def bytes_of_a_pass(self) -> int:
        """Of weights, every input read once."""
        return sum(tensor.bytes_of_a_pass for tensor in self.tensors)

    @property
    def bytes_to_write(self) -> int:
        return sum(shard.size_bytes for shard in self.shards)

    def values_of(self, parameter: str) -> tuple[Any, ...]:
        """Every different value of the parameter in the tensors that are merged, in their order.

        Of a sub-model's parameter those of tensors in which all sub-models take part.
        """
        spec = self.recipe.method.parameter(parameter)
        partly = bool(self.layers) and spec is not None and spec.scope == "merge"
        return tuple(
            dict.fromkeys(
                t.job.parameters[parameter]
                for t in self.tensors
                if t.job and (t.present is None or partly) and parameter in t.job.parameters
            )
        )

    def draw_weights(self, tensor: TensorPlan) -> tuple[float, ...] | None:
        """With what weights the sub-models are drawn for `tensor`; None where none is drawn. [K]"""
        method = self.recipe.method
        if method.draws is None or method.weight != "share" or not tensor.is_measured or tensor.job is None:
            return None
        weights: tuple[float, ...] = tensor.job.parameters["weight"]
        return weights

    @property
    def draws_equally(self) -> bool:
        """Whether every sub-model is as likely to be drawn as any other, in every tensor that is drawn."""
        return all(len(set(self.draw_weights(tensor) or (1.0,))) == 1 for tensor in self.tensors)

    @property
    def out_dtype(self) -> DType | None:
        """The floating-point type of most of the output; None where there is none."""
        sizes: Counter[DType] = Counter()
        for tensor in self.tensors:
            if tensor.output.dtype.is_float:
                sizes[tensor.output.dtype] += tensor.output.size_bytes
        return sizes.most_common(1)[0][0] if sizes else None

    @property
    def unders(self) -> tuple[Checkpoint, ...]:
        """The models beside the base that adapters are put on, each once."""
        found: dict[Path, Checkpoint] = {}
        for model in (*self.models, *((self.base,) if self.base else ())):
            if model.under is not None and (self.base is None or model.under.folder != self.base.folder):
                found.setdefault(model.under.folder, model.under)
        return tuple(found.values())

    @property
    def input_folders(self) -> tuple[Path, ...]:
        folders = [model.folder for model in self.models]
        folders += [self.base.folder] if self.base else []
        folders += [model.folder for model in self.unders]
        folders += [self.recipe.tokenizer_source] if self.recipe.tokenizer_source else []
        return tuple(dict.fromkeys(folders))

    @property
    def headers(self) -> dict[Path, ShardHeader]:
        """The header of every input file."""
        every = [*self.models, *([self.base] if self.base else [])]
        return {shard.path: shard for model in every for shard in model.every_shard}

    @property
    def indexes(self) -> dict[str, bytes]:
        """The indexes of the output by name; none where there is a single file."""
        return index_files(self.shards)
