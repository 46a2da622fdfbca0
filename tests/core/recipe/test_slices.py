"""Slices in a recipe: what is understood, what is refused and where; it is written as it was read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import RecipeError
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import folders_of, recipe_as_dict

HERE = Path("/models")


def recipe(text: str) -> Recipe:
    return parse_recipe(yaml.safe_load(text), HERE)


def refused(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as raised:
        recipe(text)
    return raised.value


STACKED = """
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 24]}]
  - sources: [{model: b, layer_range: [8, 32], parameters: {scale: [{filter: o_proj, value: 0}, {value: 1}]}}]
  - sources: [{model: a, layer_range: [30, 31]}]
dtype: float16
"""

BLENDED = """
merge_method: slerp
base_model: a
slices:
  - sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [4, 8]}]
    parameters: {t: [{filter: mlp, value: [0, 1]}]}
  - sources: [{model: c, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]
    base_model: c
    residual_weight: 0.5
parameters: {t: [{filter: attn, value: 0.9}, {value: 0.25}]}
"""


def test_of_which_models_and_layers() -> None:
    found = recipe(STACKED)
    assert [entry.path.name for entry in found.models] == ["a", "b"], "each once"
    assert [one.sources[0].layers for one in found.slices] == [(0, 24), (8, 32), (30, 31)]
    assert [one.count for one in found.slices] == [24, 24, 1]
    assert found.parts[1].values_for("x.o_proj.weight", 0.0)["scale"] == (0.0,)
    assert found.parts[1].values_for("x.q_proj.weight", 0.0)["scale"] == (1.0,)
    assert found.parts[0].values_for("x.o_proj.weight", 0.0)["scale"] == (1.0,), "of the other slice alone"


def test_a_base_is_no_sub_model_of_its_slice_and_may_be_one_of_another() -> None:
    found = recipe(BLENDED)
    assert [[entry.path.name for entry in part.models] for part in found.parts] == [["b"], ["b"]]
    assert [part.base.name for part in found.parts if part.base] == ["a", "c"]
    assert [entry.path.name for entry in found.models] == ["b", "c"]
    assert found.slices[0].layers_of(HERE / "a") == (0, 4)


def test_what_a_slice_does_not_say_is_looked_for_further_out() -> None:
    first, second = recipe(BLENDED).parts
    assert first.values_for("layers.0.mlp", 0.5)["t"] == 0.5
    assert first.values_for("layers.0.attn", 0.5)["t"] == 0.9
    assert first.values_for("norm", 0.0)["t"] == 0.25
    assert second.values_for("layers.0.mlp", 0.5)["t"] == 0.25


@pytest.mark.parametrize("text", [STACKED, BLENDED])
def test_it_is_written_as_it_was_read(text: str) -> None:
    found = recipe(text)
    again = parse_recipe(recipe_as_dict(found), Path("/elsewhere"))
    assert again == found
    names = {path: path.name for path in folders_of(found)}
    assert parse_recipe(recipe_as_dict(found, names), HERE) == found


@pytest.mark.parametrize("name", ["default", "text"])
def test_the_one_module_of_a_model_is_the_model(name: str) -> None:
    data = yaml.safe_load(BLENDED)
    inner = {"slices": data.pop("slices"), "parameters": {"t": [{"filter": "norm", "value": 0.125}]}}
    found = parse_recipe({**data, "modules": {name: inner}}, HERE)
    assert found.slices == recipe(BLENDED).slices
    assert found.parts[0].values_for("norm", 0.0)["t"] == 0.125
    assert found.parts[0].values_for("attn", 0.0)["t"] == 0.9


def test_towers_that_are_merged_alike_are_one_model() -> None:
    module = "{models: [{model: a}, {model: b, parameters: {weight: 3}}]}"
    found = recipe(f"{{merge_method: linear, modules: {{text_decoder: {module}, vision_tower: {module}}}}}")
    assert found.plain_value("weight") == (1.0, 3.0)


def source(model: str, *layers: Any) -> str:
    return f"{{model: {model}, layer_range: {list(layers)}}}"


@pytest.mark.parametrize(
    ("slices", "said", "entry"),
    [
        ("[]", "slices is not a list of slices", None),
        ("{a: 1}", "slices is not a list of slices", None),
        ("[17]", "slices, entry 1 is not a mapping", 0),
        ("[{sources: []}]", "slices, entry 1 has no list of sources", 0),
        ("[{sources: [{model: a}]}]", "slices, entry 1, source 1 names no layer_range", 0),
        ("[{sources: [{layer_range: [0, 1]}]}]", "slices, entry 1, source 1 names no model", 0),
        ("[{sources: [17]}]", "slices, entry 1, source 1 is not a mapping", 0),
        (f"[{{sources: [{source('a', 0, 4)}]}}, {{sources: [{source('a', 3, 3)}]}}]", "has no layers", 1),
        (f"[{{sources: [{source('a', 4, 2)}]}}]", "layer_range [4, 2] has no layers", 0),
        (f"[{{sources: [{source('a', -1, 2)}]}}]", "must be two whole numbers, not [-1, 2]", 0),
        (f"[{{sources: [{source('a', 0.5, 2)}]}}]", "must be two whole numbers", 0),
        (f"[{{sources: [{source('a', 0)}]}}]", "must be two whole numbers", 0),
        (
            f"[{{sources: [{source('a', 0, 4)}, {source('b', 0, 3)}]}}]",
            "source 1 has 4 ([0, 4]) and source 2 has 3 ([0, 3])",
            0,
        ),
        (
            f"[{{sources: [{source('a', 0, 4)}, {source('./a', 4, 8)}]}}]",
            "slices, entry 1, sources 1 and 2 are the same model",
            0,
        ),
        (f"[{{sources: [{source('a', 0, 4)}], weight: 1}}]", "slices, entry 1: unknown key 'weight'", 0),
        (
            f"[{{sources: [{source('a', 0, 4)}], parameters: {{n: 1}}}}]",
            "slices, entry 1: parameters: linear has no parameter 'n'",
            0,
        ),
        ("[{sources: [{model: a, layer_range: [0, 1], layers: 2}]}]", "source 1: unknown key 'layers'", 0),
        (
            "[{sources: [{model: a, layer_range: [0, 1], parameters: {weight: x}}]}]",
            "slices, entry 1, source 1: parameters.weight must be a number",
            0,
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_slice(slices: str, said: str, entry: int | None) -> None:
    error = refused(f"{{merge_method: linear, slices: {slices}}}")
    assert said in error.message
    assert (error.field, error.entry) == ("slices", entry)


def test_all_slips_of_all_slices_at_once() -> None:
    error = refused(
        "{merge_method: linear, slices: [{sources: [{model: a, layer_range: [0, 1], wight: 1}], x: 1}, "
        "{source: [], sources: []}]}"
    )
    for word in ("'wight'", "'x'", "entry 2: unknown key 'source'"):
        assert word in error.message


def test_too_many_sources_for_a_method() -> None:
    error = refused(
        f"{{merge_method: passthrough, slices: [{{sources: [{source('a', 0, 4)}]}}, "
        f"{{sources: [{source('a', 0, 4)}, {source('b', 0, 4)}]}}]}}"
    )
    assert error.message == (
        "slices, entry 2: merge_method passthrough takes exactly 1 sub-model, and there are 2"
    )
    assert (error.hint, error.entry) == ("leave 1 of them out", 1)


def test_models_beside_slices() -> None:
    error = refused(STACKED + "models: [{model: a}]")
    assert error.message == "models and slices are both there, and each says what is merged"


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ("[]", "no module"),
        ("{a: 1}", "'a' is not a mapping"),
        ("{a: {}}", "there are neither slices nor models"),
        ("{a: {models: [{model: x}], weight: 1}}", "unknown key 'weight'"),
        ("{a: {models: [{model: x}]}, b: {models: [{model: y}]}}", "modules has 2 modules"),
    ],
)
def test_modules_that_are_none(modules: str, said: str) -> None:
    error = refused(f"{{merge_method: linear, modules: {modules}}}")
    assert said in error.message
    assert error.field == "modules"
    assert error.hint
