"""Recipes of other programs, as far as they are understood."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.errors import RecipeError
from core.methods import METHODS
from core.recipe.foreign import UnderstoodRecipe, understood_part
from core.recipe.parsing import parse_recipe


def part(text: str, folder: Path = Path("/models")) -> UnderstoodRecipe:
    return understood_part(yaml.safe_load(text), folder, METHODS["parameter_selection"])


def said(found: UnderstoodRecipe) -> str:
    return "\n".join(f"{one.sentence}: {one.hint}" for one in found.left_out)


def names(found: UnderstoodRecipe) -> list[str]:
    return [entry.path.name for entry in found.recipe.models]


def test_nothing_is_left_out_of_what_is_understood() -> None:
    data = {"merge_method": "linear", "models": [{"model": "a", "parameters": {"weight": 2}}], "seed": 3}
    found = understood_part(data, Path("/models"), METHODS["slerp"])
    assert found.left_out == ()
    assert found.recipe == parse_recipe(data, Path("/models"))


@pytest.mark.parametrize(
    ("line", "sentence", "hint"),
    [
        ("merge_method: regmean", "'regmean' is not supported", "here are: Parameter selection,"),
        ("merge_method: 3", "3 is not supported", "here are: Parameter selection,"),
        ("merge_method: SLERP", "'SLERP' is not supported", "did you mean 'slerp'?"),
        ("seed: 3", "merge_method is missing", "here are: Parameter selection,"),
    ],
)
def test_the_method_that_takes_the_place_of_another_is_said_first(
    line: str, sentence: str, hint: str
) -> None:
    first = part(f"{line}\nbase_model: c\nmodels: [{{model: a}}, {{model: b}}]").left_out[0]
    assert sentence in first.sentence
    assert first.sentence.endswith("the method stays Parameter selection")
    assert hint in first.hint


def test_slices_stay_slices() -> None:
    found = part(
        """
        merge_method: slerp
        base_model: a
        slices:
          - sources: [{model: a, layer_range: [0, 16]}, {model: b, layer_range: [0, 16]}]
          - sources: [{model: b, layer_range: [16, 32]}, {model: a, layer_range: [16, 32]}]
            parameters: {t: 0.1}
        parameters: {t: 0.5, colour: 1}
        """
    )
    assert found.recipe.method.name == "slerp"
    assert (names(found), found.recipe.parts[0].plain_value("t")) == (["b"], 0.5)
    assert [one.sources[0].layers for one in found.recipe.slices] == [(0, 16), (16, 32)]
    assert found.recipe.parts[1].plain_value("t") == 0.1
    assert "'colour'" in said(found)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("slerp", "regmean", "'regmean'"),
        ("[0, 16]}]", "[0, 99]}]", "numbers of layers"),
        ("sources", "source", ""),
    ],
)
def test_slices_that_are_not_understood_list_their_models(old: str, new: str, word: str) -> None:
    text = """
        merge_method: slerp
        base_model: a
        slices:
          - sources: [{model: a, layer_range: [0, 16]}, {model: b, layer_range: [0, 16]}]
          - sources: [{model: b, layer_range: [16, 32]}, {model: a, layer_range: [16, 32]}]
            parameters: {t: 0.1}
        """
    found = part(text.replace(old, new, 1))
    assert (names(found), found.recipe.slices) == (["b"], ())
    assert "the slices are not taken over" in said(found)
    hints = " ".join(one.hint for one in found.left_out)
    assert "all of its layers; the parameters that stand in slices themselves are left out" in hints
    assert word in said(found)


def test_modules_list_their_models() -> None:
    found = part(
        "merge_method: linear\n"
        "modules:\n"
        "  text: {slices: [{sources: [{model: a, parameters: {weight: 2}}, {model: b}]}]}\n"
        "  vision: {models: [{model: a}, {model: b}]}"
    )
    assert names(found) == ["a", "b"]
    assert found.recipe.plain_value("weight") == (2.0, 1.0)
    assert "modules has 2 modules, 'text', 'vision'" in said(found)


def test_a_model_that_would_be_another_one_is_left_out() -> None:
    found = part(
        """
        merge_method: linear
        models:
          - model: a
          - model: {model: {path: b, revision: old}}
          - model: {model: {path: c}, lora: {path: 17}}
          - model: ./e+./f
          - model: {model: {path: g}, override_architecture: LlamaForCausalLM}
        """
    )
    assert names(found) == ["a", "g"]
    assert said(found).count("the model is left out") == 3
    for word in ("revision 'old'", "lora must be", "'./f'", "'override_architecture'"):
        assert word in said(found)


def test_values_that_are_none_are_left_out_one_by_one() -> None:
    found = part(
        """
        merge_method: linear
        models:
          - {model: a, parameters: {weight: heavy}}
          - {model: b, parameters: {weight: 3}}
          - {model: b}
          - 17
        seed: many
        dtype: int4
        tokenizer_source: base
        """
    )
    assert (names(found), found.recipe.seed, found.recipe.dtype) == (["a", "b"], 0, None)
    for word in ("heavy", "many", "int4", "tokenizer_source is base", "17", "the same model as entry 2"):
        assert word in said(found)


def test_what_many_models_share_is_said_once() -> None:
    models = [{"model": f"m-{at}", "parameters": {"weight": 1, "resamples": 2}} for at in range(60)]
    data = {"merge_method": "linear", "models": models}
    found = understood_part(data, Path("/models"), METHODS["linear"])
    assert len(found.left_out) == 1
    assert found.left_out[0].sentence.startswith("models, entries 1 to 60: parameters: linear has no")


def test_what_cannot_be_merged_as_a_whole_says_why() -> None:
    found = part("{merge_method: slerp, base_model: x, parameters: {t: 1}, models: [{model: a}, {model: b}]}")
    assert names(found) == ["a", "b"]
    assert "exactly 1 sub-model" in said(found)


@pytest.mark.parametrize(
    "text",
    [
        "merge_method: liner",
        "[1, 2]",
        "{merge_method: linear, models: {a: 1}}",
        "{base_model: a, gate_mode: hidden, experts: [{source_model: b}]}",
        "{merge_method: passthrough, slices: []}",
    ],
)
def test_without_a_model_all_of_it_is_refused_as_on_the_command_line(text: str) -> None:
    with pytest.raises(RecipeError) as whole:
        parse_recipe(yaml.safe_load(text), Path("/models"))
    with pytest.raises(RecipeError) as partly:
        part(text)
    assert str(partly.value) == str(whole.value)
