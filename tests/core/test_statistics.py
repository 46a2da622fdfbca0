from __future__ import annotations

import math

import numpy as np
import pytest

from core.record import TensorRecord
from core.statistics import (
    Position,
    axes_of,
    expected_on_zero_delta,
    position_of,
    resampling_curve,
    zero_delta_map,
    zero_delta_share,
)


def record(
    name: str, elements: int, zero_delta: tuple[int, ...] | None, **counts: tuple[int, ...]
) -> TensorRecord:
    values = {"changed_by": None, "zero_after_draw": None, "selected": None} | counts
    return TensorRecord(
        name, (elements,), "BF16", "merged", elements, zero_delta, nonfinite=(), digest="", **values
    )


@pytest.mark.parametrize(
    ("name", "layer", "module"),
    [
        ("model.layers.3.mlp.up_proj.weight", 3, "mlp.up_proj"),
        ("model.layers.11.self_attn.q_proj.bias", 11, "self_attn.q_proj.bias"),
        ("transformer.h.0.attn.c_attn.weight", 0, "attn.c_attn"),
        ("bert.encoder.layer.7.output.dense.weight", 7, "output.dense"),
        ("model.layers.2.mlp.experts.5.w1.weight", 2, "mlp.experts.w1"),
        ("model.embed_tokens.weight", None, "embed_tokens"),
        ("lm_head.weight", None, "lm_head"),
        ("something", None, "something"),
    ],
)
def test_names_say_where_a_tensor_is(name: str, layer: int | None, module: str) -> None:
    assert position_of(name) == Position(layer, module)


def test_shares_are_sums_of_counts_and_not_means_of_shares() -> None:
    tensors = [record("a", 10, (10, 0)), record("b", 90, (0, 45)), record("copied", 7, None)]
    assert zero_delta_share(tensors) == (10 + 45) / 200
    assert zero_delta_share(tensors, 0) == 10 / 100
    assert zero_delta_share(tensors, 1) == 45 / 100
    assert zero_delta_share([tensors[2]]) is None


def test_the_map_has_a_cell_for_each_layer_and_module() -> None:
    result = zero_delta_map(
        [
            record("model.layers.1.mlp.up_proj.weight", 4, (1, 3)),
            record("model.layers.0.self_attn.q_proj.weight", 10, (10, 10)),
            record("model.layers.0.mlp.up_proj.weight", 4, (0, 2)),
            record("model.norm.weight", 2, (2, 1)),
        ]
    )
    assert result.layers == (0, 1)
    assert result.modules == ("self_attn.q_proj", "mlp.up_proj")
    np.testing.assert_array_equal(result.share, [[1.0, 0.25], [math.nan, 0.5]])
    np.testing.assert_array_equal(result.elements, [[10, 4], [0, 4]])
    assert result.outside == (("norm", 0.75),)


def test_modules_stand_in_the_order_of_the_computation() -> None:
    names = ["input_layernorm", "mlp.down_proj", "mlp.gate_proj", "mlp.up_proj", "post_attention_layernorm"]
    names += [
        "self_attn.k_proj",
        "self_attn.k_norm",
        "self_attn.o_proj",
        "self_attn.q_proj",
        "self_attn.v_proj",
    ]
    _, modules = axes_of(Position(0, name) for name in [*names, "router"])
    assert modules == (
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
        "router",
        "input_layernorm",
        "post_attention_layernorm",
        "self_attn.k_norm",
    )


def test_the_map_of_one_sub_model() -> None:
    result = zero_delta_map([record("model.layers.0.mlp.up_proj.weight", 4, (1, 3))], model=1)
    np.testing.assert_array_equal(result.share, [[0.75]])


def test_expected_elements_on_a_zero_delta_by_hand() -> None:
    # K = 2: 8 elements that nobody changed stay for ever, 4 that one changed halve, 2 that both changed go.
    np.testing.assert_allclose(expected_on_zero_delta((8, 4, 2), 3), [10.0, 9.0, 8.5])


def test_the_resampling_curve_adds_up_tensors() -> None:
    tensors = [
        record("a", 14, (10, 10), changed_by=(8, 4, 2), zero_after_draw=(10, 9)),
        record("b", 6, (0, 0), changed_by=(0, 0, 6), zero_after_draw=(0, 0)),
        record("copied", 5, None),
    ]
    curve = resampling_curve(tensors, equal_weights=True)
    assert curve is not None
    assert curve.observed == (0.5, 0.45)
    assert curve.expected == pytest.approx((0.5, 0.45))
    unequal = resampling_curve(tensors, equal_weights=False)
    assert unequal is not None
    assert unequal.expected is None
    assert resampling_curve([tensors[2]], equal_weights=True) is None
