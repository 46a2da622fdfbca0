"""What tensor names say: which layer a tensor is in, which one is the input embedding or the output head."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["embedding_rows", "find_embedding", "layer_of", "layer_positions", "tied_heads"]

_STACKS = (
    "layers?|h|blocks?|block_list",
    r"\w+_blocks?",  # of diffusion models: transformer_blocks, single_transformer_blocks, down_blocks
    "resnets|attentions",  # of their middle block, which has no number
    "resblocks",  # open_clip
    "layer[0-9]",  # the stages of a ResNet: layer1.0, layer1.1, layer2.0
    "albert_layer_groups",
    "(?:encoder|decoder|transformer)_layers?",
)
_LAYER = re.compile(rf"^((?:.*?\.)??(?:{'|'.join(_STACKS)}))\.([0-9]{{1,9}})\.(.+)$")

_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
    "word_embeddings.weight",
    "shared.weight",
)
_HEADS = ("lm_head.weight", "embed_out.weight", "predictions.decoder.weight")


def find_embedding(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The name of the input embedding among `shapes`, or None where there is not exactly one."""
    for suffix in _EMBEDDINGS:
        found = [name for name, shape in shapes.items() if _ends_with(name, suffix) and len(shape) == 2]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def embedding_rows(shapes: Mapping[str, Sequence[int]]) -> set[int]:
    """How many rows the input embeddings have: several numbers where they differ, none without one."""
    for suffix in _EMBEDDINGS:
        found = {shape[0] for name, shape in shapes.items() if _ends_with(name, suffix) and len(shape) == 2}
        if found:
            return found
    return set()


def tied_heads(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Output heads and the input embedding that each is tied to where a model ties them.

    `shapes` holds every tensor's shape by name; a head has the shape of its embedding.
    """
    embedding = find_embedding(shapes)
    if embedding is None:
        return {}
    return {
        name: embedding
        for name, shape in shapes.items()
        if any(_ends_with(name, suffix) for suffix in _HEADS) and shape == shapes[embedding]
    }


def layer_of(name: str) -> tuple[str, int, str] | None:
    """The stack, the layer and the rest: ("model.layers", 3, "mlp.up_proj.weight"); None outside."""
    found = _LAYER.match(name)
    return (found[1], int(found[2]), found[3]) if found else None


def layer_positions(names: Iterable[str], hidden_layers: int | None = None) -> dict[str, float]:
    """How deep in its stack of layers each tensor is: 0 in the first layer, 1 in the last, 0 outside.

    As in mergekit: layer / (layers - 1), and 1 where there is a single layer. An encoder and a decoder,
    or the towers of a multimodal model, are stacks of their own.

    Args:
        names: every tensor of a model.
        hidden_layers: how many layers its config says it has. It counts where there is one stack, which
            may hold more, such as the layers that predict further tokens; these are at 1. Without it, and
            of several stacks each, the highest layer is the last.
    """
    places = {name: layer_of(name) for name in names}
    last: dict[str, int] = {}
    for place in places.values():
        if place is not None:
            last[place[0]] = max(last.get(place[0], 0), place[1])
    if len(last) == 1 and hidden_layers is not None:
        last = dict.fromkeys(last, hidden_layers - 1)
    return {name: _position(place[1], last[place[0]]) if place else 0.0 for name, place in places.items()}


def _position(layer: int, last: int) -> float:
    return min(layer / last, 1.0) if last > 0 else 1.0


def _ends_with(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith("." + suffix)
