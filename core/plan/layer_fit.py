"""Whether layers of several models make one model, whose config.json describes all of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from core.checkpoint.layer_config import (
    LayerChoice,
    kinds_of_layer,
    says_kinds_of_layers,
    says_sizes_of_layers,
)
from core.checkpoint.layer_rewriting import rewritten_layers
from core.checkpoint.layer_stacks import find_stack
from core.checkpoint.model import Checkpoint
from core.checkpoint.names import layer_of
from core.errors import IncompatibleError
from core.plan.correspond import TensorSources
from core.plan.layer_origin import LayerOrigin
from core.text import shown

__all__ = ["mixed_layers", "odd_layers", "refuse_other_kinds", "refuse_other_layers"]


def refuse_other_kinds(model: Checkpoint, layers: Sequence[LayerOrigin]) -> None:
    """Refuse layers whose kinds the config of the result, which is that of `model`, cannot say."""
    if model.config is not None:
        choices = [LayerChoice(origin.model.config, origin.layer) for origin in layers]
        rewritten_layers(copy.deepcopy(dict(model.config)), choices)


def refuse_other_layers(
    model: Checkpoint,
    layers: Sequence[LayerOrigin],
    tensors: Mapping[str, TensorSources],
    stack: str,
    *,
    names_too: bool,
) -> None:
    """Refuse layers that have other tensors, or others of another shape, than those of `model`.

    Args:
        model: the one whose config describes the result.
        layers: where each layer of the result comes from.
        tensors: of the result, by name.
        stack: how its layers are called.
        names_too: whether a tensor may not be left out.
    """
    inside: list[dict[str, tuple[int, ...]]] = [{} for _ in layers]
    for name, tensor in tensors.items():
        place = layer_of(name)
        if place is not None and place[0] == stack and place[1] < len(layers):
            inside[place[1]][place[2]] = tensor.shape
    own = [named for named, origin in zip(inside, layers, strict=True) if origin.model is model]
    if not own:
        return
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for named in own:
        for name, shape in named.items():
            shapes.setdefault(name, set()).add(shape)
    needed = set.intersection(*(set(named) for named in own))
    compares_names = names_too and not says_kinds_of_layers(model.config)
    compares_shapes = not says_sizes_of_layers(model.config)
    for at, (named, origin) in enumerate(zip(inside, layers, strict=True)):
        said = None
        for name, shape in named.items():
            if name not in shapes and compares_names:
                said = f"{shown(name)}, and no layer of {model.name} has it"
            elif name in shapes and shape not in shapes[name] and compares_shapes:
                own_shape = list(min(shapes[name]))
                said = f"{shown(name)} of shape {list(shape)}, and the layers of {model.name} of {own_shape}"
        if said is None and compares_names and (lacking := sorted(needed - set(named))):
            said = f"no {shown(lacking[0])}, and the layers of {model.name} have it"
        if said is not None:
            raise IncompatibleError(
                f"layer {at} of the result, layer {origin.layer} of {origin.model.name}, has {said}: "
                "config.json describes layers that are alike",
                hint="take layers of models whose config.json says the same sizes",
                path=origin.model.folder,
                field="slices",
            )


def mixed_layers(slices: Sequence[Sequence[tuple[Checkpoint, range]]]) -> list[str]:
    """A sentence on layers that are merged of several that config.json says to be of different kinds.

    Args:
        slices: of each slice its sources: the model, and which of its layers.
    """
    found: list[str] = []
    at = 0
    for sources in slices:
        (model, own), *others = sources
        for deep, layer in enumerate(own):
            kinds = kinds_of_layer(model.config, layer)
            for other, theirs in others:
                its = kinds_of_layer(other.config, theirs[deep])
                key = next((key for key, kind in kinds.items() if its.get(key, kind) != kind), None)
                if key is not None:
                    found.append(
                        f"layer {at + deep} of the result is merged of layers of different kinds: by {key} "
                        f"that of {model.name} is {shown(kinds[key])} and that of {other.name} "
                        f"{shown(its[key])}"
                    )
                    break
        at += len(own)
    if len(found) > 1:
        found[0] += f"; so are {len(found) - 1} more"
    return found[:1]


def odd_layers(layers: Sequence[LayerOrigin]) -> list[str]:
    """A sentence on layers that have other tensors than the one whose place they take in their model."""
    odd = []
    kinds: dict[int, dict[int, frozenset[str]]] = {}
    for at, origin in enumerate(layers):
        if says_kinds_of_layers(origin.model.config):
            continue
        of_model = kinds.setdefault(id(origin.model), _tensors_of_layers(origin.model))
        if of_model.get(origin.layer) != of_model.get(min(at, origin.stack - 1)):
            odd.append(f"layer {at} of the result, which is layer {origin.layer} of {origin.model.name},")
    if not odd:
        return []
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    return [
        f"{odd[0]}{more} has other tensors than the layer of that number in its model, and nothing in "
        "config.json says so: transformers may miss some of them, or leave some out"
    ]


def _tensors_of_layers(model: Checkpoint) -> dict[int, frozenset[str]]:
    """The names within each layer."""
    stack = find_stack(model.tensors, model.hidden_layers)
    found: dict[int, set[str]] = {}
    for name in model.tensors:
        place = layer_of(name)
        if place is not None and stack is not None and place[0] == stack.name:
            found.setdefault(place[1], set()).add(place[2])
    return {layer: frozenset(names) for layer, names in found.items()}
