"""Which field or model of the window an error is about. No Qt."""

from __future__ import annotations

from pathlib import Path

from core import DeviceError, MergeError, Recipe, RecipeError
from core.methods import METHODS, ParameterSpec
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.preflight.report import Problem

__all__ = ["folders_of", "problem_of"]

_FIELDS = {
    "merge_method": "method",
    "base_model": "base",
    "shard_size": "shard_size_bytes",
    **{
        name: name
        for name in (
            "models",
            "seed",
            "zero_tolerance",
            "dtype",
            "out_dtype",
            "nonfinite",
            "vocab",
            "tokenizer_source",
            "tokenizer",
            "missing",
            "slices",
            "stages",
            "chat_template",
            "out",
        )
    },
}
"""What the window calls the fields that errors are about; the method's parameters come besides."""


def problem_of(error: MergeError, setup: MergeSetup, recipe: Recipe | None = None) -> Problem:
    """`error` with the field of `setup`, or the model, that it is about.

    Args:
        error: says it by its address.
        setup: what was asked for.
        recipe: what was made of it; None where the error is from making it.
    """
    failure = Failure.of_setup(error)
    target, path = _place(error, setup, recipe)
    return Problem(failure.message, failure.hint, target, path)


def folders_of(setup: MergeSetup) -> dict[Path, Path]:
    """The folders of the sub-models that take part, by what a recipe makes of them."""
    return {Path.cwd() / choice.folder: choice.folder for choice in setup.taking_part}


def _place(error: MergeError, setup: MergeSetup, recipe: Recipe | None) -> tuple[str, Path | None]:
    """The target and the path of a Problem; "" where the error has no address."""
    model = _model(error, setup, recipe)
    spec = METHODS[setup.method].parameter(error.field or "")
    if spec is not None:
        if _is_of_a_rule(error, spec, setup):
            return "rules", None
        return ("models" if spec.name == "weight" else spec.name), model
    if error.field is not None:
        target = _FIELDS.get(error.field, "")
        return target, (setup.base if target == "base" else model if target == "models" else None)
    if isinstance(error, DeviceError):
        return "device", None
    if error.path is not None and setup.base is not None and _is_in(error.path, setup.base):
        return "base", setup.base
    return ("models" if model is not None else ""), model


def _model(error: MergeError, setup: MergeSetup, recipe: Recipe | None) -> Path | None:
    """The folder of the sub-model that `error` is about, as the set-up names it."""
    folders = folders_of(setup)
    listed = [choice.folder for choice in setup.taking_part]
    if recipe is not None:
        listed = [folders.get(entry.path, entry.path) for entry in recipe.models]
    if error.entry is not None:
        return listed[error.entry] if error.entry < len(listed) else None
    if error.path is None:
        return None
    return next((folder for folder in folders.values() if _is_in(error.path, folder)), None)


def _is_in(path: Path, folder: Path) -> bool:
    return path.is_relative_to(Path.cwd() / folder)


def _is_of_a_rule(error: MergeError, spec: ParameterSpec, setup: MergeSetup) -> bool:
    """Whether it is a rule that gives the parameter `spec` what cannot be, and not its field."""
    if not any(rule.parameter == spec.name for rule in setup.rules):
        return False
    plain = [setup.parameters.get(spec.name, spec.default)]
    if spec.name == "weight":
        plain = [choice.weight for choice in setup.taking_part]
    try:
        for value in plain:
            spec.check(value, spec.name)
    except RecipeError:
        return False
    return True
