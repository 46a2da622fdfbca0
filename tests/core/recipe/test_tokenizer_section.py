"""What a recipe says of the result's tokens: three keys that are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import RecipeError
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.tokenizer_section import TokenizerSection, TokenRow
from core.recipe.writing import recipe_as_dict

HERE = Path("/recipes")
DATA = {"merge_method": "linear", "base_model": "base", "models": [{"model": "a"}, {"model": "b"}]}


def parsed(**more: Any) -> Recipe:
    return parse_recipe(DATA | more, HERE)


@pytest.mark.parametrize(
    ("more", "unites", "source"),
    [
        ({}, False, None),
        ({"vocab": "union"}, True, None),
        ({"tokenizer_source": "union"}, True, None),
        ({"tokenizer": {}}, True, None),
        ({"tokenizer": {"source": "union"}}, True, None),
        ({"tokenizer": {"source": "union"}, "vocab": "union"}, True, None),
        ({"vocab": "base"}, False, "base"),
        ({"tokenizer_source": "base"}, False, "base"),
        ({"tokenizer": {"source": "base", "pad_to_multiple_of": 64}}, False, "base"),
        ({"tokenizer": {"source": "base"}, "vocab": "base"}, False, "base"),
        ({"tokenizer_source": "b"}, False, "b"),
        ({"tokenizer": {"source": {"model": {"path": "b"}}}}, False, "b"),
        ({"vocab": "union", "tokenizer_source": "b"}, False, "b"),
    ],
)
def test_the_three_keys_are_one(more: dict[str, Any], unites: bool, source: str | None) -> None:
    recipe = parsed(**more)
    assert (recipe.unites, recipe.tokenizer_source) == (unites, HERE / source if source else None)
    again = parse_recipe(recipe_as_dict(recipe), HERE)
    assert again == recipe
    named = recipe_as_dict(recipe, {HERE / name: name for name in ("base", "a", "b")})
    assert "/recipes" not in str(named)
    assert parse_recipe(named, HERE) == recipe


def test_rows_of_tokens_come_back() -> None:
    tokens = {
        "<a>": {"source": "a"},
        "<b>": {"source": {"kind": "model_token", "model": "b", "token": "<x>"}, "force": True},
        "<c>": {"source": {"kind": "model_token", "model": "base", "token_id": 7}},
        "<d>": {"source": {"kind": "zero"}},
    }
    recipe = parsed(tokenizer={"source": "union", "tokens": tokens, "pad_to_multiple_of": 8})
    assert recipe.tokenizer == TokenizerSection(
        (
            TokenRow("<a>", HERE / "a"),
            TokenRow("<b>", HERE / "b", "<x>", force=True),
            TokenRow("<c>", HERE / "base", id_of_model=7),
            TokenRow("<d>"),
        ),
        8,
    )
    names = {HERE / name: name for name in ("base", "a", "b")}
    assert recipe_as_dict(recipe, names)["tokenizer"]["tokens"] == tokens
    assert parse_recipe(recipe_as_dict(recipe), HERE) == recipe


@pytest.mark.parametrize(
    ("more", "said", "field"),
    [
        (
            {"vocab": "union", "tokenizer": {"source": "base"}},
            "vocab and tokenizer say different",
            "tokenizer",
        ),
        ({"vocab": "base", "tokenizer_source": "a"}, "vocab and tokenizer_source say", "tokenizer_source"),
        (
            {"tokenizer_source": "a", "tokenizer": {"source": "b"}},
            "tokenizer_source and tokenizer",
            "tokenizer",
        ),
        ({"vocab": "base", "base_model": None}, "vocab is base, and the recipe has no base_model", "vocab"),
        ({"tokenizer": "union"}, "tokenizer must be a mapping, not 'union'", "tokenizer"),
        ({"tokenizer": {"sauce": "base"}}, "unknown key 'sauce'", "tokenizer"),
        ({"tokenizer": {"pad_to_multiple_of": 0}}, "a whole number above 0, not 0", "tokenizer"),
        ({"tokenizer": {"pad_to_multiple_of": True}}, "a whole number above 0", "tokenizer"),
        ({"tokenizer": {"tokens": ["<a>"]}}, "must be a mapping of tokens", "tokenizer"),
        ({"tokenizer": {"tokens": {"<a>": {}}}}, "'<a>' has no source", "tokenizer"),
        ({"tokenizer": {"tokens": {"<a>": {"source": "other"}}}}, "none of the models", "tokenizer"),
        ({"tokenizer": {"tokens": {"<a>": {"source": {"kind": "mean"}}}}}, "'mean' is no kind", "tokenizer"),
        (
            {"tokenizer": {"tokens": {"<a>": {"source": {"kind": "model_token", "model": "a"}}}}},
            "needs a token or a token_id",
            "tokenizer",
        ),
        ({"tokenizer": {"tokens": {3: {"source": "a"}}}}, "3 is not a text", "tokenizer"),
    ],
)
def test_what_is_refused(more: dict[str, Any], said: str, field: str) -> None:
    data = {key: value for key, value in (DATA | more).items() if value is not None}
    with pytest.raises(RecipeError) as refused:
        parse_recipe(data, HERE)
    assert said in str(refused.value)
    assert refused.value.field == field


def test_all_that_is_wrong_is_said_at_once() -> None:
    tokens = {"<a>": {"sourc": "a", "forced": True}, "<b>": {"source": {"kind": "mean"}}}
    wrong = {"sauce": "union", "pad_to_multiple_of": 0, "tokens": tokens}
    with pytest.raises(RecipeError) as refused:
        parse_recipe(DATA | {"tokenizer": wrong}, HERE)
    for said in ("'sauce'", "above 0, not 0", "'sourc'", "'forced'", "'mean' is no kind"):
        assert said in refused.value.message
    assert "'sauce', 'sourc': did you mean 'source'?" in (refused.value.hint or "")
