"""Rules: what each tensor gets, by hand and as mergekit plans it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from mergekit_rules import random_recipe, values_of_mergekit

from core.checkpoint.names import layer_positions
from core.errors import RecipeError
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.rules import Condition, Setting, tensors_hit
from core.recipe.writing import recipe_as_dict

HERE = Path("/recipes")
TABLE = json.loads((Path(__file__).parents[1] / "data" / "mergekit_rules.json").read_text())

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
LAYERS = 5


def up(layer: int) -> str:
    return f"model.layers.{layer}.mlp.up_proj.weight"


def query(layer: int) -> str:
    return f"model.layers.{layer}.self_attn.q_proj.weight"


NAMES = [EMBEDDING, *(name for layer in range(LAYERS) for name in (query(layer), up(layer))), NORM, HEAD]
POSITIONS = layer_positions(NAMES)


def asked(
    *weights: Any, weight: Any = None, resamples: Any = None, method: str = "parameter_selection"
) -> dict[str, Any]:
    """A recipe of sub-models with these weights, None for none; `weight` and `resamples` for all."""
    common = {"weight": weight, "resamples": resamples}
    return {
        "merge_method": method,
        "base_model": "base",
        "models": [
            {"model": f"run-{at}"} | ({} if own is None else {"parameters": {"weight": own}})
            for at, own in enumerate(weights or (None, None))
        ],
        "parameters": {name: value for name, value in common.items() if value is not None},
    }


def recipe(*weights: Any, **options: Any) -> Recipe:
    return parse_recipe(asked(*weights, **options), HERE)


def weights_of(recipe: Recipe, name: str) -> tuple[float, ...]:
    return recipe.values_for(name, POSITIONS[name])["weight"]


def resamples_of(recipe: Recipe, name: str) -> int:
    return recipe.values_for(name, POSITIONS[name])["resamples"]


class TestByHand:
    def test_a_gradient_goes_from_the_first_layer_to_the_last(self) -> None:
        ruled = recipe([0.0, 1.0], 1.0)
        assert [weights_of(ruled, up(layer)) for layer in range(LAYERS)] == [
            (0.0, 1.0), (0.25, 1.0), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0)
        ]  # fmt: skip

    def test_a_gradient_passes_through_its_inner_numbers(self) -> None:
        ruled = recipe([1.0, 3.0, 0.0], 1.0)
        assert [weights_of(ruled, query(layer))[0] for layer in range(LAYERS)] == [1.0, 2.0, 3.0, 1.5, 0.0]

    def test_outside_the_layers_the_first_number_holds(self) -> None:
        ruled = recipe([2.0, 1.0], 1.0)
        assert {weights_of(ruled, name) for name in (EMBEDDING, NORM, HEAD)} == {(2.0, 1.0)}

    def test_a_gradient_of_one_number_is_the_number(self) -> None:
        assert recipe([0.5], 1.0).plain_value("weight") == (0.5, 1.0)
        assert (
            recipe([{"filter": "*", "value": [0.5]}], 1.0)
            == recipe([{"value": 0.5}], 1.0)
            == recipe(0.5, 1.0)
        )

    def test_the_first_condition_that_hits_holds(self) -> None:
        ruled = recipe(
            resamples=[{"filter": "up_proj", "value": 9}, {"filter": "layers.1", "value": 4}, {"value": 2}]
        )
        assert [resamples_of(ruled, name) for name in (up(1), query(1), query(0), HEAD)] == [9, 4, 2, 2]

    def test_a_filter_is_a_part_of_the_name_letter_by_letter(self) -> None:
        assert tensors_hit("layers.1", [up(1), up(10), up(2)]) == (up(1), up(10))
        assert tensors_hit("MLP", NAMES) == tensors_hit("up_*", NAMES) == ()
        assert tensors_hit("*", NAMES) == tensors_hit("", NAMES) == tensors_hit(None, NAMES) == tuple(NAMES)

    def test_a_sub_model_without_a_condition_for_the_tensor_has_the_recipes_value(self) -> None:
        ruled = recipe([{"filter": "mlp", "value": 3}], None, weight=[{"filter": "self_attn", "value": 5}])
        assert weights_of(ruled, up(0)) == (3.0, 1.0)
        assert weights_of(ruled, query(0)) == (5.0, 5.0)
        assert weights_of(ruled, HEAD) == (1.0, 1.0)

    def test_a_sub_models_own_value_comes_before_the_recipes_conditions(self) -> None:
        ruled = recipe(2, None, weight=[{"filter": "mlp", "value": 5}])
        assert weights_of(ruled, up(0)) == (2.0, 5.0)

    def test_where_no_condition_hits_the_default_holds(self) -> None:
        ruled = recipe(resamples=[{"filter": "mlp", "value": 7}])
        assert [resamples_of(ruled, name) for name in (up(3), NORM)] == [7, 1]

    def test_a_condition_may_hold_a_gradient(self) -> None:
        ruled = recipe(resamples=[{"filter": "mlp", "value": [0, 8]}, {"value": 3}])
        assert [resamples_of(ruled, up(layer)) for layer in range(LAYERS)] == [0, 2, 4, 6, 8]
        assert resamples_of(ruled, query(4)) == 3

    def test_one_condition_needs_no_list(self) -> None:
        ruled = recipe(resamples={"filter": "mlp", "value": 7})
        assert ruled == recipe(resamples=[{"filter": "mlp", "value": 7}])

    def test_whole_numbers_are_rounded_to_the_nearest_and_halves_to_the_even_one(self) -> None:
        ruled = recipe(resamples=[0, 2])
        assert [resamples_of(ruled, up(layer)) for layer in range(LAYERS)] == [0, 0, 1, 2, 2]  # 0.5 and 1.5
        ruled = recipe(resamples=[0, 3])
        assert [resamples_of(ruled, up(layer)) for layer in range(LAYERS)] == [0, 1, 2, 2, 3]

    def test_two_shares_of_the_largest_number_stay_finite(self) -> None:
        huge = 1.7976931348623157e308
        values = Condition(None, (huge, huge))
        assert all(values.value_at(step / 1000) <= huge for step in range(1001))

    def test_what_is_ruled(self) -> None:
        assert recipe(1, 2).ruled == ()
        assert recipe([1, 2], 1, resamples=[1, 2]).ruled == ("weight", "resamples")
        ruled = recipe([1, 2], 1)
        assert (ruled.plain_value("weight"), ruled.resamples, ruled.ruled) == (None, 1, ("weight",))

    def test_filters_that_decide_nothing(self) -> None:
        setting = Setting(
            (
                Condition("mlp", (1,)),
                Condition("up_proj", (2,)),
                Condition("absent", (3,)),
                Condition(None, (4,)),
            )
        )
        assert setting.idle_filters(NAMES) == {"'up_proj'": True, "'absent'": False}


class TestPositions:
    def test_a_single_layer_is_the_last_one(self) -> None:
        assert layer_positions([up(0), NORM]) == {up(0): 1.0, NORM: 0.0}

    def test_layers_beyond_those_of_the_config_are_at_the_end(self) -> None:
        names = [up(layer) for layer in range(4)]
        assert list(layer_positions(names, 3).values()) == [0.0, 0.5, 1.0, 1.0]

    def test_each_stack_has_its_own_layers(self) -> None:
        names = [f"encoder.block.{layer}.layer.0.q.weight" for layer in range(3)]
        names += [f"decoder.block.{layer}.layer.1.q.weight" for layer in range(2)]
        assert list(layer_positions(names, 3).values()) == [0.0, 0.5, 1.0, 0.0, 1.0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "said", "hint"),
        [
            ([], "models, entry 2: parameters.weight is an empty list", "one number"),
            ([{"value": []}], "parameters.weight, entry 1: value is an empty list", "one number"),
            ([{"filter": "mlp", "valeu": 1}], "parameters.weight, entry 1: unknown key 'valeu'", "'value'"),
            ([{"value": 1}, {"filter": "mlp"}], "parameters.weight, entry 2 has no value", "filter: TEXT"),
            ({"filter": "mlp", "value": -1}, "parameters.weight: value is -1, and must be at least 0", ""),
            ([{"filter": 3, "value": 1}], "entry 1: filter must be a part of tensor names, not 3", "quotes"),
            ([{"filter": "\ud800", "value": 1}], "entry 1: filter '\\ud800' is not valid text", ""),
            ([{"value": 1}, 2], "parameters.weight, entry 2 is 2 in a list of conditions", "{value: 2}"),
            ([{"value": {"value": 1}}], "entry 1: value must be one value, not {'value': 1}", ""),
            ([[1, 2], [3]], "parameters.weight, entry 1 must be one value, not [1, 2]", ""),
            ([0.5, "1;"], "parameters.weight, entry 2 must be a number, not '1;'", ""),
            ([{"value": [1, True]}], "entry 1: value, entry 2 must be a number, not true", ""),
        ],
    )
    def test_the_field_is_named(self, value: Any, said: str, hint: str) -> None:
        with pytest.raises(RecipeError) as raised:
            recipe(1, value)
        assert said in raised.value.message
        assert "models, entry 2: parameters.weight" in raised.value.message
        assert hint in (raised.value.hint or "")

    def test_whole_numbers(self) -> None:
        with pytest.raises(RecipeError, match=r"parameters\.resamples, entry 2 must be a whole number"):
            recipe(resamples=[1, 2.5])
        with pytest.raises(RecipeError, match=r"entry 1: value is 101, and must be between 0 and 100"):
            recipe(resamples=[{"filter": "mlp", "value": 101}])

    def test_a_flag_is_one_value(self) -> None:
        data = {**asked(method="linear"), "parameters": {"normalize": [True, False]}}
        with pytest.raises(RecipeError, match=r"parameters\.normalize is one value for every tensor"):
            parse_recipe(data, HERE)


RULED = [
    asked([0, 1], [1, 0], resamples=[1, 2, 3]),
    asked([{"filter": "mlp", "value": [1, 2]}, {"filter": "*", "value": 3}], None, weight={"value": [1, 2]}),
    asked(None, resamples={"filter": "mlp", "value": 3}),
    *(case["recipe"] for case in TABLE),
]


@pytest.mark.parametrize("data", RULED, ids=range(len(RULED)))
def test_what_is_written_down_says_the_same(data: dict[str, Any]) -> None:
    ruled = parse_recipe(data, HERE)
    written = recipe_as_dict(ruled)
    assert parse_recipe(yaml.safe_load(yaml.safe_dump(written)), HERE) == ruled
    assert parse_recipe(json.loads(json.dumps(written)), HERE) == ruled


@pytest.mark.parametrize("case", TABLE, ids=range(len(TABLE)))
def test_the_values_are_those_of_mergekits_table(case: dict[str, Any]) -> None:
    names = [f"model.layers.{layer}.weight" for layer in range(case["layers"])]
    check_values(
        parse_recipe(case["recipe"], HERE), layer_positions([*names, *case["values"]]), case["values"]
    )


def test_the_values_are_those_that_mergekit_plans() -> None:
    pytest.importorskip("mergekit")
    rng = random.Random(1)
    for _ in range(50):
        data, layers = random_recipe(rng), rng.randint(1, 12)
        expected = values_of_mergekit(data, layers)
        check_values(parse_recipe(data, HERE), layer_positions(expected), expected)


def check_values(recipe: Recipe, positions: dict[str, float], expected: dict[str, Any]) -> None:
    for name, (weights, resamples) in expected.items():
        values = recipe.values_for(name, positions[name])
        assert values["weight"] == tuple(weights), name
        assert values["resamples"] == round(resamples), name  # mergekit takes no gradient that needs rounding
