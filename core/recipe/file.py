"""Recipes on the disk: YAML with numbers as people write them, and every way in which a file can be wrong."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from core.errors import RecipeError, merge_errors_only, os_error_text
from core.recipe.recipe import Recipe, parse_recipe
from core.text import shown

__all__ = ["load_recipe"]

_MAX_RECIPE_BYTES = 100_000
"""Hundreds of sub-models. A larger file is something else, and would take seconds to parse."""


@merge_errors_only()
def load_recipe(path: str | Path) -> Recipe:
    """Read and check the recipe in `path`; relative model paths are relative to its folder.

    Raises:
        RecipeError: with one sentence that names the file and the field.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise RecipeError(f"{path} is a folder, not a recipe", hint="name a YAML file", path=path)
        with path.open("rb") as file:
            content = file.read(_MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {os_error_text(error)}", path=path) from error
    if len(content) > _MAX_RECIPE_BYTES:
        raise RecipeError(f"{path} is too large for a recipe", hint="name a YAML file", path=path)
    try:
        data = yaml.load(content.decode(), Loader=_Loader)  # a SafeLoader
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text", hint="name a YAML file", path=path) from error
    except Exception as error:  # its constructors raise what they like: KeyError, AttributeError, ...
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        problem = getattr(error, "problem", None) or "a value that cannot be understood"
        if isinstance(error, yaml.reader.ReaderError):
            problem = f"the character U+{error.character:04X} is not allowed"
        elif isinstance(error, RecursionError):
            problem = "it is nested too deeply"
        raise RecipeError(f"{path}{where} is not valid YAML: {problem}", path=path) from error
    try:
        return parse_recipe(data, path.absolute().parent)
    except RecipeError as error:
        raise RecipeError(
            f"{path}: {error.message}", hint=error.hint, path=path, field=error.field, entry=error.entry
        ) from error


class _Loader(yaml.SafeLoader):
    """YAML with numbers such as 1e-3, which YAML 1.1 takes for text, and without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the SafeLoader refuses it
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)
