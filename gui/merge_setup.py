"""What the fields of the window say together, and whether that is enough for a merge. No Qt."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import Recipe, parse_recipe
from core.methods import METHODS, ParameterValue
from core.recipe import recipe_as_dict
from gui.reports import ModelSummary

__all__ = ["MergeSetup", "free_name", "output_beside", "rest_of_recipe", "why_not_ready"]

_SHOWN = ("merge_method", "base_model", "models", "parameters", "seed")
"""The keys of a recipe that have a field in the window."""


@dataclass(frozen=True)
class MergeSetup:
    """What is to be merged, as the fields say it.

    Attributes:
        method: the name of the merge method.
        base: the base's folder, or None.
        models: (folder, weight) of each sub-model that takes part. [K]
        parameters: the values of the method's form.
        seed: of the draws; None while the field holds no number.
        out: the output folder as typed, "" for none.
        rest: the keys of an opened recipe that have no field here.
    """

    method: str
    base: Path | None
    models: tuple[tuple[Path, float], ...]
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    seed: int | None = 0
    out: str = ""
    rest: Mapping[str, Any] = field(default_factory=dict)

    def recipe(self) -> Recipe:
        """The same as a recipe, checked by the engine. Raises RecipeError."""
        weighted = METHODS[self.method].parameter("weight") is not None
        data: dict[str, Any] = {"merge_method": self.method}
        if self.base is not None:
            data["base_model"] = str(self.base)
        data["models"] = [
            {"model": str(folder)} | ({"parameters": {"weight": weight}} if weighted else {})
            for folder, weight in self.models
        ]
        if self.parameters:
            data["parameters"] = dict(self.parameters)
        data["seed"] = self.seed
        return parse_recipe(data | dict(self.rest), Path.cwd())


def rest_of_recipe(recipe: Recipe) -> dict[str, Any]:
    """What `recipe` says beyond the fields of the window and beyond its defaults."""
    usual = {"nonfinite": "pass", "vocab": "union"}
    return {
        key: value
        for key, value in recipe_as_dict(recipe).items()
        if key not in _SHOWN and usual.get(key) != value
    }


def why_not_ready(
    setup: MergeSetup, base: ModelSummary | None, models: Sequence[ModelSummary | None]
) -> str | None:
    """What is missing before Merge can be pressed, as one sentence; None where nothing is.

    Args:
        setup: what the fields say.
        base: what the base's headers say; None while they are read.
        models: likewise, for each sub-model that takes part.
    """
    needs_base = METHODS[setup.method].needs_base
    if setup.base is None and needs_base:
        return "Choose the base model."
    if not setup.models:
        return "Add at least one sub-model."
    summaries = [*([base] if setup.base is not None else []), *models]
    for summary in summaries:
        if summary is not None and summary.problem is not None:
            return f"{summary.name} cannot be read."
    if needs_base and any(folder == setup.base for folder, _ in setup.models):
        return "The base is in the list of sub-models, too."
    if None in summaries:
        return "Reading the models…"
    if setup.seed is None:
        return "Give a seed."
    if not setup.out:
        return "Choose an output folder."
    if os.path.lexists(setup.out):
        return "The output folder exists already."
    return None


def free_name(out: Path) -> Path:
    """`out`, or `out-2`, `out-3`, … : the first that neither exists nor is being written."""
    if not _taken(out):
        return out
    found = re.fullmatch(r"(.+)-(\d+)", out.name)
    stem, number = (found[1], int(found[2]) + 1) if found and int(found[2]) >= 2 else (out.name, 2)
    while _taken(candidate := out.with_name(f"{stem}-{number}")):
        number += 1
    return candidate


def output_beside(model: Path) -> Path:
    """Where a merge of `model` could go: beside it, or in the home folder where that cannot be written."""
    parent = model.absolute().parent
    if parent.name == "snapshots" or not os.access(parent, os.W_OK):  # the Hub's cache is no place for it
        parent = Path.home()
    return free_name(parent / "merged")


def _taken(out: Path) -> bool:
    return os.path.lexists(out) or os.path.lexists(out.with_name(f"{out.name}.partial"))
