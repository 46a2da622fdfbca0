"""Reading a recipe, which may lie on a slow disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal

from core import Recipe
from core.methods import MethodSpec
from core.recipe.file import load_understood
from core.recipe.keys import Obstacle
from gui.document.output_names import output_beside
from gui.document.recipe_files import Fingerprint, fingerprint
from gui.failure import Failure
from gui.jobs import Job

__all__ = ["ReadRecipe", "ReadRecipeJob", "read_recipe"]


@dataclass(frozen=True)
class ReadRecipe:
    """A recipe that was read.

    Attributes:
        path: its file.
        recipe: what it says, as far as it is understood.
        known: what the file was like.
        out: where its output could go.
        left_out: what was not understood; empty for a recipe that can be merged.
    """

    path: Path
    recipe: Recipe
    known: Fingerprint | None
    out: Path
    left_out: tuple[Obstacle, ...] = ()


def read_recipe(path: Path, stand_in: MethodSpec) -> ReadRecipe:
    """Read `path`; `stand_in` is the method where the one that it names is not known. Raises MergeError."""
    known = fingerprint(path)  # before it is read: what is written meanwhile counts as a change
    understood = load_understood(path, stand_in)
    return ReadRecipe(path, understood.recipe, known, output_beside(path), understood.left_out)


class ReadRecipeJob(Job):
    """Reads one recipe.

    Signals:
        read(object): a ReadRecipe.
        failed(object): a Failure; exactly one of the two is emitted.
    """

    read = Signal(object)
    failed = Signal(object)

    def __init__(self, path: Path, stand_in: MethodSpec) -> None:
        super().__init__()
        self._path, self._stand_in = path, stand_in

    def run(self) -> None:
        try:
            found = read_recipe(self._path, self._stand_in)
        except BaseException as error:
            self.failed.emit(Failure.of(error))
        else:
            self.read.emit(found)
