"""`modules` of mergekit: the towers of a model, each merged as it is said below its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import RecipeError
from core.text import shown

__all__ = ["without_modules"]

_LISTS = ("models", "slices")


def without_modules(data: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """`data` with what stands below the name of its one module in the place of `modules`.

    A model of one tower has one module, whatever it is called: mergekit calls it `default`. Several towers
    are one where all models are merged alike in each. What the module gives counts before the recipe's own
    parameters.

    Raises:
        RecipeError: there are several modules, or what is there is none.
    """
    modules = data.get("modules")
    if modules is None:
        return data
    hint = "write `modules: {default: {slices: […]}}`, or slices in the place of modules"
    if not isinstance(modules, dict) or not modules:
        raise RecipeError(f"modules is {shown(modules)}, and no module", hint=hint, field="modules")
    every = list(modules.values())
    if len(every) > 1 and all(one == every[0] for one in every) and not _has_slices(every[0]):
        modules = dict(list(modules.items())[:1])
    if len(modules) > 1:
        names = ", ".join(shown(name) for name in modules)
        raise RecipeError(
            f"modules has {len(modules)} modules, {names}: towers of one model that are merged in different "
            "ways are not supported",
            hint="if all towers are merged alike, write what stands below the first name in the place of "
            "modules; filters give parts of a model parameters of their own",
            field="modules",
        )
    ((name, module),) = modules.items()
    if not isinstance(module, dict):
        raise RecipeError(f"modules: {shown(name)} is not a mapping", hint=hint, field="modules")
    for key in module:
        if key not in (*_LISTS, "parameters"):
            raise RecipeError(
                f"modules, {shown(name)}: unknown key {shown(key)}",
                hint="the keys of a module are: slices, models, parameters",
                field="modules",
            )
    twice = next((key for key in _LISTS if data.get(key) is not None), None)
    if twice is not None or all(module.get(key) is None for key in _LISTS):
        raise RecipeError(
            f"modules, {shown(name)}: "
            + (f"{twice} stands beside modules" if twice else "there are neither slices nor models"),
            hint="list what is merged in one place",
            field="modules",
        )
    result = {key: value for key, value in data.items() if key != "modules"}
    result |= {key: module[key] for key in _LISTS if module.get(key) is not None}
    inner, outer = module.get("parameters"), data.get("parameters")
    if isinstance(inner, dict) and isinstance(outer, dict):
        result["parameters"] = {
            name: _chained(inner.get(name), outer.get(name)) for name in dict.fromkeys([*inner, *outer])
        }
    elif inner is not None:
        result["parameters"] = inner
    return result


def _has_slices(module: Any) -> bool:
    return not isinstance(module, dict) or module.get("slices") is not None


def _chained(inner: Any, outer: Any) -> Any:
    """`inner`, and `outer` for the tensors of which its conditions say nothing."""
    conditions = [inner] if isinstance(inner, dict) else inner
    if inner is None or outer is None:
        return outer if inner is None else inner
    if not isinstance(conditions, list) or not any(isinstance(one, dict) for one in conditions):
        return inner
    if any(not isinstance(one, dict) or one.get("filter") in (None, "", "*") for one in conditions):
        return inner
    if isinstance(outer, dict):
        return [*conditions, outer]
    if isinstance(outer, list) and any(isinstance(one, dict) for one in outer):
        return [*conditions, *outer]
    return [*conditions, {"value": outer}]
