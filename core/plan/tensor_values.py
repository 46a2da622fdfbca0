"""The part of planning that finds each tensor's values of the recipe's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from core.checkpoint.model import Checkpoint
from core.checkpoint.names import layer_positions
from core.kernels.interface import Values
from core.plan.correspond import Correspondence
from core.recipe.recipe import Recipe
from core.recipe.rules import Setting

__all__ = ["idle_rules", "plan_values"]


def plan_values(
    recipe: Recipe,
    reference: Checkpoint,
    sources: Correspondence,
    positions: Mapping[str, float] | None = None,
) -> dict[str, Values]:
    """What the recipe's parameters are for each tensor that is merged; a tied head has its embedding's.

    `positions` says how deep in the layers each tensor is; None for its place in all layers of `reference`.
    """
    if positions is None:
        positions = layer_positions(reference.tensors, reference.hidden_layers)
    result = {}
    for tensor in sources.tensors:
        if tensor.offered.dtype.is_float:
            ruled_as = sources.tied.get(tensor.name, tensor.name)
            result[tensor.name] = recipe.values_for(ruled_as, positions.get(ruled_as, 0.0))
    return result


def idle_rules(recipe: Recipe, names: Mapping[Path, str], tensors: Set[str]) -> list[str]:
    """Rules that do nothing, which may be mistakes."""
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
