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
    "position embeddings",
    "patch embeddings",
    "convolutions",
    "modulation",
    "attention q",
    "attention k",
    "attention v",
    "attention qkv",
    "attention kv",
    "attention positions",
    "attention o",
    "mixer in",
    "mixer conv",
    "mixer shift",
    "mixer step",
    "mixer decay",
    "mixer out",
    "mlp gate",
    "mlp up",
    "mlp gate and up",
    "mlp down",
    "router",
    "experts gate",
    "experts up",
    "experts gate and up",
    "experts down",
    "scales",
    "norms",
    "head",
)
"""The kinds that are known, in the order of the computation.

A mixer is what mixes tokens without attention: a state space model, linear attention, RWKV's time mixing.
"""

_LAST_OF = {
    of: max(rank for rank, kind in enumerate(MODULE_KINDS) if kind.startswith(of))
    for of in ("attention ", "mixer ", "mlp ", "experts ")
}
_SCALES = MODULE_KINDS.index("scales")


def _last(names: str) -> re.Pattern[str]:
    """`names` as the last components of a module's name."""
    return re.compile(rf"(?:^|\.)(?:{names})$", re.IGNORECASE)


def _any(names: str) -> re.Pattern[str]:
    """`names` as one of the components of a module's name."""
    return re.compile(rf"(?:^|\.)(?:{names})(?:\.|$)", re.IGNORECASE)


def _parts(*parts: tuple[str, str]) -> list[tuple[str, re.Pattern[str]]]:
    return [(part, _last(names)) for part, names in parts]


_EXPERT = re.compile(r"\bexperts\.\d+\b")
_EXPERTS = re.compile(r"experts?\b|block_sparse_moe")
_MLP_PARTS = _parts(
    ("gate and up", r"gate_up_proj|input_linear"),
    ("gate", r"gate_proj|w1|wi_0|receptance"),
    (
        "up",
        r"up_proj|w3|v1|wi_1|wi|fc1|fc_in|c_fc|lin1|dense_h_to_4h|intermediate[._]dense|linear_?1|dense_?1|"
        r"layer_1|pwconv1|ffn|proj_mlp|net\.0\.proj|\w*(?:mlp|ffn?)\.0|key",
    ),
    (
        "down",
        r"down_proj|w2|fc2|fc_out|lin2|dense_4h_to_h|linear_?2|dense_?2|layer_2|pwconv2|wo|c_proj|"
        r"output[._]dense|ffn_output|output_linear|net\.[1-9]|\w*(?:mlp|ffn?)\.[1-9]|value",
    ),
)
_ATTENTION_PARTS = _parts(
    ("positions", r"r|r_(?:kernel|[rsw])|pos(?:ition)?_(?:\w+_)?proj|pos_bias(?:_[uv])?"),
    ("qkv", r"c_attn|query_key_value|qkv_proj|qkv|w_?qkv|to_qkv|in_proj|w_?pack"),
    ("kv", r"kv_a_proj_with_mqa|kv_b_proj|kv_proj|to_kv|kv"),
    ("q", r"(?:add_)?q_proj|q_[ab]_proj|query_proj|query(?:_global)?|q_lin|q_head|to_q|wq|q|receptance"),
    ("k", r"(?:add_)?k_proj|key_proj|key(?:_global)?|k_lin|k_head|to_k|wk|k"),
    ("v", r"(?:add_)?v_proj|value_proj|value(?:_global)?|v_lin|v_head|to_v|wv|v"),
    (
        "o",
        r"o_proj|out_proj|out_lin|wo|c_proj|dense|o|output(?:\.dense)?|proj|projection|post_proj|"
        r"to_out(?:\.0)?|to_add_out",
    ),
)
_ATTENTION_ALONE = _parts(  # said by the names themselves, whatever the module around them is called
    ("qkv", r"query_key_value|qkv_proj|wqkv|to_qkv"),
    ("kv", r"kv_proj"),
    ("q", r"q_proj|query_proj|to_q"),
    ("k", r"k_proj|key_proj|to_k"),
    ("v", r"v_proj|value_proj|to_v"),
    ("o", r"o_proj"),
)
_MIXER_PARTS = _parts(
    ("shift", r"time_(?:mix|maa)\w*"),
    ("decay", r"a_log|a|d|time_(?:decay|first|faaaa)\w*"),
    ("step", r"dt|dt_proj|x_proj"),
    ("conv", r"\w*conv_?1d|conv"),
    ("in", r"in_proj(?:_\w+)?|linear_[xy]"),
    ("out", r"out_proj|linear_out"),
)
_MIXER_ALONE = _last(r"a_log|dt|time_(?:mix|maa|decay|first|faaaa)\w*")

_NORM = re.compile(r"norm(?!al_)|(?:^|_)ln(?:_|\d|$)|^bn\d*$", re.IGNORECASE)
_PATCH = _any(r"patch_embed(?:d?ing)?s?|patch_embedder")
_POSITION = _any(
    r"wpe|(?:\w+_)?pos(?:ition(?:al)?)?_(?:conv_)?emb(?:ed(?:ding)?s?|s)?|embed_positions|rel(?:ative)?_embeddings"
)
_RELATIVE = re.compile(r"(?:^|[._])rel(?:ative)?_(?:pos|attn_embed|attention(?:_bias)?$)", re.IGNORECASE)
_EMBEDDING = _last(
    r"embed_\w+|wte|shared|(?:\w+_)?emb(?:ed(?:ding)?s?)?|(?:\w+_)?tokens?|class_embedding|image_newline"
)
_HEAD = _any(
    r"(?:\w+_)?(?:head|predictions|classifier|lm_loss)|embed_out|vocab_(?:projector|transform)|score|qa_outputs|"
    r"output_projection|seq_relationship|proj_out|final_logits"
)
_HEAD_ALONE = re.compile(r"(?:^|\.)output$|^decoder$")
_ROUTER = _last(r"router|router\.(?:layer|classifier)|shared_expert_gate|gate|gate\.\w*score_correction")
_ROUTER_ALONE = _any("router")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_MIXER = _any(r"mixer|mamba|ssm|linear_attn|linear_attention|temporal_block|rg_lru|(?:short_?)?conv(?=\.)")
_CONVOLUTION = re.compile(
    r"conv(?!_attn)|(?:^|\.)(?:\w*stem|shortcut|downsample(?:r|rs)?)(?:\.|$)", re.IGNORECASE
)
_SCALE = _last(r"layer_?scale\w*|layer_?scale\d?\.\w+|ls\d|lambda_?\d|gamma_?\d")
_MODULATION = _any(
    r"ada_?ln_modulation|\w*modulation|(?:\w+_)?mod|norm\w*\.linear|scale_shift_table|time_emb_proj"
)

_SUFFIX = re.compile(
    r"(?:[._](?:weight|bias)|\.(?:scale|gamma|beta|running_mean|running_var|num_batches_tracked)"
    r"|\.parametrizations\.weight\.original\d|\.weight_[gv])$"
)
_GENERIC = re.compile(
    r"\d+|(?:dense|linear|lin|proj|projection|fc|layers?|conv|mlp|net|module|block|in_layer|out_layer|embed)_?\d*"
)
"""Components that say nothing alone: the one before them names the row."""


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
    """Sorts kinds in the order of the computation.

    Those that are not known come behind the known ones of what they are a part of, or else before the norms.
    """
    if kind in MODULE_KINDS:
        return 2 * MODULE_KINDS.index(kind)
    return 2 * next((rank for of, rank in _LAST_OF.items() if kind.startswith(of)), _SCALES) + 1


def module_kind(name: str) -> str:
    """The kind of the tensor `name`: one of MODULE_KINDS, or what its module is called.

    A bias has the kind of its weight. The norms of queries and keys are norms. A module that is not known is
    called by its last component that says something, behind "attention" or "mixer" where it is a part of one;
    numbers at its end are left out: "layers.3.foo.adapter_7.dense.weight" is "adapter".
    """
    position = position_of(name)
    return _kind(position.module, position.layer is not None)


@lru_cache(maxsize=4096)
def _kind(named: str, in_layer: bool) -> str:
    module = _SUFFIX.sub("", named) or named
    own = _own(module)
    if _NORM.search(own.rpartition(".")[2]) and not _MODULATION.search(module):
        return "norms"
    return (_inside(module) if in_layer else _outside(module)) or _row(own)


def _outside(module: str) -> str | None:
    if _PATCH.search(module):
        return "patch embeddings"
    if _POSITION.search(module):
        return "position embeddings"
    if _RELATIVE.search(module):
        return "attention positions"
    if _HEAD.search(module) or _HEAD_ALONE.search(module):
        return "head"
    if _EMBEDDING.search(module):
        return "embeddings"
    return "convolutions" if _CONVOLUTION.search(module) else None


def _inside(module: str) -> str | None:
    if _MODULATION.search(module):
        return "modulation"
    if _ROUTER_ALONE.search(module):
        return "router"
    mixer = _MIXER.search(module)
    if mixer or _MIXER_ALONE.search(module):
        return (
            _part("mixer", _MIXER_PARTS, module)
            or _part("attention", _ATTENTION_ALONE, module)
            or _part("experts" if _EXPERTS.search(module) else "mlp", _MLP_PARTS, module)
            or f"mixer {_row(_own(module))}"
        )
    if _RELATIVE.search(module):
        return "attention positions"
    if _SCALE.search(module):
        return "scales"
    if _ATTENTION.search(module):
        return _part("attention", _ATTENTION_PARTS, module) or f"attention {_row(_own(module))}"
    if _ROUTER.search(module):
        return "router"
    return (
        _part("attention", _ATTENTION_ALONE, module)
        or _part("experts" if _EXPERTS.search(module) else "mlp", _MLP_PARTS, module)
        or ("convolutions" if _CONVOLUTION.search(module) else None)
    )


def _part(of: str, parts: Sequence[tuple[str, re.Pattern[str]]], module: str) -> str | None:
    return next((f"{of} {part}" for part, pattern in parts if pattern.search(module)), None)


def _own(module: str) -> str:
    """`module` without the components at its end that say nothing."""
    parts = module.split(".")
    while len(parts) > 1 and _GENERIC.fullmatch(parts[-1]):
        parts.pop()
    return ".".join(parts)


def _row(own: str) -> str:
    last = own.rpartition(".")[2]
    return last.rstrip("0123456789").rstrip("_") or last
