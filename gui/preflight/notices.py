"""What is good to know before a merge that nothing stands in the way of. No Qt."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from core import MergePlan, Recipe
from core.checkpoint.model import model_names
from core.methods import METHODS
from core.units import bytes_text
from gui.document.merge_setup import MergeSetup
from gui.failure import sentence
from gui.preflight.addresses import folders_of
from gui.preflight.report import Problem

__all__ = ["disk_warnings", "warnings_of"]

_DISK_SHARE_TO_KEEP = 0.1


def warnings_of(setup: MergeSetup, plan: MergePlan) -> Iterator[Problem]:
    yield from _number_warnings(setup)
    names = {folder: plan.names.get(place, folder.name) for place, folder in folders_of(setup).items()}
    for warning in plan.warnings:
        target, path = "models", None
        if "tokenizer" in warning and setup.tokenizer_source is not None:
            target = "tokenizer_source"
        elif "vocabular" in warning:
            target = "vocab"
        else:
            path = _named(warning, names)
        yield Problem(sentence(warning), None, target, path)
    merged = {entry.path for entry in plan.recipe.models}
    for folder, name in names.items():
        if Path.cwd() / folder not in merged:
            yield Problem(f"{name} is the base, and is left out.", None, "models", folder)
    if len(plan.models) == 1 and _copies_one(plan.recipe):
        yield Problem(
            f"The result will be a copy of {plan.models[0].name}, the only sub-model.",
            "Add others, or raise K.",
            "models",
        )


def _named(warning: str, names: Mapping[Path, str]) -> Path:
    """The folder of the sub-model that `warning` names, the first one's where it names none or several."""
    found = [
        folder for folder, name in names.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", warning)
    ]
    return found[0] if len(found) == 1 else next(iter(names))


def _number_warnings(setup: MergeSetup) -> Iterator[Problem]:
    """That the method leaves out models which are ticked."""
    method = METHODS[setup.method]
    most, taking_part = method.most_models, setup.taking_part
    ticked = sum(choice.enabled for choice in setup.models)
    if most is not None and ticked > most == len(taking_part):
        names = model_names([choice.folder for choice in taking_part])
        yield Problem(
            f"{method.title} takes {method.models_text()}, here {', '.join(names)}: the first of "
            f"{ticked} that are ticked.",
            "Tick only the one to be merged, or move it to the top."
            if most == 1
            else "Tick only those to be merged, or move them to the top.",
            "models",
            taking_part[0].folder,
        )


def _copies_one(recipe: Recipe) -> bool:
    """Whether the method makes of one sub-model a copy of it: the only share is the whole."""
    switches = (spec for spec in recipe.method.parameters if spec.kind == "flag" and spec.scope == "merge")
    usual = all(recipe.plain_value(spec.name) == spec.default for spec in switches)
    return recipe.method.weight == "share" and usual


def disk_warnings(out: Path, left: int) -> Iterator[Problem]:
    place = next(parent for parent in out.parents if os.path.isdir(parent))
    if left < _DISK_SHARE_TO_KEEP * shutil.disk_usage(place).total:
        yield Problem(f"The disk will be nearly full: {bytes_text(left)} will be free.", None, "out")
