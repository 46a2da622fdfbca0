"""Writing recipes to files, and knowing whether somebody else did."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core import MergeError, Recipe, RecipeError
from core.errors import OutputError, os_error_text
from core.recipe.recipe import recipe_as_dict
from core.small_files import read_if_there

__all__ = ["Fingerprint", "changed_on_disk", "fingerprint", "save_recipe"]

_MAX_BYTES = 4 * 1024**2
"""Of a file in the place of a recipe; a larger one is something else."""


@dataclass(frozen=True)
class Fingerprint:
    """What a file was like: its size, when it was modified, and the digest of its bytes."""

    size_bytes: int
    modified_ns: int
    digest: str


def fingerprint(path: Path) -> Fingerprint | None:
    """That of `path` as it is now; None where nothing has that name.

    Raises:
        RecipeError: it is no file that could be a recipe, or cannot be read.
    """
    content = read_if_there(path, _MAX_BYTES, RecipeError)
    if content is None:
        return None
    status = os.stat(path)
    return Fingerprint(len(content), status.st_mtime_ns, hashlib.sha256(content).hexdigest())


def changed_on_disk(path: Path, known: Fingerprint | None) -> bool:
    """Whether there is something else now than `known` in `path`; where nothing is there, nothing is lost."""
    try:
        status = os.stat(path)
        if known is not None and (status.st_size, status.st_mtime_ns) == (
            known.size_bytes,
            known.modified_ns,
        ):
            return False
        now = fingerprint(path)
    except FileNotFoundError:
        return False
    except (OSError, MergeError):
        return True
    return now is not None and (known is None or now.digest != known.digest)


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
