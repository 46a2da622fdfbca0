"""What a drop from a file manager means. No Qt widgets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QMimeData

from core.checkpoint.finding import has_adapter, has_weights

__all__ = ["Dropped", "dropped_links", "dropped_paths", "sort_dropped", "what_is_dropped"]


@dataclass(frozen=True)
class Dropped:
    """Dropped files, by what they are for.

    Attributes:
        folders: of models, each once.
        recipe: the last recipe, or None.
        unusable: what is neither.
        models: the folders and the files of weights, as they were dropped.
        links: addresses that are no local files.
    """

    folders: tuple[Path, ...] = ()
    recipe: Path | None = None
    unusable: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    links: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is something to be said or done about it."""
        return bool(self.models or self.recipe or self.unusable or self.links)


def what_is_dropped(mime: QMimeData) -> Dropped:
    """What `mime` brings, sorted; nothing where it comes from within a list."""
    return sort_dropped(dropped_paths(mime), dropped_links(mime))


def dropped_paths(mime: QMimeData) -> list[Path]:
    """The local files in `mime`."""
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def dropped_links(mime: QMimeData) -> list[str]:
    """The addresses in `mime` that are no local files."""
    return [url.toString() for url in mime.urls() if not url.isLocalFile() and not url.isEmpty()]


def sort_dropped(paths: Iterable[Path], links: Iterable[str] = ()) -> Dropped:
    """A folder is a model, a file of weights stands for its folder, a YAML file is a recipe."""
    folders: dict[Path, None] = {}
    models: dict[Path, None] = {}
    recipe: Path | None = None
    unusable = []
    for path in paths:
        if os.path.isdir(path):  # False, too, for a name that the system does not take
            folders[path] = models[path] = None
        elif has_weights([path.name]) or has_adapter([path.name]):
            folders[path.parent] = models[path] = None
        elif path.suffix.lower() in {".yaml", ".yml"}:
            recipe = path
        else:
            unusable.append(path)
    return Dropped(tuple(folders), recipe, tuple(unusable), tuple(models), tuple(links))
