"""Stacks of layers, found from the names of tensors: how many there are, and what stands before and after."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.checkpoint.names import layer_of

__all__ = ["LayerStack", "find_stack", "is_before_layers", "stacks_of"]

_BEFORE = re.compile(r"(?:^|\.)(?:embed\w*|\w*_embed|wte|wpe|tok_embeddings|\w*embeddings?\w*)(?:\.|$)")
_HEADS = re.compile(r"(?:^|\.)embed_out(?:\.|$)")
_OF_TEXT = ("language_model", "text_model")
_OF_IMAGES = re.compile(r"vision|visual|image|audio|speech|vit")
_SHARED = "albert_layer_groups"
"""Groups of layers that stand for more layers than there are tensors."""
_FURTHER_TOKENS = re.compile(r"(?:^|\.)(?:mtp\w*|\w*nextn\w*)(?:\.|$)")
"""Layers that predict further tokens, and come after all others."""


@dataclass(frozen=True)
class LayerStack:
    """The layers of a model that come one after another.

    Attributes:
        name: what stands before their numbers: "model.layers".
        count: how many there are, as the config counts them. The names may have more after these, such as
            layers that predict further tokens.
    """

    name: str
    count: int


def stacks_of(names: Iterable[str]) -> dict[str, int]:
    """How many layers each stack has, by the name of the stack."""
    found: dict[str, int] = {}
    for name in names:
        place = layer_of(name)
        if place is not None:
            found[place[0]] = max(found.get(place[0], 0), place[1] + 1)
    return found


def find_stack(names: Iterable[str], hidden_layers: int | None) -> LayerStack | None:
    """The stack whose layers a model is known by; None where there is none, or several could be meant.

    Args:
        names: every tensor of the model.
        hidden_layers: how many layers its config says it has, or None.
    """
    stacks = {name: count for name, count in stacks_of(names).items() if not _FURTHER_TOKENS.search(name)}
    if len(stacks) > 1:
        stacks = {name: count for name, count in stacks.items() if not _OF_IMAGES.search(name)} or stacks
    if len(stacks) > 1:
        of_text = {
            name: count for name, count in stacks.items() if any(part in name.split(".") for part in _OF_TEXT)
        }
        stacks = of_text or {name: count for name, count in stacks.items() if count == hidden_layers}
    if len(stacks) != 1:
        return None
    ((name, count),) = stacks.items()
    if name.endswith(_SHARED):
        return None
    return LayerStack(name, hidden_layers if hidden_layers and hidden_layers <= count else count)


def is_before_layers(name: str, stack: str) -> bool:
    """Whether a tensor outside the layers of `stack` stands before them: an embedding, or another tower.

    What is neither, as the last norm, the head and what is attached to it, stands after them.
    """
    place = layer_of(name)
    if place is not None and place[0] != stack:
        return not _FURTHER_TOKENS.search(name)
    return _BEFORE.search(name) is not None and not _HEADS.search(name)
