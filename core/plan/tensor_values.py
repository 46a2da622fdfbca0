"""The part of planning that finds each tensor's values of the recipe's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from core.checkpoint.model import Checkpoint
from core.checkpoint.names import layer_positions
from core.errors import RecipeError
from core.recipe.recipe import Recipe
from core.recipe.rules import Setting, TensorValues

__all__ = ["idle_rules", "plan_values"]


def plan_values(recipe: Recipe, reference: Checkpoint, tied: Mapping[str, str]) -> dict[str, TensorValues]:
    """What the recipe's parameters are for each tensor that is merged; a tied head has its embedding's.

    Raises:
        RecipeError: the values of a tensor make no sense together.
    """
    positions = layer_positions(reference.tensors, reference.hidden_layers)
    result = {}
    checked = set()
    for name, stored in reference.tensors.items():
        if not stored.dtype.is_float:
            continue
        ruled_as = tied.get(name, name)
        result[name] = values = recipe.values_for(ruled_as, positions[ruled_as])
        if (listed := values.listed) in checked:
            continue
        checked.add(listed)
        try:
            recipe.method.check(values.per_model, values.merge_wide)
        except RecipeError as error:
            fields = " and ".join(f"parameters.{parameter}" for parameter in recipe.ruled)
            raise RecipeError(
                f"tensor {name!r}, by the rules of {fields}: {error.message}", hint=error.hint
            ) from error
    return result


def idle_rules(recipe: Recipe, names: Mapping[Path, str], tensors: Set[str]) -> list[str]:
    """Rules that do nothing, which may be slips of the pen."""
    given = [("", recipe.parameters)]
    given += [(f" of {names[entry.path]}", entry.parameters) for entry in recipe.models]
    warnings = []
    for of_model, parameters in given:
        for name, setting in parameters.items():
            idle = setting.idle_filters(tensors) if isinstance(setting, Setting) else {}
            for filter, hits in idle.items():
                what = "hits only tensors that an entry before it hits" if hits else "hits no tensor"
                warnings.append(f"the filter {filter} of parameters.{name}{of_model} {what}")
    return warnings
