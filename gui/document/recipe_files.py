"""Writing recipes to files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from core import Recipe
from core.errors import OutputError, os_error_text
from core.recipe.recipe import recipe_as_dict

__all__ = ["save_recipe"]


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write `recipe` as YAML. Models below the file's folder are named relative to it: they move together.

    What was in `path` before stays until the new text is complete.

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
    text = yaml.dump(
        recipe_as_dict(recipe, names), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
    )
    try:
        _replace(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {os_error_text(error)}", path=path) from error


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class _Dumper(yaml.SafeDumper):
    """Lists of numbers are on one line, and list items are indented by two spaces."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_numbers(self, data: list[Any]) -> yaml.Node:
        numbers = all(isinstance(item, int | float) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=numbers)


_Dumper.add_representer(list, _Dumper.represent_numbers)
