"""What a tensor does in a network, by its name, whatever the architecture calls it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.statistics import position_of

__all__ = ["MODULE_KINDS", "module_kind"]

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


def module_kind(name: str) -> str:
    """The kind of the tensor `name`: one of MODULE_KINDS, or what position_of calls it.

    A bias has the kind of its weight. The norms of queries and keys are norms.
    """
    position = position_of(name)
    module = _SUFFIX.sub("", position.module)
    if _NORM.search(module.rpartition(".")[2]):
        return "norms"
    if position.layer is None:
        kind = "embeddings" if _EMBEDDING.search(module) else "head" if _HEAD.search(module) else None
    elif _ATTENTION.search(module):
        kind = _part("attention", _ATTENTION_NAMES, module)
    elif _ROUTER.search(module):
        kind = "router"
    else:
        kind = _part("experts" if _EXPERTS.search(module) else "mlp", _MLP_NAMES, module)
    return kind or position.module


def _part(of: str, parts: Sequence[tuple[str, re.Pattern[str]]], module: str) -> str | None:
    return next((f"{of} {part}" for part, pattern in parts if pattern.search(module)), None)
