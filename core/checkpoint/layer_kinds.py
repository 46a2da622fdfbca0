"""Which kind each layer is by its number, in the families whose configs need not list it layer by layer.

For a model that is put together from layers of others such a rule is written out as a list: the layers have
other numbers there. Source: transformers 5.24, the configuration of each family; tests/families holds every
rule to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "COVERED_BY",
    "FAMILIES",
    "FROM_THE_END",
    "GO_BY_NUMBER",
    "PERIODS",
    "THRESHOLDS",
    "Rule",
    "goes_by_number",
    "is_of_period",
    "listed_kinds",
    "listed_numbers",
]

Rule = Callable[[int, Mapping[str, Any]], Any]
"""(number of the layer, config) → the entry of the list, or None where the config does not say it."""

_FULL, _SLIDING, _LINEAR = "full_attention", "sliding_attention", "linear_attention"


def _each(period: int, one: Any, others: Any, key: str | None = None, at: int = -1) -> Rule:
    """Of every `period` layers, or as many as the config says under `key`, one is of another kind."""

    def rule(layer: int, config: Mapping[str, Any]) -> Any:
        own = config.get(key, period) if key else period
        if type(own) is not int or own < 1:
            return None
        return one if layer % own == at % own else others

    return rule


def _dense_first(default: int, key: str | None = None) -> Rule:
    """The first layers have no experts."""

    def rule(layer: int, config: Mapping[str, Any]) -> Any:
        first, every = config.get(key, default) if key else default, config.get("moe_layer_freq", 1)
        if type(first) is not int or type(every) is not int or every < 1:
            return None
        return "sparse" if layer >= first and layer % every == 0 else "dense"

    return rule


def _beyond_the_first(layer: int, config: Mapping[str, Any]) -> str | None:
    """Qwen's: with sliding windows all but the first layers have them."""
    window = config.get("sliding_window", 4096) if config.get("use_sliding_window") else None
    first = config.get("max_window_layers", 28)
    if window is None:
        return _FULL
    return None if type(first) is not int else _SLIDING if layer >= first else _FULL


def _among_the_first(layer: int, config: Mapping[str, Any]) -> str | None:
    """Those of Qwen's first models of experts."""
    first = config.get("max_window_layers", 28)
    if not config.get("use_sliding_window"):
        return _FULL
    return None if type(first) is not int else _SLIDING if layer < first and layer % 2 == 0 else _FULL


def _of_positions(layer: int, config: Mapping[str, Any]) -> int | None:
    """Whether a layer of SmolLM3 or Llama 4 has positions."""
    own = config.get("no_rope_layers")
    if isinstance(own, list) and layer < len(own):
        return int(own[layer]) if isinstance(own[layer], int) else None
    found: int | None = _each(4, 0, 1, "no_rope_layer_interval")(layer, config)
    return found


def _smollm3(layer: int, config: Mapping[str, Any]) -> str | None:
    positions = _of_positions(layer, config)
    slides = config.get("use_sliding_window") and config.get("sliding_window") is not None
    return None if positions is None else _SLIDING if slides and not positions else _FULL


def _llama4(layer: int, config: Mapping[str, Any]) -> str | None:
    positions = _of_positions(layer, config)
    return None if positions is None else "chunked_attention" if positions else _FULL


def _repeated(layer: int, config: Mapping[str, Any]) -> Any:
    """RecurrentGemma's list stands for as many layers as there are."""
    own = config.get("block_types", ["recurrent", "recurrent", "attention"])
    return own[layer % len(own)] if isinstance(own, list) and own else None


_SIXTH: dict[str, Rule] = {"layer_types": _each(6, _FULL, _SLIDING, "sliding_window_pattern")}
_FOURTH: dict[str, Rule] = {"layer_types": _each(4, _FULL, _SLIDING)}
_FOURTH_SAID: dict[str, Rule] = {"layer_types": _each(4, _FULL, _SLIDING, "sliding_window_pattern")}
_SECOND: dict[str, Rule] = {"layer_types": _each(2, _FULL, _SLIDING)}
_FIRST_OF_FOUR: dict[str, Rule] = {"layer_types": _each(4, _FULL, _SLIDING, at=0)}
_FIRST_OF_THREE: dict[str, Rule] = {
    "layer_types": _each(3, _FULL, _SLIDING, "global_attn_every_n_layers", at=0)
}
_LINEAR_BUT_FOURTH: dict[str, Rule] = {"layer_types": _each(4, _FULL, _LINEAR, "full_attention_interval")}
_QWEN: dict[str, Rule] = {"layer_types": _beyond_the_first}
_DENSE_ONE: dict[str, Rule] = {"mlp_layer_types": _dense_first(1)}

_LISTS: dict[str, dict[str, Rule]] = {
    "afmoe": {"layer_types": _each(4, _FULL, _SLIDING, "global_attn_every_n_layers")},
    "axk1": {"mlp_layer_types": _dense_first(1, "first_k_dense_replace")},
    "axk2": {"mlp_layer_types": _dense_first(1, "first_k_dense_replace")},
    "bailing_hybrid": {
        "layer_types": _each(6, _FULL, _LINEAR, "layer_group_size"),
        "mlp_layer_types": _dense_first(2, "first_k_dense_replace"),
    },
    "cohere2": _FOURTH_SAID,
    "cwm": _FIRST_OF_FOUR,
    "deepseek_v32": {"mlp_layer_types": _dense_first(3, "first_k_dense_replace")},
    "dots1": _QWEN,
    "ernie4_5_vl_moe_text": _DENSE_ONE,
    "exaone4": _FOURTH_SAID,
    "exaone_moe": {**_FOURTH_SAID, "mlp_layer_types": _dense_first(1, "first_k_dense_replace")},
    "gemma2": _SECOND,
    "gemma3_text": _SIXTH,
    "glm4_moe_lite": _DENSE_ONE,
    "glm_moe_dsa": {"mlp_layer_types": _dense_first(3, "first_k_dense_replace")},
    "gpt_oss": _SECOND,
    "granite_swa": _FIRST_OF_FOUR,
    "granitemoe_swa": _FIRST_OF_FOUR,
    "hy_v3": _DENSE_ONE,
    "kimi_linear": {"mlp_layer_types": _dense_first(1, "first_k_dense_replace")},
    "kolibri1": {"layer_types": _each(5, _FULL, _SLIDING)},
    "laguna": _DENSE_ONE,
    "llama4_text": {"no_rope_layers": _of_positions, "layer_types": _llama4},
    "mimo_v2_flash": _DENSE_ONE,
    "minimax": {"layer_types": _each(2, _LINEAR, _FULL)},
    "modernbert": _FIRST_OF_THREE,
    "modernbert-decoder": _FIRST_OF_THREE,
    "olmo3": _FOURTH,
    "olmo_hybrid": {"layer_types": _each(4, _FULL, _LINEAR)},
    "qwen2": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen2_5_vl_text": _QWEN,
    "qwen2_moe": {"layer_types": _among_the_first},
    "qwen2_vl": _QWEN,
    "qwen2_vl_text": _QWEN,
    "qwen3": _QWEN,
    "qwen3_5_moe_text": _LINEAR_BUT_FOURTH,
    "qwen3_5_text": _LINEAR_BUT_FOURTH,
    "qwen3_next": _LINEAR_BUT_FOURTH,
    "recurrent_gemma": {"block_types": _repeated},
    "smollm3": {"no_rope_layers": _of_positions, "layer_types": _smollm3},
}

FAMILIES = tuple(_LISTS)

_NUMBERS: dict[str, dict[str, Rule]] = {
    "llama4_text": {"moe_layers": _each(1, True, False, "interleave_moe_layer_step")},
}

COVERED_BY = {
    "attn_layer_period": "layers_block_type",
    "decoder_sparse_step": "mlp_only_layers",
    "first_k_dense_replace": "mlp_layer_types",
    "full_attention_interval": "layer_types",
    "full_attn_every_n_layers": "layer_types",
    "global_attn_every_n_layers": "layer_types",
    "interleave_moe_layer_step": "moe_layers",
    "layer_group_size": "layer_types",
    "max_window_layers": "layer_types",
    "moe_layer_freq": "mlp_layer_types",
    "no_rope_layer_interval": "no_rope_layers",
    "num_hash_layers": "mlp_layer_types",
    "sliding_window_pattern": "layer_types",
}
"""Of keys that go by the number of a layer the list beside which they count for nothing."""

THRESHOLDS = ("first_k_dense_replace", "max_window_layers", "num_dense_layers", "num_hash_layers")
"""Numbers of layers from the first on that are of another kind than the rest."""

PERIODS: dict[str, tuple[str | None, int]] = {
    "attn_layer_period": ("attn_layer_offset", 4),
    "cross_attention_frequency": (None, 0),
    "decoder_sparse_step": (None, -1),
    "expert_layer_period": ("expert_layer_offset", 1),
    "full_attention_interval": (None, -1),
    "full_attn_every_n_layers": (None, -1),
    "global_attn_every_n_layers": (None, -1),
    "interleave_moe_layer_step": (None, -1),
    "layer_group_size": (None, -1),
    "moe_layer_freq": (None, 0),
    "n_layers_per_attn_res_block": (None, 0),
    "no_rope_layer_interval": (None, -1),
    "sliding_window_pattern": (None, -1),
}
"""Of so many layers one is of another kind: the key that says which, and which it is where none does."""

FROM_THE_END = "num_kv_shared_layers"
"""The number of layers at the end that take what earlier ones computed."""

_RANGE = ("moe_layer_start_index", "moe_layer_end_index", "moe_layer_interval")
_OFFSETS = {offset for offset, _ in PERIODS.values() if offset is not None}

GO_BY_NUMBER = frozenset({*THRESHOLDS, *PERIODS, *_RANGE, *_OFFSETS, FROM_THE_END})
"""Keys that tell layers apart by their numbers."""

_BY_NUMBER = frozenset({"bailing_hybrid", "beam", "diffllama", "imagegpt", "minimax"})


def is_of_period(key: str, layer: int, config: Mapping[str, Any], period: int) -> bool:
    """Whether a layer is the one of `period` that is of another kind."""
    offset, at = PERIODS[key]
    own = config.get(offset, at) if offset else at
    return layer % period == (own if type(own) is int else at) % period


def listed_kinds(family: Any) -> Mapping[str, Rule]:
    """Of the family (`model_type`) the lists with an entry for each layer that its config may leave out."""
    return _of_family(_LISTS, family)


def listed_numbers(family: Any) -> Mapping[str, Rule]:
    """The same of lists that name some of the layers: the rule says whether a layer is among them."""
    return _of_family(_NUMBERS, family)


def _of_family(table: Mapping[str, Mapping[str, Rule]], family: Any) -> Mapping[str, Rule]:
    """A model of text and images may leave the kind of its text part out."""
    return table.get(family) or table.get(f"{family}_text") or {} if isinstance(family, str) else {}


def goes_by_number(config: Mapping[str, Any]) -> bool:
    """Whether what a layer computes depends on its number itself, as a factor that falls with it does."""
    family = config.get("model_type")
    return (isinstance(family, str) and family in _BY_NUMBER) or config.get(
        "scale_attn_by_inverse_layer_idx"
    ) is True
