"""Reading a recipe, which may lie on a slow disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal

from core import Recipe, load_recipe
from gui.document.merge_setup import output_beside
from gui.document.recipe_files import Fingerprint, fingerprint
from gui.failure import Failure
from gui.jobs import Job

__all__ = ["ReadRecipe", "ReadRecipeJob", "read_recipe"]


@dataclass(frozen=True)
class ReadRecipe:
    """A recipe that was read.

    Attributes:
        path: its file.
        recipe: what it says.
        known: what the file was like.
        out: where its output could go.
    """

    path: Path
    recipe: Recipe
    known: Fingerprint | None
    out: Path


def read_recipe(path: Path) -> ReadRecipe:
    """Read `path`. Raises MergeError."""
    known = fingerprint(path)  # before it is read: what is written meanwhile counts as a change
    return ReadRecipe(path, load_recipe(path), known, output_beside(path))


class ReadRecipeJob(Job):
    """Reads one recipe.

    Signals:
        read(object): a ReadRecipe.
        failed(object): a Failure; exactly one of the two is emitted.
    """

    read = Signal(object)
    failed = Signal(object)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def run(self) -> None:
        try:
            found = read_recipe(self._path)
        except BaseException as error:
            self.failed.emit(Failure.of(error))
        else:
            self.read.emit(found)
