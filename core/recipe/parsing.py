"""Reading a recipe: every reason against it is noted, and all are raised as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from core.errors import RecipeError, addressed, merge_errors_only
from core.methods import MethodSpec
from core.recipe.chat_template import read_chat_template
from core.recipe.fields import (
    read_choice,
    read_dtype,
    read_seed,
    read_zero_tolerance,
)
from core.recipe.foreign_parameters import idle_parameters, with_choices_inside
from core.recipe.keys import find_obstacles, note_unknown, refuse_other_file
from core.recipe.method_name import read_method
from core.recipe.models import read_models, read_parameters
from core.recipe.modules import without_modules
from core.recipe.named_bases import common_base
from core.recipe.reasons import Reasons
from core.recipe.recipe import Recipe, Slice, Stage
from core.recipe.references import read_path
from core.recipe.slices import models_of_slices, read_slices, slice_obstacles
from core.recipe.stages import parsed_stages
from core.recipe.tokenizer_section import TokenizerWish, read_tokenizer

__all__ = ["parse_recipe"]

_BASE_ALONE = (
    "list at least one beside the base; to take over the base as it is, with its adapters, write "
    "`merge_method: passthrough` without a base_model"
)

_Value = TypeVar("_Value")


@merge_errors_only()
def parse_recipe(data: Any, folder: Path) -> Recipe:
    """The recipe in `data`, a mapping with the keys of a recipe file.

    Args:
        data: what the YAML file holds.
        folder: what relative paths are relative to.

    Raises:
        RecipeError: with one sentence that names the field, and its address.
    """
    if not isinstance(data, dict):
        raise RecipeError(
            "the recipe is not a mapping of keys to values",
            hint="begin with a line such as merge_method: linear",
        )
    refuse_other_file(data)
    return _Reading(data, folder).recipe()


class _Reading:
    """One pass over the data of a recipe, which notes every reason against it and raises them as one."""

    def __init__(self, data: Mapping[Any, Any], folder: Path) -> None:
        self._data, self._folder = data, folder
        self._reasons = Reasons()

    def recipe(self) -> Recipe:
        stages: tuple[Stage, ...] = ()
        with self._reasons.noted():
            self._data = without_modules(self._data)
        with self._reasons.noted():
            stages, self._data = parsed_stages(self._data, self._folder, parse_recipe, self._reasons)
        recipe = self._own(stages)
        self._reasons.refuse()
        assert recipe is not None  # else there is a reason
        _check_parts(recipe)
        return recipe

    def _own(self, stages: tuple[Stage, ...]) -> Recipe | None:
        """What is said beside `stages`; None where the method is not known."""
        data, folder, read = self._data, self._folder, self._read
        method = read(lambda: read_method(data.get("merge_method")))
        if method is not None:
            data = read(partial(with_choices_inside, data, method)) or data
        note_unknown(chain(find_obstacles(data, method), slice_obstacles(data, method)), self._reasons)
        base = read(partial(_read_base, data, folder))
        fields: dict[str, Any] = {
            "seed": read(lambda: read_seed(data.get("seed"))) or 0,
            "dtype": read(lambda: read_dtype(data, "dtype")),
            "out_dtype": read(lambda: read_dtype(data, "out_dtype")),
            "zero_tolerance": read(lambda: read_zero_tolerance(data.get("zero_tolerance"))),
            "nonfinite": read(lambda: read_choice(data, "nonfinite", ("pass", "error"))) or "pass",
            "missing": read(lambda: read_choice(data, "missing", ("error", "from_base", "omit"))),
            "chat_template": read(lambda: read_chat_template(data.get("chat_template"))),
        }
        if data.get("models") is not None and data.get("slices") is not None:
            self._note(
                "models and slices are both there, and each says what is merged",
                "keep models to merge all layers, or slices to say which",
                "slices",
            )
        if method is None:
            return None
        parameters = read(lambda: read_parameters(data.get("parameters"), method, "parameters")) or {}
        before = len(self._reasons.found) if "modules" not in data else -1
        slices: tuple[Slice, ...] = ()
        if data.get("slices") is not None:
            slices = read(lambda: read_slices(data["slices"], method, folder)) or ()
            slices, models = models_of_slices(slices, method, base)
        else:
            models = read(lambda: read_models(data.get("models"), method, folder, base)) or ()
            if models and method.base == "needed" and data.get("base_model") is None:
                base = read(lambda: common_base([entry.path for entry in models]))
                models = read(lambda: read_models(data.get("models"), method, folder, base)) or ()
        is_read = len(self._reasons.found) == before
        has_bases = bool(slices) and all(one.base for one in slices)
        is_missing = base is None and data.get("base_model") is None and not has_bases
        if method.base == "needed" and is_missing and is_read:
            hint = _base_hint(method, data.get("models"))
            self._note(f"merge_method {method.name} needs a base_model", hint, "base_model")
        elif not models and is_read:
            hint = _BASE_ALONE if data.get("models") else "list at least one under models"
            self._note("there is no sub-model to merge (K = 0)", hint, "models")
        if fields["missing"] == "from_base" and data.get("base_model") is None:
            self._note(
                "missing is from_base, and the recipe has no base_model",
                "add base_model: the folder of the base, or write missing: omit to leave such tensors out",
                "missing",
            )
        folders = [entry.path for entry in models]
        wish = read(lambda: read_tokenizer(data, base, folder, folders)) or TokenizerWish()
        fields |= {"vocab": wish.vocab, "tokenizer_source": wish.source, "tokenizer": wish.section}
        fields["idle"] = idle_parameters(data, method)
        return Recipe(method, models, base, parameters, slices=slices, stages=stages, **fields)

    def _read(self, read: Callable[[], _Value]) -> _Value | None:
        with self._reasons.noted():
            return read()
        return None

    def _note(self, sentence: str, hint: str, field: str) -> None:
        self._reasons.found.append(RecipeError(sentence, hint=hint, field=field))


def _read_base(data: Mapping[Any, Any], folder: Path) -> Path | None:
    with addressed(field="base_model"):
        value = data.get("base_model")
        return None if value is None else read_path(value, folder, "base_model")


def _check_parts(recipe: Recipe) -> None:
    """Refuse what no model could be merged by: too many of them, or values that make no sense together."""
    reasons = Reasons()
    for at, part in enumerate(recipe.parts):
        with reasons.noted():
            _check_part(recipe, at, part)
    reasons.refuse()


def _check_part(recipe: Recipe, at: int, part: Recipe) -> None:
    try:
        _check_number(part.method, len(part.models))
        if not part.ruled:  # else the values of each tensor are checked when it is planned
            part.method.check(part.values_for("", 0.0), None)
    except RecipeError as error:
        if not recipe.slices:
            raise
        raise RecipeError(
            f"slices, entry {at + 1}: {error.message}",
            hint=error.hint and error.hint.replace("under models", "under its sources"),
            field="slices",
            entry=at,
        ) from error


def _check_number(method: MethodSpec, models: int) -> None:
    least, most = method.least_models, method.most_models
    if models >= least and (most is None or models <= most):
        return
    beside = " beside the base" if method.reads_base else ""
    there = "there is 1" if models == 1 else f"there are {models}"
    if models >= least:
        hint = f"leave {models - (most or 0)} of them out"
    else:
        hint = _BASE_ALONE if least == 1 else f"list {least - models} more under models"
    raise RecipeError(
        f"merge_method {method.name} takes {method.models_text()}{beside}, and {there}",
        hint=hint,
        field="models",
    )


def _base_hint(method: MethodSpec, models: Any) -> str:
    """What to do where a base is missing: with mergekit, models may list it beside the sub-models."""
    most = method.most_models
    if isinstance(models, list) and most is not None and len(models) == most + 1:
        return f"name one of the {len(models)} models as base_model too; it may stay under models"
    return "add base_model: the folder of the base"
