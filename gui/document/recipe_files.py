"""Writing recipes to files, and knowing whether somebody else did."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core import MergeError, Recipe, RecipeError
from core.adapter_paths import split_adapters
from core.disk import replace_file, write_error
from core.errors import OutputError
from core.recipe.file import MAX_RECIPE_BYTES
from core.recipe.stages import documents_of
from core.recipe.writing import folders_of, recipe_as_dict
from core.recipe.yaml_values import Dumper
from core.small_files import read_if_there

__all__ = ["Fingerprint", "changed_on_disk", "fingerprint", "save_recipe"]


@dataclass(frozen=True)
class Fingerprint:
    """The digest of a file, which alone says whether it is another: a copy or a sync changes the rest."""

    digest: str


def fingerprint(path: Path) -> Fingerprint | None:
    """That of `path` as it is now; None where nothing has that name.

    Raises:
        RecipeError: it is no file that could be a recipe, or cannot be read.
    """
    content = read_if_there(path, MAX_RECIPE_BYTES, RecipeError)
    return None if content is None else Fingerprint(hashlib.sha256(content).hexdigest())


def changed_on_disk(path: Path, known: Fingerprint | None) -> bool:
    """Whether there is something else now than `known` in `path`; where nothing is there, nothing is lost."""
    try:
        now = fingerprint(path)
    except MergeError:
        return True
    return now is not None and now != known


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write `recipe` as YAML. Models below the file's folder are named relative to it: they move together.

    What was in `path` before stays until the new text is complete. A link stays one, and the file that it
    leads to keeps its permissions.

    Raises:
        OutputError: the file cannot be written, or `path` is a folder, a pipe or a device.
    """
    folder = path.absolute().parent
    names = {
        model: "+".join(_from(folder, part) for part in split_adapters(model)) for model in folders_of(recipe)
    }
    documents = documents_of(recipe_as_dict(recipe, names))
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    replace_file(Path(os.path.realpath(path)), text.encode(), mode=_mode(path))


def _from(folder: Path, model: Path) -> str:
    """Its path from `folder` on, where it is in it."""
    return str(model.relative_to(folder)) if model.is_relative_to(folder) else str(model)


def _mode(path: Path) -> int | None:
    """The permissions of the file that is replaced; None where there is none."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        failed = error if isinstance(error, OSError) else OSError(str(error))
        raise write_error(failed, path) from error
    if not stat.S_ISREG(mode):
        raise OutputError(f"cannot write {path}: it is not a file", hint="choose another name", path=path)
    return stat.S_IMODE(mode)


class _Dumper(Dumper):
    """Lists of numbers are on one line, and list items are indented by two spaces."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_numbers(self, data: list[Any]) -> yaml.Node:
        numbers = all(isinstance(item, int | float) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=numbers)


_Dumper.add_representer(list, _Dumper.represent_numbers)
