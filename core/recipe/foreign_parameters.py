"""Parameters in the recipes of other programs that change nothing, or that stand beside `parameters`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import RecipeError
from core.methods import METHODS, MethodSpec
from core.recipe.foreign_keys import OF_MERGEKIT, mergekit_parameters
from core.recipe.reasons import Reasons
from core.text import shown

__all__ = ["CHOICES", "NO_EFFECT", "idle_parameters", "is_choice_of", "is_idle", "with_choices_inside"]

CHOICES = ("sparsify", "elect", "combine")
"""Parameters that may stand beside merge_method too, of which they are parts."""

NO_EFFECT = frozenset({"int8_mask"})
"""Parameters of mergekit that change no result: what is computed in between has another type."""

_OF_SEARCHES = frozenset({"allow_negative_weights", "smooth"})
"""Parameters of a search with mergekit-evolve, which people take over into recipes."""


def is_idle(name: Any, method: MethodSpec) -> bool:
    """Whether mergekit passes over the parameter `name` for `method`, as only other methods of its have it.

    What mergekit has nowhere is a slip, or means something here alone: neither is passed over.
    """
    if method.name not in OF_MERGEKIT or not isinstance(name, str) or method.parameter(name) is not None:
        return False
    return name in _OF_SEARCHES or any(
        name in mergekit_parameters(METHODS[one]) for one in OF_MERGEKIT & METHODS.keys()
    )


def idle_parameters(data: Mapping[Any, Any], method: MethodSpec) -> tuple[str, ...]:
    """The parameters in a recipe, of its models and of its slices, that `is_idle` says change nothing."""
    found = (name for given in _places(data) for name in given if is_idle(name, method))
    return tuple(dict.fromkeys(found))


def is_choice_of(method: MethodSpec | None, key: Any) -> bool:
    """Whether `key` beside merge_method is one of CHOICES that `method` has."""
    return key in CHOICES and method is not None and method.parameter(key) is not None


def with_choices_inside(data: Mapping[Any, Any], method: MethodSpec) -> Mapping[Any, Any]:
    """The recipe `data` with what stands of CHOICES beside merge_method among its parameters.

    Raises:
        RecipeError: one stands in both places, with different values.
    """
    outside = {key: data[key] for key in data if is_choice_of(method, key)}
    inside = data.get("parameters")
    if not outside or not isinstance(inside, dict | None):
        return data
    reasons, inside = Reasons(), dict(inside or {})
    for name, value in outside.items():
        other = inside.get(name, value)
        if value not in (None, other):
            reasons.found.append(
                RecipeError(
                    f"{name} is {shown(value)} beside merge_method and {shown(other)} under parameters",
                    hint="write it in one of the two places",
                    field=name,
                )
            )
    reasons.refuse()
    inside |= {name: value for name, value in outside.items() if value is not None}
    return {**{key: value for key, value in data.items() if key not in outside}, "parameters": inside}


def _places(data: Mapping[Any, Any]) -> Iterator[Mapping[Any, Any]]:
    """Every mapping of parameters in a recipe or a slice."""
    if isinstance(given := data.get("parameters"), dict):
        yield given
    for key in ("models", "slices", "sources"):
        for item in items if isinstance(items := data.get(key), list) else ():
            if isinstance(item, dict):
                yield from _places(item)
