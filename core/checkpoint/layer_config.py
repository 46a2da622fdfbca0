"""What the config of a model says layer by layer, for a model that is put together from layers of others.

Without a table of architectures: the values are known by their form. A list (or text) as long as there are
layers has a value for each; a list of numbers of layers, as `mlp_only_layers`, names some of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["LayerChoice", "is_per_layer", "layer_counts", "rewritten_layers", "says_kinds_of_layers"]

_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers", "decoder_layers")
"""How configs call the number of layers; "num_hidden_layers" counts first."""

_PLACES: tuple[tuple[str, ...], ...] = ((), ("text_config",), ("llm_config",), ("language_config",))
"""Where in a config the layers are described."""

_LABELS = frozenset({"architectures", "id2label", "label2id", "auto_map", "eos_token_id", "bos_token_id"})
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

_THRESHOLDS = ("first_k_dense_replace", "max_window_layers")
"""Numbers of layers from the first on that are of another kind than the rest."""

_PERIODS = {
    "decoder_sparse_step": 1,
    "moe_layer_freq": 1,
    "sliding_window_pattern": 1,
    "full_attention_interval": 1,
    "no_rope_layer_interval": 1,
    "interleave_moe_layer_step": 1,
    "attn_layer_period": 1,
    "expert_layer_period": 1,
    "layer_group_size": 1,
    "full_attn_every_n_layers": 1,
    "global_attn_every_n_layers": 1,
    "cross_attention_frequency": 1,
}
"""Of so many layers one is of another kind; the value with which all are alike."""

_FROM_THE_END = "num_kv_shared_layers"


@dataclass(frozen=True)
class LayerChoice:
    """A layer of the result.

    Attributes:
        config: of the model that it comes from, or None.
        layer: which of that model's layers it is.
    """

    config: Mapping[str, Any] | None
    layer: int


def rewritten_layers(config: dict[str, Any], layers: Sequence[LayerChoice]) -> list[str]:
    """Change `config` so that it is that of a model of `layers`.

    Args:
        config: of a model of layers, whose number it says.
        layers: where each layer of the result comes from, in order.

    Returns sentences on what decides by the number of a layer which kind it is, and may now take some for
    another kind.
    """
    stack = next(iter(layer_counts(config).values()), None)
    if stack is None:
        return []
    holder, way = _holder(config, stack)
    others = [_within(one.config, way) for one in layers]
    doubtful = []
    explicit = "layer_types" in holder and isinstance(holder["layer_types"], list)
    for key, value in list(holder.items()):
        if key in _COUNTS:
            if value == stack:
                holder[key] = len(layers)
        elif key in _LABELS:
            continue
        elif is_per_layer(key, value, stack):
            chosen = [_own(other, key, value, one.layer) for other, one in zip(others, layers, strict=True)]
            holder[key] = "".join(chosen) if isinstance(value, str) else chosen
        elif (numbers := _numbers_of_layers(key, value, stack)) is not None:
            holder[key] = [
                at
                for at, (other, one) in enumerate(zip(others, layers, strict=True))
                if one.layer in _own_numbers(other, key, numbers)
            ]
        elif key in _THRESHOLDS and type(value) is int:
            flags = [
                one.layer < _own_number(other, key, value) for other, one in zip(others, layers, strict=True)
            ]
            holder[key] = next((at for at, flag in enumerate(flags) if not flag), len(flags))
            is_used = key != "max_window_layers" or bool(holder.get("use_sliding_window"))
            if flags != sorted(flags, reverse=True) and is_used and not explicit:
                doubtful.append(key)
        elif key in _PERIODS and type(value) is int and value > 0 and value != _PERIODS[key] and not explicit:
            if any((at - one.layer) % value for at, one in enumerate(layers)):
                doubtful.append(key)
        elif key == _FROM_THE_END and type(value) is int and value:
            doubtful.append(key)
    return [
        f"config.json says {key}: {holder[key]}, by which layers are of one kind or another by their number: "
        "layers of the result that have another number than in their model may be taken for another kind"
        for key in doubtful
    ]


def is_per_layer(key: str, value: Any, stack: int) -> bool:
    """Whether `value` has an entry for each of `stack` layers."""
    if stack < 2 or key in _LABELS or _OTHER_LISTS.search(key):
        return False
    if isinstance(value, str):
        return len(value) == stack and _PATTERN.search(key) is not None and len(set(value)) <= 8
    return isinstance(value, list) and len(value) == stack and _is_of_layers(key, value)


def _is_of_layers(key: str, value: list[Any]) -> bool:
    """Of a list as long as there are layers whether its entries are the layers'."""
    ascending = _ascending(value)
    return not (ascending and _NUMBERS_OF_LAYERS.search(key) and set(value) != {0, 1} and len(value) > 2)


def says_kinds_of_layers(config: Mapping[str, Any] | None) -> bool:
    """Whether the config says of its layers which are of which kind, one by one or by their number."""
    stack = next(iter(layer_counts(config).values()), 0)
    parts = [_within(config, way) for way in _PLACES]
    return any(
        key in (*_PERIODS, *_THRESHOLDS, _FROM_THE_END)
        or is_per_layer(key, value, stack)
        or _numbers_of_layers(key, value, stack) is not None
        for part in parts
        for key, value in part.items()
    )


def layer_counts(config: Mapping[str, Any] | None) -> dict[str, int]:
    """The numbers of layers that a config names, by key, those of its text part included."""
    parts = [_within(config, way) for way in _PLACES]
    return {key: part[key] for part in parts for key in _COUNTS if type(part.get(key)) is int}


def _holder(config: dict[str, Any], stack: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The part of the config that is about the layers, and the way to it."""
    for way in _PLACES:
        part = _within(config, way)
        if any(part.get(key) == stack for key in _COUNTS):
            found = config
            for key in way:
                found = found[key]
            return found, way
    return config, ()


def _within(config: Mapping[str, Any] | None, way: tuple[str, ...]) -> Mapping[str, Any]:
    part: Any = config or {}
    for key in way:
        part = part.get(key) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _own(other: Mapping[str, Any], key: str, value: Any, layer: int) -> Any:
    """What the config of the layer's own model says of it, or else the one that is taken."""
    own = other.get(key)
    if isinstance(own, type(value)) and layer < len(own):
        return own[layer]
    return value[layer] if layer < len(value) else value[-1]


def _own_number(other: Mapping[str, Any], key: str, value: int) -> int:
    own = other.get(key)
    return own if type(own) is int else value


def _numbers_of_layers(key: str, value: Any, stack: int) -> list[int] | None:
    """`value` where it is a list of numbers of layers; None elsewhere."""
    if not isinstance(value, list) or not value or not _NUMBERS_OF_LAYERS.search(key):
        return None
    return value if _ascending(value) and value[0] >= 0 and value[-1] < stack else None


def _own_numbers(other: Mapping[str, Any], key: str, numbers: list[int]) -> list[int]:
    own = other.get(key)
    return own if isinstance(own, list) and all(type(one) is int for one in own) else numbers


def _ascending(value: list[Any]) -> bool:
    return all(type(one) is int for one in value) and all(one < other for one, other in pairwise(value))
