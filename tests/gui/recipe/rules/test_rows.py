"""Rows of the table of rules, and the rules that they stand for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gui.document.merge_setup import Rule
from gui.recipe.rules.rows import Layers, RuleRow, TensorNames, rows_of, rules_of
from gui.recipe.rules.text import where_text

ONE, TWO = Path("/models/run-1"), Path("/models/run-2")
NAMES = (
    "model.embed_tokens.weight",
    *(
        f"model.layers.{layer}.{part}.weight"
        for layer in range(12)
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
    ),
    "model.norm.weight",
)
TENSORS = TensorNames(NAMES)
TOWERS = TensorNames(
    [*(f"vision.blocks.{at}.w" for at in range(4)), *(f"text.layers.{at}.w" for at in range(6))]
)


def of_layers(first: int, last: int, value: Any = (8,)) -> tuple[Rule, ...]:
    return tuple(Rule("resamples", None, f"model.layers.{at}.", value) for at in range(first, last + 1))


def test_a_range_of_layers_is_a_rule_for_each() -> None:
    row = RuleRow("resamples", None, Layers("model.layers", 4, 7), (8,))
    assert rules_of([row]) == of_layers(4, 7)
    assert rows_of(of_layers(4, 7), TENSORS) == (row,)
    assert [len(TENSORS.hit_by([rule.filter])) for rule in rules_of([row])] == [4] * 4


def test_only_neighbours_that_differ_in_the_layer_are_one_row() -> None:
    rules = (*of_layers(9, 11), *of_layers(1, 2), *of_layers(3, 3, (1,)), *of_layers(5, 5))
    rules += tuple(replace(rule, model=TWO, parameter="weight") for rule in of_layers(6, 7))
    rows = rows_of(rules, TENSORS)
    assert [where_text(row.where, TENSORS) for row in rows] == [
        "layers 9-11",
        "layers 1-2",
        "layer 3",
        "layer 5",
        "layers 6-7",
    ]
    assert rules_of(rows) == rules


def test_layers_that_the_model_does_not_name_so_stay_filters() -> None:
    rules = (
        *of_layers(0, 1),
        Rule("resamples", None, "layers.2.", (8,)),
        Rule("resamples", None, "q.", (8,)),
    )
    for tensors in (TensorNames(), TOWERS):
        assert [row.where for row in rows_of(rules, tensors)] == [rule.filter for rule in rules]
    assert [row.where for row in rows_of(rules, TENSORS)] == [Layers("model.layers", 0, 1), "layers.2.", "q."]


wheres = st.sampled_from(
    ["", "mlp", "model.layers.04.", "model.layers.4.mlp", "model.layers.", ".4.", "4."]
) | (st.integers(0, 13).map(lambda layer: f"model.layers.{layer}."))


@given(
    st.lists(
        st.builds(
            Rule,
            st.sampled_from(["resamples", "weight"]),
            st.sampled_from([None, ONE]),
            wheres,
            st.sampled_from([(1,), (2, 3)]),
        )
    )
)
def test_rows_mean_the_rules_that_they_came_from(rules: list[Rule]) -> None:
    assert rules_of(rows_of(rules, TENSORS)) == tuple(rules)
