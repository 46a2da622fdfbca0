"""A recipe as plain values again, for files and records, and what it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.recipe.recipe import Recipe
from core.recipe.rules import parameters_data
from core.recipe.slices import slices_data
from core.recipe.stages import on_stage
from core.recipe.tokenizer_section import TokenizerWish, tokenizer_data

__all__ = ["folders_of", "recipe_as_dict"]


def recipe_as_dict(recipe: Recipe, names: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """The recipe as plain values that `parse_recipe` and mergekit's YAML understand.

    Args:
        recipe: what to write down.
        names: what to write in the place of each folder; None for the folders themselves.
    """

    def own(path: Path) -> str:
        return names[path] if names is not None else str(path)

    def shown(path: Path) -> str:
        on = on_stage(path, recipe.stages)
        if on is None or (on[1] and path in (names or {})):
            return own(path)
        return "+".join([on[0].name, *map(own, on[1])])

    data = _as_dict(recipe, shown)
    if recipe.stages:
        data["stages"] = [{"name": stage.name} | _as_dict(stage.recipe, shown) for stage in recipe.stages]
    return data


def folders_of(recipe: Recipe) -> tuple[Path, ...]:
    """Every folder that `recipe` names, also in its slices and its stages, whose results are none.

    A model with adapters on it is one; of adapters on the result of a stage each is.
    """
    found: dict[Path, None] = {}
    for one in (recipe, *(stage.recipe for stage in recipe.stages)):
        paths = [one.base, *(entry.path for entry in one.models), one.tokenizer_source]
        paths += [source.model.path for each in one.slices for source in each.sources]
        paths += [each.base for each in one.slices]
        for path in (path for path in paths if path is not None):
            on = on_stage(path, recipe.stages)
            found |= dict.fromkeys((path,) if on is None else on[1])
    return tuple(found)


def _as_dict(recipe: Recipe, shown: Callable[[Path], str]) -> dict[str, Any]:
    result: dict[str, Any] = {"merge_method": recipe.method.name}
    if recipe.base is not None:
        result["base_model"] = shown(recipe.base)
    if recipe.slices:
        result["slices"] = slices_data(recipe.slices, shown)
    else:
        result["models"] = [
            {"model": shown(entry.path)} | parameters_data(entry.parameters) for entry in recipe.models
        ]
    result |= parameters_data(recipe.parameters)
    result["seed"] = recipe.seed
    for key in ("dtype", "out_dtype"):
        dtype = getattr(recipe, key)
        if dtype is not None:
            result[key] = dtype.torch_name
    if recipe.zero_tolerance is not None:
        result["zero_tolerance"] = recipe.zero_tolerance
    result["nonfinite"] = recipe.nonfinite
    wish = TokenizerWish(recipe.vocab, recipe.tokenizer_source, recipe.tokenizer)
    result |= tokenizer_data(wish, shown)
    if recipe.missing is not None:
        result["missing"] = recipe.missing
    if recipe.chat_template is not None:
        result["chat_template"] = recipe.chat_template
    return result
