"""Configs of models that are put together from layers: every value that is the layers' follows them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from core.checkpoint.layer_config import LayerChoice, rewritten_layers


def rewritten(
    config: dict[str, Any], layers: list[int], other: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`config` for a model of those `layers`; negative ones are layers -1, -2, … of `other`."""
    result = copy.deepcopy(config)
    choices = [LayerChoice(config, at) if at >= 0 else LayerChoice(other, -at - 1) for at in layers]
    rewritten_layers(result, choices)
    return result


BOTH = ["sliding_attention", "full_attention"] * 2


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
        ({"sliding_window_pattern": 6}, "sliding_window_pattern: 6"),
        ({"first_k_dense_replace": 2}, ""),
        ({"num_kv_shared_layers": 2}, "num_kv_shared_layers: 2"),
        ({"full_attention_interval": 1}, ""),
        ({"use_sliding_window": True, "max_window_layers": 2}, ""),
        ({"use_sliding_window": False, "max_window_layers": 2}, ""),
        ({"full_attention_interval": 4, "layer_types": BOTH}, ""),
    ],
)
def test_rules_that_go_by_the_number_of_a_layer_are_told(more: dict[str, Any], said: str) -> None:
    config = {"num_hidden_layers": 4, **more}
    told = rewritten_layers(config, [LayerChoice(dict(config), at) for at in (1, 2, 3)])
    assert [said in one for one in told] == [True] * bool(said)


@pytest.mark.parametrize(
    ("layers", "value", "told"),
    [([0, 1, 2, 3, 3], 2, False), ([1, 2, 3], 1, False), ([2, 3], 0, False), ([0, 2, 1, 3], 1, True)],
)
def test_so_many_first_layers_of_another_kind(layers: list[int], value: int, told: bool) -> None:
    config = {"num_hidden_layers": 4, "first_k_dense_replace": 2}
    found = rewritten(config, layers)
    assert found["first_k_dense_replace"] == value
    choices = [LayerChoice(config, at) for at in layers]
    assert bool(rewritten_layers(dict(config), choices)) == told


@pytest.mark.parametrize(("layers", "told"), [([0, 1, 0, 1, 2, 3], False), ([0, 1, 3], True)])
def test_one_of_so_many_layers(layers: list[int], told: bool) -> None:
    config = {"num_hidden_layers": 4, "attn_layer_period": 2}
    assert bool(rewritten_layers(dict(config), [LayerChoice(config, at) for at in layers])) == told


def test_lists_of_other_things_are_left_as_they_are() -> None:
    config = {"num_hidden_layers": 2, "conv_dim": [4, 8], "time_step_limit": [0, 1]}
    assert rewritten(config, [1, 1, 0]) == {**config, "num_hidden_layers": 3}


def test_a_config_that_names_no_number_is_left_as_it_is() -> None:
    assert rewritten({"layer_types": ["a", "b"]}, [1]) == {"layer_types": ["a", "b"]}
