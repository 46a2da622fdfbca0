"""Recipes as the fields of the window say them. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import Recipe
from core.methods import ParameterSpec, ParameterValue
from core.recipe.recipe import Slice, SliceSource
from core.recipe.writing import recipe_as_dict
from gui.document.merge_setup import WEIGHT, MergeSetup, ModelChoice, Rule, form_parameters

__all__ = ["setup_of_recipe"]


def setup_of_recipe(recipe: Recipe, before: MergeSetup) -> MergeSetup:
    """The fields that say `recipe`; what no recipe says stays as it was `before`.

    Rules that hold for every sub-model become one rule for all of them.
    """
    data = recipe_as_dict(recipe)
    given = data.get("parameters", {})
    none: dict[str, Any] = {}
    slices, common = _without_common_weights(recipe.slices, data.get("slices", ()))
    entries = data.get("models") or [{"parameters": common.get(one.path, none)} for one in recipe.models]
    own = [entry.get("parameters", none) for entry in entries]
    fields = {spec.name for spec in form_parameters(recipe.method)}
    parameters: dict[str, ParameterValue] = {}
    rules: list[Rule] = []
    weights = [1.0] * len(own)
    for spec in recipe.method.parameters:
        name = spec.name
        conditions, plain = _split(_conditions(given.get(name)), spec)
        if name in fields:
            parameters[name] = spec.default if plain is None else plain
        if spec.scope == "merge":
            rules += (Rule(name, None, *condition) for condition in conditions)
            continue
        by_model = []
        for at, values in enumerate(own):
            mine, my_plain = _split(
                _first([*_conditions(values.get(name)), *_conditions(given.get(name))]), spec
            )
            if name == WEIGHT:
                weights[at] = float(spec.default if my_plain is None else my_plain)
            elif my_plain is not None and my_plain != plain:
                mine.append(("", (my_plain,)))
            by_model.append(mine)
        rules += _rules(name, [entry.path for entry in recipe.models], by_model)
    return replace(
        before,
        method=recipe.method.name,
        base=recipe.base,
        models=tuple(
            ModelChoice(entry.path, weight) for entry, weight in zip(recipe.models, weights, strict=True)
        ),
        k=len(recipe.models),
        parameters=parameters,
        rules=tuple(rules),
        seed=recipe.seed,
        dtype=recipe.dtype.torch_name if recipe.dtype else None,
        out_dtype=recipe.out_dtype.torch_name if recipe.out_dtype else None,
        zero_tolerance=recipe.zero_tolerance,
        nonfinite=recipe.nonfinite,
        vocab=recipe.vocab,
        tokenizer_source=None if recipe.vocab == "base" else recipe.tokenizer_source,
        tokenizer=recipe.tokenizer,
        missing=recipe.missing,
        slices=slices,
        chat_template=recipe.chat_template,
        stages=recipe.stages,
        overwrite=False,
        unread={},
    )


def _without_common_weights(
    slices: Sequence[Slice], data: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Slice, ...], dict[Path, dict[str, Any]]]:
    """`slices` without the weights that a model has alike in all of them, and those weights: they belong into
    the list of models, where they can be changed for all slices at once.

    Args:
        slices: of a recipe.
        data: the same as the recipe's file says them.
    """
    said: dict[Path, list[Any]] = {}
    for one, written in zip(slices, data, strict=True):
        for source, entry in zip(one.sources, written["sources"], strict=True):
            alone = WEIGHT not in one.parameters  # or else it would hold where the list says the usual weight
            own = entry.get("parameters", {}).get(WEIGHT) if alone else None
            said.setdefault(source.model.path, []).append(own)
    common = {
        path: {WEIGHT: weights[0]}
        for path, weights in said.items()
        if weights[0] is not None and all(weight == weights[0] for weight in weights)
    }
    return tuple(
        replace(one, sources=tuple(_without(source, common) for source in one.sources)) for one in slices
    ), common


def _without(source: SliceSource, common: Mapping[Path, Any]) -> SliceSource:
    """`source` without the weight that its model has in `common`."""
    if source.model.path not in common:
        return source
    rest = {name: value for name, value in source.model.parameters.items() if name != WEIGHT}
    return replace(source, model=replace(source.model, parameters=rest))


_Condition = tuple[str, tuple[ParameterValue, ...]]
"""A filter, and the value where it hits."""


def _conditions(value: Any) -> list[_Condition]:
    """What a recipe says of a parameter, as conditions in the order in which they are tried."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [("", (value,))]
    if not any(isinstance(item, Mapping) for item in value):
        return [("", tuple(value))]
    result = []
    for item in value:
        hits = item.get("filter")
        number = item["value"]
        result.append(
            ("" if hits in (None, "*") else hits, tuple(number) if isinstance(number, list) else (number,))
        )
    return _first(result)


def _first(conditions: list[_Condition]) -> list[_Condition]:
    """Without those that are never reached."""
    for at, (hits, _) in enumerate(conditions):
        if not hits:
            return conditions[: at + 1]
    return conditions


def _split(
    conditions: list[_Condition], spec: ParameterSpec
) -> tuple[list[_Condition], ParameterValue | None]:
    """The conditions, and the one number that holds where none of them hits; None where one always does."""
    if not conditions or conditions[-1][0]:
        return conditions, spec.default
    if len(conditions[-1][1]) == 1:
        return conditions[:-1], conditions[-1][1][0]
    return conditions, None


def _rules(name: str, folders: Sequence[Path], by_model: Sequence[list[_Condition]]) -> list[Rule]:
    """One rule for what all sub-models begin with, rules of each one's own, one for what all end with."""
    first = _common(by_model)
    rest = [conditions[first:] for conditions in by_model]
    last = _common([conditions[::-1] for conditions in rest])
    rules = [Rule(name, None, *condition) for condition in by_model[0][:first]]
    for folder, conditions in zip(folders, rest, strict=True):
        rules += (Rule(name, folder, *condition) for condition in conditions[: len(conditions) - last])
    rules += (Rule(name, None, *condition) for condition in rest[0][len(rest[0]) - last :])
    return rules


def _common(lists: Sequence[list[_Condition]]) -> int:
    """How many conditions all of `lists` begin with."""
    count = 0
    for conditions in zip(*lists, strict=False):
        if any(condition != conditions[0] for condition in conditions):
            break
        count += 1
    return count
