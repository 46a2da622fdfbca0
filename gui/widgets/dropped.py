"""What a drop from a file manager means. No Qt widgets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QMimeData

__all__ = ["Dropped", "dropped_paths", "sort_dropped"]


@dataclass(frozen=True)
class Dropped:
    """Dropped files, by what they are for.

    Attributes:
        folders: of models, each once.
        recipe: the last recipe, or None.
        unusable: what is neither.
    """

    folders: tuple[Path, ...]
    recipe: Path | None
    unusable: tuple[Path, ...]


def dropped_paths(mime: QMimeData) -> list[Path]:
    """The local files in `mime`."""
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def sort_dropped(paths: Iterable[Path]) -> Dropped:
    """A folder is a model, a safetensors file stands for its folder, a YAML file is a recipe."""
    folders: dict[Path, None] = {}
    recipe: Path | None = None
    unusable = []
    for path in paths:
        if os.path.isdir(path):  # False, too, for a name that the system does not take
            folders[path] = None
        elif path.name.endswith((".safetensors", ".safetensors.index.json")):
            folders[path.parent] = None
        elif path.suffix.lower() in {".yaml", ".yml"}:
            recipe = path
        else:
            unusable.append(path)
    return Dropped(tuple(folders), recipe, tuple(unusable))
