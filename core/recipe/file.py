"""Recipes on the disk, and every way in which a file can be wrong."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import RecipeError, merge_errors_only
from core.methods import MethodSpec
from core.recipe.foreign import UnderstoodRecipe, understood_part
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.stages import joined
from core.recipe.yaml_values import NotYaml, read_documents
from core.small_files import read_small

__all__ = ["MAX_RECIPE_BYTES", "load_recipe", "load_understood"]

MAX_RECIPE_BYTES = 4_000_000
"""Thousands of sub-models with long paths and parameters of their own. A larger file is something else."""


@merge_errors_only()
def load_recipe(path: str | Path) -> Recipe:
    """Read and check the recipe in `path`; relative model paths are relative to its folder.

    Raises:
        RecipeError: with one sentence that names the file and the field.
    """
    path = Path(path)
    data = _read(path)
    with _naming(path):
        return parse_recipe(data, path.absolute().parent)


@merge_errors_only()
def load_understood(path: str | Path, stand_in: MethodSpec) -> UnderstoodRecipe:
    """Read what can be taken over of the recipe in `path`; see core.recipe.foreign.

    Raises:
        RecipeError: as load_recipe, where there is nothing to go on from.
    """
    path = Path(path)
    data = _read(path)
    with _naming(path):
        return understood_part(data, path.absolute().parent, stand_in)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have what is raised name the file."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(
            f"{path}: {error.message}", hint=error.hint, path=path, field=error.field, entry=error.entry
        ) from error


def _read(path: Path) -> Any:
    """The values that the file holds."""
    if os.path.isdir(path):
        raise RecipeError(f"{path} is a folder, not a recipe", hint="name a YAML file", path=path)
    content = read_small(path, MAX_RECIPE_BYTES, RecipeError, "the recipe ")
    try:
        documents = read_documents(content.decode())
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path} is not UTF-8 text", hint="name a YAML file, saved as UTF-8", path=path
        ) from error
    except NotYaml as error:
        where = f", line {error.line}," if error.line else ""
        raise RecipeError(f"{path}{where} is not valid YAML: {error}", path=path) from error
    with _naming(path):
        return joined(documents) if documents else None
