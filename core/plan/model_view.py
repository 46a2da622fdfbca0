"""What a model offers to a merge: its tensors by the names that count, and a source of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint
from core.checkpoint.ties import model_prefixes
from core.dtypes import DType
from core.errors import IncompatibleError, addressed
from core.plan.adapting import adapted_tensors
from core.plan.renaming import onto, without_wrappers
from core.plan.untying import config_with_adapters
from core.sources.factor_cache import FactorCache
from core.sources.quantised import read_quantised
from core.sources.source import FileRange, Source

__all__ = ["ModelView", "Offered", "adapted_notes", "view_models"]


_OF_PEFT = (".lora_", ".base_layer.", ".modules_to_save.", ".original_module.")
"""What is in the names of a peft model's tensors while its adapter is not merged into its weights."""


class Offered(NamedTuple):
    """One tensor of a model. A plan has hundreds of thousands, and so it is a tuple.

    Attributes:
        stored: what messages name.
        read_as: what delivers its elements; None for the file, as it stores them.
        counts_as: the type that it counts as having, where that is not the one that is delivered.
        how: what an adapter makes of it, in a few words; "" for nothing.
    """

    stored: StoredTensor
    read_as: Source | None = None
    counts_as: DType | None = None
    how: str = ""

    @property
    def source(self) -> Source:
        return self.read_as or FileRange(self.stored)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    @property
    def dtype(self) -> DType:
        if self.counts_as is not None:
            return self.counts_as
        return self.stored.dtype if self.read_as is None else self.read_as.dtype


@dataclass(frozen=True)
class ModelView:
    """A model as a merge sees it.

    Attributes:
        checkpoint: what is on disk.
        tensors: by the name that counts.
        left_out: tensors that are read with others, as the scales of quantised weights; name -> why.
        notes: sentences on how it is read.
        shared: names of the same bytes as another, and that one, as a file of torch.save says.
        refused_names: what would have made its names agree, and was not done.
    """

    checkpoint: Checkpoint
    tensors: Mapping[str, Offered]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)
    refused_names: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: offered.shape for name, offered in self.tensors.items()}

    def renamed(self, names: Mapping[str, str], rules: Sequence[str], refused: Sequence[str]) -> ModelView:
        """The same with other names; `rules` say what was done."""
        notes = tuple(f"{self.checkpoint.name}: {rule}, and matched without it" for rule in rules)
        return replace(
            self,
            tensors={names[name]: offered for name, offered in self.tensors.items()},
            notes=(*self.notes, *notes),
            shared={names[alias]: names[first] for alias, first in self.shared.items()},
            refused_names=tuple(refused),
        )


def view_models(
    models: Sequence[Checkpoint], base: Checkpoint | None
) -> tuple[list[ModelView], ModelView | None]:
    """The sub-models and the base under one set of names: those of the first sub-model, without wrappers.

    Raises:
        CheckpointError: a model is quantised in a way that cannot be read.
        IncompatibleError: a model holds an adapter that is not merged into its weights.
    """
    cache = FactorCache()
    views = {id(model): _view(model, entry, cache) for entry, model in reversed(list(enumerate(models)))}
    if base is not None and id(base) not in views:
        views[id(base)] = _view(base, None, cache)
    first = views[id(models[0])] = _without_own_wrapper(views[id(models[0])], list(views.values()))
    reference = first.shapes
    for key, view in views.items():
        if view is not first and view.tensors.keys() != first.tensors.keys():
            found = onto(view.shapes, reference)
            views[key] = view.renamed(found.names, found.rules, found.refused)
    return [views[id(model)] for model in models], views[id(base)] if base else None


def adapted_notes(views: Sequence[ModelView], name: str) -> list[str]:
    """What adapters make of a tensor, and whose."""
    hows: dict[str, list[str]] = {}
    for view in views if any(view.checkpoint.adapters for view in views) else ():
        offered = view.tensors.get(name)
        if offered is not None and offered.how:
            hows.setdefault(offered.how, []).append(view.checkpoint.name)
    return [f"{how} in {', '.join(names)}" for how, names in hows.items()]


def _without_own_wrapper(first: ModelView, every: Sequence[ModelView]) -> ModelView:
    """The first sub-model without a component before all of its names that no class of its type has.

    Where others have the same names without it, it is the name that some script gave the model.
    """
    prefixes = model_prefixes(first.checkpoint.config)
    start = next(iter(first.tensors)).partition(".")[0]
    if prefixes is None or start in prefixes or not all(n.startswith(f"{start}.") for n in first.tensors):
        return first
    bare = {name: name.removeprefix(f"{start}.") for name in first.tensors}
    for other in every:
        if 2 * sum(name in other.tensors for name in bare.values()) >= len(bare):
            rule = f"'{start}.' was removed from {len(bare):,} of its names"
            return first.renamed(bare, [rule], ())
    return first


def _view(model: Checkpoint, entry: int | None, cache: FactorCache) -> ModelView:
    joined = "\n".join(model.tensors)
    sign = next((sign for sign in _OF_PEFT if sign in joined), None)
    if sign is not None:
        adapter = next(name for name in model.tensors if sign in name)
        raise IncompatibleError(
            f"{model.folder} is a model of peft whose adapter is not merged (tensor {adapter!r})",
            hint="merge the adapter into the weights first, with peft's merge_and_unload, and save that",
            path=model.folder,
            tensor=adapter,
            entry=entry,
        )
    with addressed(entry=entry):
        unpacked = read_quantised(model.under or model)
    tensors = {
        name: Offered(stored, unpacked.sources.get(name))
        for name, stored in model.tensors.items()
        if name not in unpacked.left_out
    }
    if model.adapters:
        with addressed(entry=entry):
            stored = {name: offered.stored for name, offered in tensors.items()}
            changed = adapted_tensors(model, stored, unpacked.sources, cache)
        tensors |= {name: Offered(*one) for name, one in changed.items()}
        model = replace(model, config=config_with_adapters(model))
    view = ModelView(model, tensors, unpacked.left_out, unpacked.notes, model.shared)
    bare = without_wrappers(view.tensors)
    return view.renamed(bare.names, bare.rules, ()) if bare.rules else view
