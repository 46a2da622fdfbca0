"""What to call a merge that has counted: by what makes its numbers what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.methods import METHODS, MethodSpec
from core.recipe.recipe import Recipe
from core.recipe.writing import recipe_as_dict
from core.run.record import RunRecord

__all__ = ["MergeName"]


@dataclass(frozen=True)
class MergeName:
    """Which merge it was that counted.

    Attributes:
        method: its name in recipes.
        n: resamples; None where the tensors have different ones, and where none are.
        seed: of the draws.
        settings: the parameters that are not as they are by default, in words; "" for none.
        draws: whether anything was drawn.
    """

    method: str
    n: int | None
    seed: int
    settings: str = ""
    draws: bool = True

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> MergeName:
        return cls._of(recipe_as_dict(recipe), recipe.resamples)

    @classmethod
    def of_record(cls, record: RunRecord) -> MergeName:
        drawn = {len(tensor.zero_after_draw) - 1 for tensor in record.tensors if tensor.zero_after_draw}
        return cls._of(record.recipe, next(iter(drawn)) if len(drawn) == 1 else None)

    @classmethod
    def _of(cls, data: Mapping[str, Any], n: int | None) -> MergeName:
        name, seed = data.get("merge_method", ""), data.get("seed", 0)
        method = METHODS.get(name)
        if method is None:
            return cls(name, n, seed)
        given = data.get("parameters") or {}
        values = {spec.name: given.get(spec.name, spec.default) for spec in method.parameters}
        plain = {  # rules are about numbers, and draws do not come and go with them
            spec.name: spec.default if isinstance(values[spec.name], list) else values[spec.name]
            for spec in method.parameters
        }
        return cls(name, n, seed, _settings_text(method, values, data), method.draws_with(plain))

    def __str__(self) -> str:
        """ "n = 4, seed 7"; of a method that does not draw again its title and what is set of it."""
        method = METHODS.get(self.method)
        if method is None or (method.draws and method.draws.resamples and method.draws.most is None):
            return f"{'several n' if self.n is None else f'n = {self.n}'}, seed {self.seed}"
        seed = f"seed {self.seed}" if self.draws else ""
        return ", ".join(filter(None, [method.title, self.settings, seed]))


def _settings_text(method: MethodSpec, values: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """ "magnitude, density = 0.2, λ = 0.9": what is not as it is by default and has an effect.

    Args:
        method: whose parameters they are.
        values: what a recipe says of all sub-models and tensors, by name.
        data: the recipe, in which sub-models and slices may have values of their own.
    """
    every = [*(data.get("models") or ()), *(data.get("slices") or ())]
    every += [source for one in data.get("slices") or () for source in one.get("sources", ())]
    texts = []
    for spec in method.parameters:
        own = [(one.get("parameters") or {}).get(spec.name, values[spec.name]) for one in every]
        value = own[0] if own and all(one == own[0] for one in own) else values[spec.name]
        if not spec.has_effect(values) or (value == spec.default and all(one == value for one in own)):
            continue
        if isinstance(value, list) or any(one != value for one in own):
            texts.append(f"several values of {spec.short}")
        elif spec.words:  # its values say by themselves of what they are
            texts.append(str(value))
        elif isinstance(value, bool):
            texts.append(f"{spec.short} {'on' if value else 'off'}")
        else:
            texts.append(f"{spec.short} = {value if isinstance(value, str) else f'{value:g}'}")
    return ", ".join(texts)
