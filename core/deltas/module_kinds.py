"""What a tensor does in a network, by its name, whatever the architecture calls it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.checkpoint.names import layer_of

__all__ = ["MODULE_KINDS", "Position", "kind_rank", "module_kind", "position_of"]

MODULE_KINDS = (
    "embeddings",
    "attention q",
    "attention k",
    "attention v",
    "attention qkv",
    "attention kv",
    "attention o",
    "mlp gate",
    "mlp up",
    "mlp gate and up",
    "mlp down",
    "router",
    "experts gate",
    "experts up",
    "experts gate and up",
    "experts down",
    "norms",
    "head",
)
"""The kinds that are known, in the order of the computation."""

_NORMS = MODULE_KINDS.index("norms")

_EXPERT = re.compile(r"\bexperts\.\d+\b")
_EXPERTS = re.compile(r"experts?\b")
_MLP_PARTS = (
    ("gate and up", r"gate_up_proj"),
    ("gate", r"gate_proj|w1|wi_0"),
    ("up", r"up_proj|w3|v1|wi_1|wi|fc1|fc_in|c_fc|lin1|dense_h_to_4h|intermediate\.dense|linear_1"),
    ("down", r"down_proj|w2|fc2|fc_out|lin2|dense_4h_to_h|linear_2|wo|c_proj|output\.dense"),
)
_ATTENTION_PARTS = (
    ("qkv", r"c_attn|query_key_value|qkv_proj|qkv|w_?qkv|in_proj(_weight|_bias)?|w_?pack"),
    ("kv", r"kv_a_proj_with_mqa|kv_b_proj|kv_proj"),
    ("q", r"q_proj|q_[ab]_proj|query|q_lin|wq|q"),
    ("k", r"k_proj|key|k_lin|wk|k"),
    ("v", r"v_proj|value|v_lin|wv|v"),
    ("o", r"o_proj|out_proj|out_lin|wo|c_proj|dense|o|output\.dense|proj"),
)


def _last(names: str) -> re.Pattern[str]:
    """`names` as the last components of a module's name."""
    return re.compile(rf"(?:^|\.)(?:{names})$", re.IGNORECASE)


_NORM = re.compile(r"norm|^ln(?:_|\d|$)", re.IGNORECASE)
_EMBEDDING = _last(
    r"embed_tokens|wte|wpe|embed_in|tok_embeddings|embed_positions|embeddings?|shared|"
    r"(?:word|position|token_type)_embeddings"
)
_HEAD = _last(r"lm_head|embed_out|output|predictions\.decoder|score|classifier")
_ROUTER = _last(r"router|router\.(?:layer|classifier)|shared_expert_gate|gate")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_ATTENTION_NAMES = [(part, _last(names)) for part, names in _ATTENTION_PARTS]
_MLP_NAMES = [(part, _last(names)) for part, names in _MLP_PARTS]
_SUFFIX = re.compile(r"(?:\.weight|\.bias|_bias|\.gamma|\.beta)$")


@dataclass(frozen=True)
class Position:
    """Where a tensor is in the network.

    Attributes:
        stack: the layers that it belongs to, as "model.layers"; None outside of all.
        layer: its number there; None outside.
        module: what it is there.
    """

    stack: str | None
    layer: int | None
    module: str


@lru_cache(maxsize=2**17)
def position_of(name: str) -> Position:
    """Where the tensor `name` is: "model.layers.3.mlp.up_proj.weight" is ("model.layers", 3, "mlp.up_proj").

    The experts of a layer are one module. Names of another form are kept as they are, outside the layers.
    """
    found = layer_of(name)
    if found is None:
        return Position(None, None, name.removesuffix(".weight").removeprefix("model."))
    stack, layer, rest = found
    return Position(stack, layer, _EXPERT.sub("experts", rest.removesuffix(".weight")))


def kind_rank(kind: str) -> int:
    """Sorts kinds in the order of the computation; those that are not known come before the norms."""
    known = MODULE_KINDS.index(kind) if kind in MODULE_KINDS else _NORMS
    return known + (kind in MODULE_KINDS and known >= _NORMS)


def module_kind(name: str) -> str:
    """The kind of the tensor `name`: one of MODULE_KINDS, or what position_of calls it.

    A bias has the kind of its weight. The norms of queries and keys are norms.
    """
    position = position_of(name)
    return _kind(position.module, position.layer is not None)


@lru_cache(maxsize=4096)
def _kind(named: str, in_layer: bool) -> str:
    module = _SUFFIX.sub("", named)
    if _NORM.search(module.rpartition(".")[2]):
        return "norms"
    if not in_layer:
        kind = "embeddings" if _EMBEDDING.search(module) else "head" if _HEAD.search(module) else None
    elif _ATTENTION.search(module):
        kind = _part("attention", _ATTENTION_NAMES, module)
    elif _ROUTER.search(module):
        kind = "router"
    else:
        kind = _part("experts" if _EXPERTS.search(module) else "mlp", _MLP_NAMES, module)
    return kind or named


def _part(of: str, parts: Sequence[tuple[str, re.Pattern[str]]], module: str) -> str | None:
    return next((f"{of} {part}" for part, pattern in parts if pattern.search(module)), None)
