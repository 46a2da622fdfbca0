"""The part of planning that puts a model together from layers of others.

Each slice is planned as a merge of its own, over views of its sources that hold its layers alone, with the
numbers that these have in the result. What stands before the layers is in the views of the first slice, what
stands after them in those of the last. Then all are one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.checkpoint.layer_stacks import LayerStack, find_stack, is_before_layers, stacks_of
from core.checkpoint.model import Checkpoint
from core.checkpoint.names import layer_of, tied_heads
from core.errors import IncompatibleError, MergeError
from core.kernels.interface import Values
from core.plan.correspond import Correspondence, TensorSources, correspond
from core.plan.layer_fit import mixed_layers, odd_layers, refuse_other_kinds, refuse_other_layers
from core.plan.layer_origin import LayerOrigin
from core.plan.model_view import ModelView
from core.plan.shared_tensors import Looked
from core.plan.tensor_values import plan_values
from core.recipe.reasons import Reasons
from core.recipe.recipe import Recipe, Slice

__all__ = ["Sliced", "bases_of_sources", "opened_models", "plan_slices", "without_whole_slices"]

_OF_ALL_LAYERS = ("per_layer", "contact_head")
"""In the names of tensors outside the layers that hold something for each of them."""


@dataclass(frozen=True)
class Sliced:
    """The slices of a recipe, planned.

    Attributes:
        sources: of every tensor of the result; `present` counts the models of its slice.
        values: of the parameters, for each tensor that is merged.
        layers: where each layer of the result comes from.
        parts: the recipe of each slice.
        part_of: which of them each tensor belongs to.
        places: of each part, which of the whole recipe's models its models are.
        models: how many models the whole recipe has.
    """

    sources: Correspondence
    values: Mapping[str, Values]
    layers: tuple[LayerOrigin, ...]
    parts: tuple[Recipe, ...]
    part_of: Mapping[str, int] = field(repr=False)
    places: tuple[tuple[int, ...], ...]
    models: int

    def recipe_of(self, tensor: str) -> Recipe:
        """The recipe by which it is merged."""
        return self.parts[self.part_of[tensor]]

    def present(self, tensor: TensorSources) -> tuple[int, ...] | None:
        """Which of all models have it and take part in it; None for all, () for the base alone."""
        if tensor.present == ():
            return ()
        places = self.places[self.part_of[tensor.name]]
        if tensor.present is None:
            return None if places == tuple(range(self.models)) else places
        return tuple(places[at] for at in tensor.present)


def bases_of_sources(recipe: Recipe) -> dict[Path, tuple[Path, ...]]:
    """Of each model in slices that have a base of their own, the bases of all slices that it is in."""
    found: dict[Path, dict[Path, None]] = {}
    for one in recipe.slices:
        for source in one.sources:
            base = one.base or recipe.base
            if base is not None and base != source.model.path:
                found.setdefault(source.model.path, {})[base] = None
    return {path: tuple(bases) for path, bases in found.items() if set(bases) != {recipe.base}}


def without_whole_slices(
    recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None
) -> tuple[Recipe, tuple[Checkpoint, ...], Checkpoint | None]:
    """The same merge without slices where there is one slice, of all layers of its models."""
    if len(recipe.slices) != 1:
        return recipe, tuple(models), base
    (one,), (part,) = recipe.slices, recipe.parts
    opened = opened_models(recipe, models, base)
    for folder in dict.fromkeys(
        [*(entry.path for entry in part.models), *([part.base] if part.base else [])]
    ):
        stack = find_stack(opened[folder].tensors, opened[folder].hidden_layers)
        if stack is None or one.layers_of(folder) != (0, stack.count):
            return recipe, tuple(models), base
    found = tuple(opened[entry.path] for entry in part.models)
    whole = replace(part, stages=recipe.stages)
    return whole, found, opened[part.base] if part.base else None


def plan_slices(
    recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None, looked: Looked | None
) -> Sliced | None:
    """Plan the slices of `recipe`; None where it has none.

    Args:
        recipe: what is asked.
        models, base: its models and its base, opened.
        looked: as `correspond` takes it.

    Raises:
        IncompatibleError: a range is not among the layers of its model, or the sources of a slice cannot be
            merged with one another. The address is "slices" and the entry of the slice.
        RecipeError: as `plan_merge`.
    """
    return _Slicing(recipe, models, base, looked).all() if recipe.slices else None


class _Slicing:
    def __init__(
        self, recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None, looked: Looked | None
    ) -> None:
        self._recipe, self._looked = recipe, looked
        self._opened = opened_models(recipe, models, base)
        self._place = {entry.path: at for at, entry in enumerate(recipe.models)}
        self._total = sum(one.count for one in recipe.slices)
        self._stack: str | None = None
        """The name of the layers in the result."""

    def all(self) -> Sliced:
        slices, parts = self._recipe.slices, self._recipe.parts
        tensors: dict[str, TensorSources] = {}
        last: dict[str, TensorSources] = {}
        part_of: dict[str, int] = {}
        values: dict[str, Values] = {}
        layers: list[LayerOrigin] = []
        found: list[Correspondence] = []
        reasons = Reasons()
        for at, (one, part) in enumerate(zip(slices, parts, strict=True)):
            with reasons.noted(), _of_slice(at):
                found.append(self._corresponding(at, one, part, first_layer=len(layers)))
            if reasons.found:
                continue
            sources = found[-1]
            layers += self._origins(one, part)
            kept = {t.name: t for t in sources.tensors if self._belongs(t.name, at)}
            for name in kept:
                is_last = layer_of(name) is None and at == len(slices) - 1 and not self._is_before(name)
                (last if is_last else tensors)[name] = kept[name]
                part_of[name] = at
            positions = self._positions(kept, len(layers) - one.count, one.count)
            reference = self._opened[part.base or part.models[0].path]
            chosen = replace(sources, tensors=tuple(kept.values()))
            values |= plan_values(part, reference, chosen, positions)
        reasons.refuse()
        everything = tensors | last
        described = self._opened[self._recipe.models[0].path]
        refuse_other_kinds(described, layers)
        names_too = self._recipe.missing is None
        refuse_other_layers(described, layers, everything, self._stack or "", names_too=names_too)
        return Sliced(
            self._joined(found, tuple(everything.values()), part_of, layers),
            values,
            tuple(layers),
            parts,
            part_of,
            tuple(tuple(self._place[entry.path] for entry in part.models) for part in parts),
            len(self._recipe.models),
        )

    def _corresponding(self, at: int, one: Slice, part: Recipe, first_layer: int) -> Correspondence:
        models = [self._opened[entry.path] for entry in part.models]
        base = self._opened[part.base] if part.base is not None else None
        ranges = [one.layers_of(entry.path) for entry in part.models]
        of_base = one.layers_of(part.base) if part.base is not None else (0, 0)
        outside = at in (0, len(self._recipe.slices) - 1)

        def cut(views: list[ModelView], base_view: ModelView | None) -> tuple[list[ModelView], Any]:
            taken = [
                self._cut(view, layers, first_layer, outside)
                for view, layers in zip(views, ranges, strict=True)
            ]
            reads = base_view is not None and part.method.reads_base
            if not reads:  # it says what is copied, and need not have the layers
                return taken, None
            return taken, self._cut(base_view, of_base, first_layer, outside) if base_view else None

        return correspond(models, base, missing=part.missing, looked=self._looked, cut=cut)

    def _cut(self, view: ModelView, layers: tuple[int, int], first_layer: int, outside: bool) -> ModelView:
        """Those layers of a model alone, with the numbers that they have in the result."""
        stack = self._stack_of(view)
        first, last = layers
        if last > stack.count:
            raise IncompatibleError(
                f"layer_range [{first}, {last}] of {view.checkpoint.name} is not among its layers: it has "
                f"{stack.count:,}, so that the last range ends with {stack.count}",
                path=view.checkpoint.folder,
            )
        names: dict[str, str] = {}
        for name in view.tensors:
            place = layer_of(name)
            if place is None or place[0] != stack.name:
                if outside:
                    names[name] = name
                if any(part in name for part in _OF_ALL_LAYERS):
                    raise IncompatibleError(
                        f"{view.checkpoint.name} has the tensor {name!r}, which holds something for each of "
                        "its layers: such models cannot be put together from layers",
                        hint="merge whole models, under models",
                        path=view.checkpoint.folder,
                    )
            elif first <= place[1] < last:
                names[name] = f"{stack.name}.{first_layer + place[1] - first}.{place[2]}"
            elif place[1] >= stack.count and outside:
                names[name] = f"{stack.name}.{self._total + place[1] - stack.count}.{place[2]}"
        return replace(
            view,
            tensors={names[name]: offered for name, offered in view.tensors.items() if name in names},
            shared={
                names[alias]: names[one]
                for alias, one in view.shared.items()
                if alias in names and one in names
            },
            left_out={},
        )

    def _stack_of(self, view: ModelView) -> LayerStack:
        model = view.checkpoint
        stack = find_stack(view.tensors, model.hidden_layers)
        if stack is None:
            stacks = stacks_of(view.tensors)
            said = ", ".join(stacks) if stacks else "none"
            raise IncompatibleError(
                f"it cannot be told which layers of {model.name} the ranges count: its tensors are in these "
                f"stacks of layers: {said}",
                hint="merge whole models, under models",
                path=model.folder,
            )
        self._stack = self._stack or stack.name
        return stack

    def _is_before(self, name: str) -> bool:
        return is_before_layers(name, self._stack or "")

    def _belongs(self, name: str, at: int) -> bool:
        """Whether a tensor of the result comes from the slice, which may hold more outside the layers."""
        place = layer_of(name)
        if place is not None and place[0] == self._stack and place[1] < self._total:
            return True
        return at == 0 if self._is_before(name) else at == len(self._recipe.slices) - 1

    def _positions(self, names: Mapping[str, Any], first: int, count: int) -> dict[str, float]:
        """How deep in the slice each tensor is: 0 in its first layer and outside, 1 in its last."""
        result = {}
        for name in names:
            place = layer_of(name)
            if place is None or place[0] != self._stack:
                result[name] = 0.0
            else:
                deep = (place[1] - first) / (count - 1) if count > 1 else 1.0
                result[name] = min(deep, 1.0)
        return result

    def _origins(self, one: Slice, part: Recipe) -> list[LayerOrigin]:
        model = self._opened[part.models[0].path]
        stack = find_stack(model.tensors, model.hidden_layers)
        first, last = one.layers_of(part.models[0].path)
        return [LayerOrigin(model, layer, stack.count if stack else 0) for layer in range(first, last)]

    def _merged_layers(self, one: Slice) -> list[tuple[Checkpoint, range]]:
        return [(self._opened[source.model.path], range(*source.layers)) for source in one.sources]

    def _joined(
        self,
        found: Sequence[Correspondence],
        tensors: tuple[TensorSources, ...],
        part_of: Mapping[str, int],
        layers: Sequence[LayerOrigin],
    ) -> Correspondence:
        """What was found for the slices as one."""
        written = {tensor.name: tensor for tensor in tensors}
        tied: dict[str, str] = {}
        why: dict[str, str] = {}
        omitted: dict[str, str] = {}
        notes = [note for one in found for note in one.notes]
        for at, one in enumerate(found):
            omitted |= {
                name: reason
                for name, reason in one.omitted.items()
                if name not in written and self._belongs(name, at)
            }
            for name, first in one.tied.items():
                if part_of.get(name) == at and part_of.get(first) == at:
                    tied[name], why[name] = first, one.why_tied[name]
        notes += [*odd_layers(layers), *mixed_layers(list(map(self._merged_layers, self._recipe.slices)))]
        unties = any(one.unties for one in found)
        heads = tied_heads({name: tensor.offered.shape for name, tensor in written.items()})
        for head, embedding in heads.items():
            if part_of[head] != part_of[embedding] and not _are_alike(
                self._recipe.parts[part_of[head]], self._recipe.parts[part_of[embedding]]
            ):
                unties = True
        if not heads and self._borrows_head():
            notes.append(
                "the head of the result is its embedding, which comes from the first slice, as no source of "
                "the last slice stores a head of its own"
            )
        return Correspondence(
            tensors=tensors,
            omitted=omitted,
            tied=tied,
            why_tied=why,
            draws=max(one.draws for one in found),
            unties=unties,
            to_look_at=tuple(dict.fromkeys(pair for one in found for pair in one.to_look_at)),
            notes=tuple(dict.fromkeys(notes)),
        )

    def _borrows_head(self) -> bool:
        first, last = self._recipe.parts[0], self._recipe.parts[-1]
        return not _are_alike(first, last) and any(
            self._opened[entry.path].ties_embeddings for entry in last.models
        )


@contextlib.contextmanager
def _of_slice(at: int) -> Iterator[None]:
    """Have what is raised say of which slice it is."""
    try:
        yield
    except MergeError as error:
        error.message = f"slices, entry {at + 1}: {error.message}"
        error.args = (error.message,)
        error.field, error.entry = "slices", at
        raise


def _are_alike(one: Recipe, other: Recipe) -> bool:
    """Whether both parts merge what is outside the layers to the same."""
    return (one.models, one.base, one.parameters) == (other.models, other.base, other.parameters)


def opened_models(
    recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None
) -> dict[Path, Checkpoint]:
    """The models of a recipe and its base by their folders."""
    opened = {entry.path: model for entry, model in zip(recipe.models, models, strict=True)}
    if recipe.base is not None and base is not None:
        opened[recipe.base] = base
    return opened
