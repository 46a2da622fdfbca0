"""Writing recipes to files, and whether one was changed by somebody else since."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml

from core import Recipe
from core.disk import replace_file, write_error
from core.errors import OutputError
from core.recipe.file import MAX_RECIPE_BYTES
from core.recipe.recipe import recipe_as_dict
from core.recipe.yaml_values import Dumper
from core.small_files import read_if_there

__all__ = ["FileContent", "save_recipe"]


@dataclass(frozen=True)
class FileContent:
    """What a recipe's file held when it was read or written.

    Its content alone says whether it is another one: a copy, a touch or a sync changes the rest.

    Attributes:
        digest: of the content; None where there was no file.
    """

    digest: bytes | None

    @classmethod
    def of(cls, path: Path) -> FileContent:
        """What is there now. To be asked before the file is read, so that no change falls in between.

        Raises:
            OutputError: something is there that is no recipe's file: a folder, a pipe, a file of gigabytes.
        """
        content = read_if_there(path, MAX_RECIPE_BYTES, OutputError)
        return cls(None if content is None else _digest(content))

    def is_still_in(self, path: Path) -> bool:
        """Whether saving to `path` would replace nothing that was not read or written here.

        Raises:
            OutputError: as `of`; saving there cannot go well either.
        """
        now = FileContent.of(path)
        return now.digest is None or now == self


def save_recipe(recipe: Recipe, path: Path) -> FileContent:
    """Write `recipe` as YAML. Models below the file's folder are named relative to it: they move together.

    What was in `path` before stays until the new text is complete. A link stays one, and the file that it
    leads to keeps its permissions.

    Returns:
        What is in `path` now.

    Raises:
        OutputError: the file cannot be written, or `path` is a folder, a pipe or a device.
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
    content = text.encode()
    replace_file(Path(os.path.realpath(path)), content, mode=_mode(path))
    return FileContent(_digest(content))


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


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


class _Dumper(Dumper):
    """Lists of numbers are on one line, and list items are indented by two spaces."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_numbers(self, data: list[Any]) -> yaml.Node:
        numbers = all(isinstance(item, int | float) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=numbers)


_Dumper.add_representer(list, _Dumper.represent_numbers)
