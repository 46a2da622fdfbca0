"""Where a refused recipe is wrong: each error carries the field and the entry that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import CheckpointError, RecipeError, addressed
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe

HERE = Path("/recipes")
LINEAR: dict[str, Any] = {"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}
SELECTION = {**LINEAR, "merge_method": "parameter_selection", "base_model": "base"}
SLERP = {"merge_method": "slerp", "base_model": "base", "models": [{"model": "a"}]}
TASKS = {**SELECTION, "merge_method": "task_arithmetic"}


def of_second(**entry: Any) -> dict[str, Any]:
    return {**SELECTION, "models": [{"model": "a"}, {"model": "b", **entry}]}


def weight_of_second(value: Any) -> dict[str, Any]:
    return of_second(parameters={"weight": value})


@pytest.mark.parametrize(
    ("data", "field", "entry"),
    [
        ([], None, None),
        # keys
        ({**LINEAR, "seeed": 1}, "seeed", None),
        ({**LINEAR, 3: 1}, None, None),
        ({**LINEAR, "slices": []}, "slices", None),
        # the method and the base
        ({"models": []}, "merge_method", None),
        ({**LINEAR, "merge_method": "liner"}, "merge_method", None),
        ({**LINEAR, "merge_method": 3}, "merge_method", None),
        ({**LINEAR, "merge_method": "regmean"}, "merge_method", None),
        ({**SELECTION, "base_model": None}, "base_model", None),
        ({**SELECTION, "base_model": 3}, "base_model", None),
        ({**SELECTION, "base_model": "a\0"}, "base_model", None),
        ({**SELECTION, "base_model": "\ud800"}, "base_model", None),
        ({**SELECTION, "base_model": "~nobody-x/a"}, "base_model", None),
        ({**SELECTION, "base_model": {"model": {"path": "a", "revision": "x"}}}, "base_model", None),
        # the models
        ({**LINEAR, "models": "a"}, "models", None),
        ({**LINEAR, "models": []}, "models", None),
        ({**SELECTION, "models": [{"model": "base"}]}, "models", None),
        ({**SLERP, "models": [{"model": "a"}, {"model": "b"}]}, "models", None),
        ({**LINEAR, "models": [{"model": "a"}, "b"]}, "models", 1),
        ({**LINEAR, "models": [{"model": "a"}, {}]}, "models", 1),
        ({**LINEAR, "models": [{"model": "a"}, {"model": "b", "weight": 1}]}, "models", 1),
        ({**LINEAR, "models": [{"model": ""}]}, "models", 0),
        ({**LINEAR, "models": [{"model": {"model": {}, "lora": 1}}]}, "models", 0),
        # an entry is counted as the list stands: the base, if it is there, counts
        ({**SELECTION, "models": [{"model": "base"}, {"model": "a"}, {"model": 3}]}, "models", 2),
        # parameters of the whole merge
        ({**LINEAR, "parameters": [1]}, "parameters", None),
        ({**LINEAR, "parameters": {"resamples": 1}}, "parameters", None),
        ({**LINEAR, "parameters": {"normalize": "perhaps"}}, "normalize", None),
        ({**LINEAR, "parameters": {"normalize": [True, False]}}, "normalize", None),
        ({**SELECTION, "parameters": {"weight": -1}}, "weight", None),
        ({**SELECTION, "parameters": {"resamples": 1.5}}, "resamples", None),
        ({**SELECTION, "parameters": {"resamples": 101}}, "resamples", None),
        ({**SELECTION, "parameters": {"resamples": [1, "two"]}}, "resamples", None),
        ({**SELECTION, "parameters": {"resamples": []}}, "resamples", None),
        ({**SELECTION, "parameters": {"resamples": [{"filter": "mlp"}]}}, "resamples", None),
        ({**SLERP, "parameters": {"t": "half"}}, "t", None),
        ({**TASKS, "parameters": {"lambda": True}}, "lambda", None),
        # those of a sub-model
        (of_second(parameters=3), "parameters", 1),
        (of_second(parameters={"density": 1}), "parameters", 1),
        (of_second(parameters={"resamples": 1}), "resamples", 1),
        (weight_of_second(-1), "weight", 1),
        (weight_of_second("one"), "weight", 1),
        (weight_of_second(float("nan")), "weight", 1),
        (weight_of_second([]), "weight", 1),
        (weight_of_second([1, -1]), "weight", 1),
        (weight_of_second([{"value": 1}, 2]), "weight", 1),
        (weight_of_second({"filter": 3, "value": 1}), "weight", 1),
        (weight_of_second({"filter": "\ud800", "value": 1}), "weight", 1),
        (weight_of_second({"filter": "mlp", "valeu": 1}), "weight", 1),
        # values that are right one by one
        ({**SELECTION, "parameters": {"weight": 0}}, "weight", None),
        ({**LINEAR, "parameters": {"weight": 0}}, "weight", None),
        # the other keys
        ({**LINEAR, "seed": -1}, "seed", None),
        ({**LINEAR, "dtype": "int8"}, "dtype", None),
        ({**LINEAR, "out_dtype": 3}, "out_dtype", None),
        ({**LINEAR, "zero_tolerance": -1}, "zero_tolerance", None),
        ({**LINEAR, "nonfinite": "skip"}, "nonfinite", None),
        ({**LINEAR, "vocab": "both"}, "vocab", None),
        ({**LINEAR, "tokenizer_source": "base"}, "tokenizer_source", None),
        ({**LINEAR, "tokenizer": {"source": "base"}}, "tokenizer", None),
        ({**LINEAR, "tokenizer_source": 3}, "tokenizer_source", None),
    ],
    ids=str,
)
def test_the_address(tmp_path: Path, data: Any, field: str | None, entry: int | None) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(data, HERE)
    assert (raised.value.field, raised.value.entry) == (field, entry)


def test_the_file_and_the_field_are_both_known(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("merge_method: linear\nmodels: [{model: a}, {model: b, parameters: {weight: x}}]\n")
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    assert raised.value.message.startswith(f"{path}: models, entry 2: parameters.weight must be")
    assert (raised.value.path, raised.value.field, raised.value.entry) == (path, "weight", 1)


@pytest.mark.parametrize("content", [b"a: [", b"\xff", b"#" * 200_000])
def test_a_file_that_is_no_recipe_is_about_no_field(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    assert (raised.value.path, raised.value.field, raised.value.entry) == (path, None, None)


def test_the_address_that_is_nearest_to_the_fault_stays() -> None:
    with pytest.raises(CheckpointError) as raised, addressed(field="models"), addressed(entry=2):
        raise CheckpointError("broken", field="base_model")
    assert (raised.value.field, raised.value.entry) == ("base_model", 2)
