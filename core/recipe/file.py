"""Recipes on the disk, and every way in which a file can be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from core.errors import RecipeError, merge_errors_only
from core.recipe.recipe import Recipe, parse_recipe
from core.recipe.yaml_values import NotYaml, SeveralDocuments, read_yaml
from core.small_files import read_small

__all__ = ["MAX_RECIPE_BYTES", "load_recipe"]

MAX_RECIPE_BYTES = 4_000_000
"""Thousands of sub-models with long paths and parameters of their own. A larger file is something else."""


@merge_errors_only()
def load_recipe(path: str | Path) -> Recipe:
    """Read and check the recipe in `path`; relative model paths are relative to its folder.

    Raises:
        RecipeError: with one sentence that names the file and the field.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise RecipeError(f"{path} is a folder, not a recipe", hint="name a YAML file", path=path)
    content = read_small(path, MAX_RECIPE_BYTES, RecipeError, "the recipe ")
    try:
        data: Any = read_yaml(content.decode())
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text", hint="name a YAML file", path=path) from error
    except SeveralDocuments as error:
        raise RecipeError(
            f"{path} holds several documents, the second from line {error.line} on, as mergekit-multimerge "
            "takes them, and a recipe is one merge",
            hint="write each into a file of its own and merge one after the other; where a later one lists "
            "an earlier one by its name, list that one's output folder",
            path=path,
        ) from error
    except NotYaml as error:
        where = f", line {error.line}," if error.line else ""
        raise RecipeError(f"{path}{where} is not valid YAML: {error}", path=path) from error
    try:
        return parse_recipe(data, path.absolute().parent)
    except RecipeError as error:
        raise RecipeError(
            f"{path}: {error.message}", hint=error.hint, path=path, field=error.field, entry=error.entry
        ) from error
