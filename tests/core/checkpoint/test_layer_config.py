"""Configs of models that are put together from layers: every value that is the layers' follows them."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

from core.checkpoint.layer_config import LayerChoice, kinds_of_layer
from core.checkpoint.layer_kinds import FAMILIES, GO_BY_NUMBER
from core.checkpoint.layer_rewriting import rewritten_layers
from core.errors import IncompatibleError


def rewritten(
    config: dict[str, Any], layers: list[int], other: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`config` for a model of those `layers`; negative ones are layers -1, -2, … of `other`."""
    result = copy.deepcopy(config)
    choices = [LayerChoice(config, at) if at >= 0 else LayerChoice(other, -at - 1) for at in layers]
    rewritten_layers(result, choices)
    return result


SLIDES, FULL = "sliding_attention", "full_attention"
BOTH = [SLIDES, FULL] * 2


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer", "n_layers", "num_layers"])
def test_their_number(key: str) -> None:
    assert rewritten({key: 4, "hidden_size": 4}, [0, 1, 2, 1, 2, 3]) == {key: 6, "hidden_size": 4}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("layer_types", BOTH, [BOTH[at] for at in (3, 0, 0)]),
        ("no_rope_layers", [1, 1, 1, 0], [0, 1, 1]),
        ("mlp_layer_types", ["dense", "sparse", "sparse", "sparse"], ["sparse", "dense", "dense"]),
        ("num_query_heads", [4, 8, 12, 16], [16, 4, 4]),
        ("hybrid_override_pattern", "M*-E", "EMM"),
        ("mlp_only_layers", [0, 2], [1, 2]),
        ("mlp_only_layers", [], []),
        ("moe_layers", [0, 1, 2, 3], [0, 1, 2]),
        ("attn_layer_indices", [3], [0]),
        ("cross_attention_layers", [1], []),
        ("eos_token_id", [1, 2, 3, 0], [1, 2, 3, 0]),
        ("architectures", ["A"] * 4, ["A"] * 4),
        ("rope_scaling", {"factor": [1, 2, 3, 4]}, {"factor": [1, 2, 3, 4]}),
    ],
)
@pytest.mark.parametrize("inner", [None, "text_config"])
def test_values_of_layers(inner: str | None, key: str, value: Any, expected: Any) -> None:
    part = {"num_hidden_layers": 4, key: value}
    found = rewritten({inner: part, "model_type": "x"} if inner else part, [3, 0, 0])
    found = found[inner] if inner else found
    assert found["num_hidden_layers"] == 3
    assert found[key] == expected


def test_of_another_model_they_are_those_of_its_own_config() -> None:
    one = {"num_hidden_layers": 2, "layer_types": ["a", "b"], "mlp_only_layers": [0]}
    other = {"num_hidden_layers": 3, "layer_types": ["c", "d", "e"], "mlp_only_layers": [2]}
    assert rewritten(one, [1, -3, -1, 0], other) == {
        "num_hidden_layers": 4,
        "layer_types": ["b", "e", "c", "a"],
        "mlp_only_layers": [1, 3],
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sliding_window_pattern": 6}, ""),
        (
            {"sliding_window_pattern": 3},
            "sliding_window_pattern: 3.*layer 1 of the result, layer 2 of its model",
        ),
        ({"first_k_dense_replace": 2}, ""),
        ({"num_kv_shared_layers": 2}, "num_kv_shared_layers: 2"),
        ({"full_attention_interval": 1}, ""),
        ({"use_sliding_window": True, "max_window_layers": 2}, ""),
        ({"use_sliding_window": False, "max_window_layers": 2}, ""),
        ({"full_attention_interval": 4, "layer_types": BOTH}, ""),
        ({"expert_layer_period": 2, "expert_layer_offset": 0}, "expert_layer_period: 2"),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": 2}, ""),
        ({"moe_layer_start_index": 1, "moe_layer_interval": 2}, "moe_layer_start_index: 1"),
    ],
)
def test_what_goes_by_the_number_of_a_layer_must_be_true_of_the_result(
    more: dict[str, Any], said: str
) -> None:
    config = {"num_hidden_layers": 4, **more}
    layers = [LayerChoice(dict(config), at) for at in (1, 2, 3)]
    if not said:
        assert rewritten_layers(dict(config), layers) == []
        return
    with pytest.raises(IncompatibleError, match=said) as caught:
        rewritten_layers(dict(config), layers)
    assert caught.value.field == "slices"


@pytest.mark.parametrize(
    ("layers", "value"), [([0, 1, 2, 3, 3], 2), ([1, 2, 3], 1), ([2, 3], 0), ([0, 2, 1, 3], None)]
)
@pytest.mark.parametrize("key", ["first_k_dense_replace", "num_dense_layers"])
def test_so_many_first_layers_of_another_kind(layers: list[int], value: int | None, key: str) -> None:
    config = {"num_hidden_layers": 4, key: 2}
    if value is not None:
        assert rewritten(config, layers)[key] == value
        return
    with pytest.raises(IncompatibleError, match="layer 2 of the result, layer 1 of its model") as caught:
        rewritten(config, layers)
    assert caught.value.hint == "let every slice but the first begin with layer 2 or a later one"


@pytest.mark.parametrize(("layers", "fits"), [([0, 1, 0, 1, 2, 3], True), ([0, 1, 3], False)])
def test_one_of_so_many_layers(layers: list[int], fits: bool) -> None:
    config = {"num_hidden_layers": 4, "attn_layer_period": 2}
    choices = [LayerChoice(config, at) for at in layers]
    if fits:
        assert rewritten_layers(dict(config), choices) == []
        return
    with pytest.raises(IncompatibleError, match="attn_layer_period: 2"):
        rewritten_layers(dict(config), choices)


@pytest.mark.parametrize(
    ("more", "layers", "key", "expected"),
    [
        ({"model_type": "gemma2"}, [0, 1, 1, 2, 3], "layer_types", [SLIDES, FULL, FULL, SLIDES, FULL]),
        ({"model_type": "gemma2"}, [0, 1, 2, 1, 2, 3], "layer_types", None),
        ({"model_type": "gemma2"}, [0, 1, 0, 1], "layer_types", None),
        (
            {"model_type": "gemma3_text", "sliding_window_pattern": 2},
            [1, 2, 3],
            "layer_types",
            [FULL, SLIDES, FULL],
        ),
        (
            {"model_type": "qwen3", "use_sliding_window": True, "max_window_layers": 2},
            [0, 3, 0, 3],
            "layer_types",
            [FULL, SLIDES, FULL, SLIDES],
        ),
        ({"model_type": "qwen3", "max_window_layers": 2}, [0, 3, 0, 3], "layer_types", None),
        ({"model_type": "qwen3_next"}, [3, 3], "layer_types", [FULL, FULL]),
        ({"model_type": "glm4_moe_lite"}, [0, 1, 0], "mlp_layer_types", ["dense", "sparse", "dense"]),
        ({"model_type": "llama4_text", "no_rope_layers": []}, [3, 3, 0], "no_rope_layers", [0, 0, 1]),
        ({"model_type": "llama4_text", "interleave_moe_layer_step": 2}, [1, 1, 2], "moe_layers", [0, 1]),
        ({"model_type": "llama4_text", "interleave_moe_layer_step": 2}, [0, 1, 2], "moe_layers", None),
        (
            {"model_type": "recurrent_gemma", "block_types": ["r", "r", "a"]},
            [2, 2, 3],
            "block_types",
            list("aar"),
        ),
        ({"model_type": "qwen2_moe", "decoder_sparse_step": 2}, [1, 1, 0], "mlp_only_layers", [2]),
        ({"model_type": "qwen2_moe", "decoder_sparse_step": 2}, [1, 1, 0], "decoder_sparse_step", 1),
        ({"model_type": "qwen2_moe", "mlp_only_layers": [3]}, [3, 0, 3], "mlp_only_layers", [0, 2]),
        ({"model_type": "qwen2_moe"}, [3, 0, 3], "mlp_only_layers", None),
        (
            {"attention_types": [[["g", "l"], 2]], "attention_layers": list("glgl")},
            [1, 1, 0],
            "attention_types",
            [[["l", "l", "g"], 1]],
        ),
    ],
)
def test_what_a_family_leaves_to_the_number_of_a_layer_is_written_where_it_must_be(
    more: dict[str, Any], layers: list[int], key: str, expected: Any
) -> None:
    for config in (more, {"model_type": "x", "text_config": more}):
        part = {"num_hidden_layers": 4, **more}
        found = rewritten(part if config is more else {**config, "text_config": part}, layers)
        assert found.get("text_config", found).get(key) == expected


def test_of_another_model_the_rule_is_that_of_its_own_config() -> None:
    one = {"num_hidden_layers": 2, "model_type": "cohere2", "sliding_window_pattern": 2}
    other = {"num_hidden_layers": 3, "model_type": "cohere2", "layer_types": [FULL, SLIDES, FULL]}
    assert rewritten(one, [0, 1, -1, -2], other)["layer_types"] == [SLIDES, FULL, FULL, SLIDES]


@pytest.mark.parametrize("more", [{"model_type": "diffllama"}, {"scale_attn_by_inverse_layer_idx": True}])
def test_models_that_compute_with_the_number_of_a_layer_are_told(more: dict[str, Any]) -> None:
    config = {"num_hidden_layers": 2, **more}
    told = [
        rewritten_layers(dict(config), [LayerChoice(config, at) for at in way]) for way in ([0, 1], [1, 0])
    ]
    assert [len(one) for one in told] == [0, 1]


@pytest.mark.parametrize("family", [*FAMILIES, "x", None, ["a"]])
@pytest.mark.parametrize("value", [None, "LLLG", -1, 0, 1.5, [], [None, "a", 3, [1]], {"a": 1}, 10**12])
def test_a_config_that_makes_no_sense_is_no_fault_of_the_program(family: Any, value: Any) -> None:
    keys = [*GO_BY_NUMBER, "no_rope_layers", "mlp_only_layers", "block_types", "moe_layers", "layer_types"]
    config = dict.fromkeys(keys, value) | {"use_sliding_window": True, "sliding_window": 4}
    config |= {"model_type": family, "num_hidden_layers": 4}
    assert kinds_of_layer(config, 1).keys() <= config.keys() | {"mlp_layer_types"}
    for key in keys:
        one = {name: config[name] for name in (key, "model_type", "num_hidden_layers", "use_sliding_window")}
        with contextlib.suppress(IncompatibleError):
            rewritten_layers(one, [LayerChoice(dict(config), at) for at in (0, 2, 1)])
            assert one["num_hidden_layers"] == 3


def test_lists_of_other_things_are_left_as_they_are() -> None:
    config = {"num_hidden_layers": 2, "conv_dim": [4, 8], "time_step_limit": [0, 1]}
    assert rewritten(config, [1, 1, 0]) == {**config, "num_hidden_layers": 3}


def test_a_config_that_names_no_number_is_left_as_it_is() -> None:
    assert rewritten({"layer_types": ["a", "b"]}, [1]) == {"layer_types": ["a", "b"]}
