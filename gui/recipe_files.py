"""Recipes on the disk."""

from __future__ import annotations

from pathlib import Path

import yaml

from core import Recipe
from core.errors import OutputError, os_error_text
from core.recipe import recipe_as_dict

__all__ = ["save_recipe"]


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write `recipe` as YAML. Models below the file's folder are named relative to it: they move together.

    Raises:
        OutputError: the file cannot be written.
    """
    folder = path.absolute().parent
    paths = [entry.path for entry in recipe.models]
    paths += [other for other in (recipe.base, recipe.tokenizer_source) if other is not None]
    names = {
        model: str(model.relative_to(folder)) if model.is_relative_to(folder) else str(model)
        for model in paths
    }
    text = yaml.safe_dump(recipe_as_dict(recipe, names), sort_keys=False, allow_unicode=True)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {os_error_text(error)}", path=path) from error
