"""What the config of a model says layer by layer, for a model that is put together from layers of others.

Without a table of architectures: the values are known by their form. A list (or text) as long as there are
layers has a value for each; a list of numbers of layers, as `mlp_only_layers`, names some of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from core.checkpoint.layer_kinds import GO_BY_NUMBER, listed_kinds

__all__ = [
    "COUNTS",
    "LABELS",
    "PLACES",
    "LayerChoice",
    "is_per_layer",
    "keys_of_layers",
    "kinds_of_layer",
    "layer_counts",
    "numbers_of_layers",
    "says_kinds_of_layers",
    "says_sizes_of_layers",
    "within",
]

COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers", "decoder_layers")
"""How configs call the number of layers; "num_hidden_layers" counts first."""

PLACES: tuple[tuple[str, ...], ...] = ((), ("text_config",), ("llm_config",), ("language_config",))
"""Where in a config the layers are described."""

LABELS = frozenset({"architectures", "id2label", "label2id", "auto_map", "eos_token_id", "bos_token_id"})
"""Lists of other things, which may be as long as there are layers."""

_PATTERN = re.compile(r"pattern|layout|layer_types?")
"""In the names of texts with a sign for each layer."""

_NUMBERS_OF_LAYERS = re.compile(
    r"layers?(?:_|$)|(?:layer|attn|attention|block).*(?:idxs?|indices|indexes|ids)$"
)
"""In the names of lists that hold numbers of layers."""

_OTHER_LISTS = re.compile(
    r"^conv_|^tdnn_|_limit$|kernel|stride|token|image|label|betas|_mean$|_std$|^depths$"
)
"""In the names of lists of other things than layers, which may be as long."""


@dataclass(frozen=True)
class LayerChoice:
    """A layer of the result.

    Attributes:
        config: of the model that it comes from, or None.
        layer: which of that model's layers it is.
    """

    config: Mapping[str, Any] | None
    layer: int


def is_per_layer(key: str, value: Any, stack: int) -> bool:
    """Whether `value` has an entry for each of `stack` layers."""
    if stack < 2 or key in LABELS or _OTHER_LISTS.search(key):
        return False
    if isinstance(value, str):
        return len(value) == stack and _PATTERN.search(key) is not None and len(set(value)) <= 8
    return isinstance(value, list) and len(value) == stack and _is_of_layers(key, value)


def _is_of_layers(key: str, value: list[Any]) -> bool:
    """Of a list as long as there are layers whether its entries are the layers'."""
    ascending = _ascending(value)
    return not (ascending and _NUMBERS_OF_LAYERS.search(key) and set(value) != {0, 1} and len(value) > 2)


def keys_of_layers(config: Mapping[str, Any] | None) -> set[str]:
    """The keys that say something of single layers, or how many there are: a stack of them has its own."""
    stack = next(iter(layer_counts(config).values()), 0)
    return {
        key
        for part in (within(config, way) for way in PLACES)
        for key, value in part.items()
        if key in {*COUNTS, *GO_BY_NUMBER, *listed_kinds(part.get("model_type"))}
        or is_per_layer(key, value, stack)
        or numbers_of_layers(key, value, stack) is not None
    }


def says_kinds_of_layers(config: Mapping[str, Any] | None) -> bool:
    """Whether the config says of its layers which are of which kind, one by one or by their number."""
    stack = next(iter(layer_counts(config).values()), 0)
    parts = [within(config, way) for way in PLACES]
    return any(listed_kinds(part.get("model_type")) for part in parts) or any(
        key in GO_BY_NUMBER
        or is_per_layer(key, value, stack)
        or numbers_of_layers(key, value, stack) is not None
        for part in parts
        for key, value in part.items()
    )


def kinds_of_layer(config: Mapping[str, Any] | None, layer: int) -> dict[str, str]:
    """Of which kind a layer is, by the key that says it: {"layer_types": "full_attention"}."""
    stack = next(iter(layer_counts(config).values()), 0)
    found: dict[str, str] = {}
    for part in (within(config, way) for way in PLACES):
        if not any(key in part for key in COUNTS):
            continue
        for key, rule in listed_kinds(part.get("model_type")).items():
            if isinstance(kind := rule(layer, part), str):
                found[key] = kind
        for key, value in part.items():
            if isinstance(value, list) and is_per_layer(key, value, stack) and isinstance(value[layer], str):
                found[key] = value[layer]
    return found


def says_sizes_of_layers(config: Mapping[str, Any] | None) -> bool:
    """Whether the config gives sizes layer by layer, so that layers may differ in them."""
    stack = next(iter(layer_counts(config).values()), 0)
    return any(
        is_per_layer(key, value, stack) and any(not isinstance(one, str) for one in value)
        for part in (within(config, way) for way in PLACES)
        for key, value in part.items()
    )


def layer_counts(config: Mapping[str, Any] | None) -> dict[str, int]:
    """The numbers of layers that a config names, by key, those of its text part included."""
    parts = [within(config, way) for way in PLACES]
    return {key: part[key] for part in parts for key in COUNTS if type(part.get(key)) is int}


def within(config: Mapping[str, Any] | None, way: tuple[str, ...]) -> Mapping[str, Any]:
    """The part of a config that is `way` down in it; an empty one where there is none."""
    part: Any = config or {}
    for key in way:
        part = part.get(key) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def numbers_of_layers(key: str, value: Any, stack: int) -> list[int] | None:
    """`value` where it is a list of numbers of layers; None elsewhere."""
    if not isinstance(value, list) or not value or not _NUMBERS_OF_LAYERS.search(key):
        return None
    return value if _ascending(value) and value[0] >= 0 and value[-1] < stack else None


def _ascending(value: list[Any]) -> bool:
    return all(type(one) is int for one in value) and all(one < other for one, other in pairwise(value))
