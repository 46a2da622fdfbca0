"""The models that a recipe lists, each with the parameters that are given for it alone."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import RecipeError, addressed
from core.methods import MethodSpec
from core.recipe.reasons import Reasons
from core.recipe.references import read_path, reference_in, same_folder
from core.recipe.rules import ParameterSetting, read_setting

__all__ = ["ModelEntry", "place_of", "read_models", "read_parameters"]

_LONGEST_QUOTED = 200
"""Characters of what a hint says again."""


@dataclass(frozen=True)
class ModelEntry:
    """A sub-model as the recipe names it.

    Attributes:
        path: its folder.
        parameters: what is given for it alone, checked.
    """

    path: Path
    parameters: Mapping[str, ParameterSetting] = field(default_factory=dict)


@addressed(field="models")
def read_models(
    value: Any, method: MethodSpec, folder: Path, base: Path | None, *, twice: str | None = None
) -> tuple[ModelEntry, ...]:
    """The sub-models in `value`, without the base where the method reads one; `twice` is a hint against one
    that stands there twice.

    Raises:
        RecipeError: an entry is none, or two entries are one model.
    """
    if value is None:
        value = []
    if not isinstance(value, list):
        raise RecipeError("models is not a list", hint="write one line `- model: FOLDER` for each sub-model")
    entries = []
    reasons = Reasons()
    for number, item in enumerate(value):
        with reasons.noted(), addressed(entry=number):
            entries.append(_entry(item, method, folder, f"models, entry {number + 1}"))
    reasons.refuse()
    places: dict[Hashable, int] = {}
    result = []
    for number, entry in enumerate(entries):
        if method.reads_base and base is not None and same_folder(entry.path, base):
            continue
        first = places.setdefault(place_of(entry.path), number)
        if first != number:
            raise RecipeError(
                f"models, entries {first + 1} and {number + 1} are the same model: {entry.path}",
                hint=twice
                or "leave one of them out, or name another folder there"
                + ("; a larger weight makes a model count more" if method.weight is not None else ""),
                entry=number,
            )
        result.append(entry)
    return tuple(result)


def place_of(folder: Path) -> Hashable:
    """What is equal for two spellings of one folder, which need not be there."""
    try:
        found = os.stat(folder)
    except (OSError, ValueError):
        leads = os.path.islink(folder)  # to nowhere; of what is not there the spelling is all there is
        return os.path.realpath(folder) if leads else os.path.normpath(folder)
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(folder)


def _entry(item: Any, method: MethodSpec, folder: Path, where: str) -> ModelEntry:
    if not isinstance(item, dict):
        name = item if isinstance(item, str) and len(item) < _LONGEST_QUOTED else "FOLDER"
        raise RecipeError(f"{where} is not a mapping", hint=f"write it as `- model: {name}`")
    if item.get("model") is None:
        raise RecipeError(f"{where} names no model", hint="write it as `- model: FOLDER`")
    reasons = Reasons()
    path, parameters = Path(), {}
    with reasons.noted():
        path = read_path(reference_in(item), folder, f"{where}: model")
    with reasons.noted():
        parameters = read_parameters(item.get("parameters"), method, f"{where}: parameters")
    reasons.refuse()
    return ModelEntry(path, parameters)


@addressed(field="parameters")
def read_parameters(value: Any, method: MethodSpec, where: str) -> dict[str, ParameterSetting]:
    """The settings in `value`, whose names were looked at before (see core.recipe.keys)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecipeError(f"{where} is not a mapping of names to values")
    result: dict[str, ParameterSetting] = {}
    reasons = Reasons()
    for name, given in value.items():
        spec = method.parameter(name) if isinstance(name, str) else None
        if spec is not None:
            with reasons.noted():
                result[spec.name] = read_setting(given, spec, f"{where}.{name}")
    reasons.refuse()
    return result
