"""Where a recipe that can be carried out may mean something else than its author thinks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.recipe.recipe import Recipe
from core.recipe.references import same_folder

__all__ = ["recipe_warnings"]


def recipe_warnings(recipe: Recipe, names: Mapping[Path, str] | None = None) -> list[str]:
    """Sentences for the user.

    Args:
        recipe: what is asked.
        names: what to call each folder; None for the folders themselves.
    """
    return [*_without_effect(recipe), *_idle_here(recipe), *_other_results(recipe, names)]


def _without_effect(recipe: Recipe) -> list[str]:
    names, method = recipe.idle, recipe.method.name
    if len(names) > 1:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        return [
            f"{listed} change nothing: {method} has no such parameters, and mergekit passes over them too"
        ]
    return [
        f"{name} changes nothing: {method} has no such parameter, and mergekit passes over it too"
        for name in names
    ]


def _idle_here(recipe: Recipe) -> list[str]:
    """What is given, and changes nothing with the other values."""
    found = []
    if not recipe.ruled:
        values = recipe.values_for("", 0.0)
        given = [recipe.parameters, *(entry.parameters for entry in recipe.models)]
        idle = [
            spec.name
            for spec in recipe.method.parameters
            if not spec.has_effect(values)
            and any(one.get(spec.name, spec.default) != spec.default for one in given)
        ]
        found += [f"{name} changes nothing with the other parameters as they are" for name in idle]
    if recipe.zero_tolerance and "zero_delta" not in recipe.method.counts_of(recipe.values_for("", 0.0)):
        found.append(f"zero_tolerance changes nothing: {recipe.method.name} does not ask for zero deltas")
    return found


def _other_results(recipe: Recipe, names: Mapping[Path, str] | None) -> list[str]:
    base, method = recipe.base, recipe.method
    if recipe.slices:  # of which mergekit too averages nothing but the sources
        return []
    if nothing := _no_merge(recipe, names):
        return [nothing]
    if base is None or method.reads_base or method.most_models == 1:
        return []
    name = names[base] if names is not None else str(base)
    listed = next((entry for entry in recipe.models if same_folder(entry.path, base)), None)
    common = recipe.parameters.get("weight")
    weighs = method.weight is not None
    if listed is None:
        done, does = ("averaged", "averages") if weighs else ("merged", "merges")
        weight = "" if common is None else ", with the weight given under parameters"
        how = f"`- model: {name}`" + (" and a weight of its own" if weighs and common is None else "")
        return [
            f"the base {name} is not {done}, as models does not list it, while mergekit {does} every "
            f"base_model too{weight}: for mergekit's result list it under models as well, as {how}"
        ]
    if weighs and common is None and "weight" not in listed.parameters:
        return [
            f"the base {name} is listed under models without a weight, and counts with the weight 1: "
            "give it the weight that you mean, or take it out of models to merge the others alone"
        ]
    return []


def _no_merge(recipe: Recipe, names: Mapping[Path, str] | None) -> str | None:
    """What the values of the recipe alone say of a result that is no merge; None for nothing."""
    if recipe.ruled:
        return None
    values = recipe.values_for("", 0.0)
    models = [(names or {}).get(entry.path, str(entry.path)) for entry in recipe.models]
    weights = values.get("weight")
    if weights is not None and len(models) > 1 and recipe.method.weight is not None:
        counting = [name for name, weight in zip(models, weights, strict=True) if weight]
        if len(counting) == 1:
            return f"only {counting[0]} has a weight that is not 0: the others change nothing"
    if values.get("lambda") == 0:
        return "lambda is 0: the result is the base"
    if values.get("t") == 0:
        return "t is 0: the result is the base"
    position = recipe.method.parameter("t")
    if values.get("t") == 1 and position is not None and (position.minimum or 0) < 0:
        return f"t is 1: the result is {models[0]}"  # where it is a place on a line that goes on beyond both
    return None
