"""Values that change from tensor to tensor: gradients over the layers, and rules for parts of the names.

As in mergekit 0.1.5, a parameter's value in a recipe is one of

- a number, for every tensor;
- a list of numbers, a gradient: the first holds in the first layer, the last in the last one, and the
  layers between are interpolated between the two numbers they lie between; a tensor outside the layers
  (embedding, norm, head) has the first;
- a list of conditions `{filter: TEXT, value: NUMBER OR GRADIENT}`. The first one whose text is part of the
  tensor's name says the value; one without a filter, or with "*", is for every tensor. Where none is for
  it, the value is looked for one place further out: a sub-model's parameters, the recipe's, the default.

The value of a whole-number parameter between two numbers of a gradient is the nearest whole number, and
the even one of two that are as near; mergekit refuses those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from core.errors import RecipeError, addressed
from core.methods.spec import ParameterSpec, ParameterValue
from core.recipe.keys import refuse_unknown
from core.text import is_text, shown

__all__ = [
    "Condition",
    "ParameterSetting",
    "Setting",
    "chained",
    "is_hit",
    "parameters_data",
    "read_setting",
    "setting_data",
    "tensors_hit",
]


@dataclass(frozen=True)
class Condition:
    """A value for the tensors that a filter hits.

    Attributes:
        filter: a part of their names; None, "" or "*" for every tensor.
        values: one number, or the numbers of a gradient over the layers.
    """

    filter: str | None
    values: tuple[float | int, ...]

    def hits(self, tensor: str) -> bool:
        """Whether it is for the tensor of that name."""
        return is_hit(self.filter, tensor)

    def value_at(self, position: float) -> float | int:
        """The value at `position`: 0 in the first layer and outside the layers, 1 in the last."""
        scaled = position * (len(self.values) - 1)
        at = int(scaled)
        share = scaled - at
        low, high = self.values[at], self.values[min(at + 1, len(self.values) - 1)]
        value = (1 - share) * low + share * high
        if isinstance(low, int) and isinstance(high, int):
            return round(value)
        return value if isfinite(value) else low  # the sum of two shares of the largest number


@dataclass(frozen=True)
class Setting:
    """A parameter's value in a recipe where it is more than one number. Made by `read_setting`.

    Attributes:
        conditions: in the recipe's order; the first one that hits a tensor holds. A gradient for every
            tensor is one condition without a filter.
    """

    conditions: tuple[Condition, ...]

    def condition_for(self, tensor: str) -> Condition | None:
        """The condition that holds for the tensor of that name; None where none does."""
        return next((condition for condition in self.conditions if condition.hits(tensor)), None)

    def value_for(self, tensor: str, position: float) -> float | int | None:
        """The value of the tensor of that name at `position` (see `Condition.value_at`), or None."""
        condition = self.condition_for(tensor)
        return None if condition is None else condition.value_at(position)

    def idle_filters(self, tensors: Iterable[str]) -> dict[str, bool]:
        """The filters that decide about none of `tensors`, and whether they hit some all the same.

        True for a filter whose tensors all fall to conditions before it.
        """
        names = tuple(tensors)
        deciding = {id(self.condition_for(name)) for name in names}
        return {
            shown(condition.filter): any(condition.hits(name) for name in names)
            for condition in self.conditions
            if condition.filter is not None and id(condition) not in deciding
        }


ParameterSetting = ParameterValue | Setting
"""What a recipe may say for a parameter."""


def is_hit(filter: str | None, tensor: str) -> bool:
    """Whether `filter` is for the tensor of that name."""
    return filter is None or filter == "*" or filter in tensor


def tensors_hit(filter: str | None, tensors: Iterable[str]) -> tuple[str, ...]:
    """Those of the names `tensors` that `filter` hits."""
    return tuple(name for name in tensors if is_hit(filter, name))


def read_setting(value: Any, spec: ParameterSpec, where: str) -> ParameterSetting:
    """What the recipe says for the parameter `spec`, checked; a plain number stays one.

    Raises:
        RecipeError: with one sentence that names the field, which is called `where`.
    """
    if not isinstance(value, list | dict):
        return spec.check(_as_read(value, spec), where)
    with addressed(field=spec.name):
        conditions = _conditions(value, spec, where)
    first = conditions[0]
    if len(conditions) == 1 and first.filter in (None, "", "*") and len(first.values) == 1:
        return first.values[0]
    return Setting(conditions)


def setting_data(setting: ParameterSetting) -> Any:
    """The plain values that `read_setting` reads as `setting`."""
    if not isinstance(setting, Setting):
        return setting
    if len(setting.conditions) == 1 and setting.conditions[0].filter is None:
        return list(setting.conditions[0].values)
    return [
        ({} if condition.filter is None else {"filter": condition.filter})
        | {"value": list(condition.values) if len(condition.values) > 1 else condition.values[0]}
        for condition in setting.conditions
    ]


def _conditions(value: Any, spec: ParameterSpec, where: str) -> tuple[Condition, ...]:
    if not spec.is_number:
        said = "true or false" if spec.kind == "flag" else " or ".join(spec.choices)
        raise RecipeError(f"{where} is one value for every tensor", hint=f"give {said}")
    if isinstance(value, dict):
        return (_condition(value, spec, where),)
    if any(isinstance(item, dict) for item in value):
        return tuple(_condition(item, spec, f"{where}, entry {at}") for at, item in enumerate(value, start=1))
    return (Condition(None, _gradient(value, spec, where)),)


def _condition(item: Any, spec: ParameterSpec, where: str) -> Condition:
    if not isinstance(item, dict):
        raise RecipeError(
            f"{where} is {shown(item)} in a list of conditions",
            hint=f"write it as {{value: {shown(item)}}}, for every tensor that no entry before it is for",
        )
    refuse_unknown(item, ("filter", "value"), f"{where}: ")
    filter = item.get("filter")
    if filter is not None and not isinstance(filter, str):
        raise RecipeError(
            f"{where}: filter must be a part of tensor names, not {shown(filter)}",
            hint="put it in quotes" if isinstance(filter, int | float) else None,
        )
    if filter is not None and not is_text(filter):
        raise RecipeError(f"{where}: filter {shown(filter)} is not valid text")
    if "value" not in item:
        raise RecipeError(f"{where} has no value", hint="write it as {filter: TEXT, value: NUMBER}")
    value = item["value"]
    if isinstance(value, list):
        return Condition(filter, _gradient(value, spec, f"{where}: value"))
    return Condition(filter, (_number(value, spec, f"{where}: value"),))


def _gradient(values: list[Any], spec: ParameterSpec, where: str) -> tuple[float | int, ...]:
    if not values:
        raise RecipeError(f"{where} is an empty list", hint="give one number, or several from layer to layer")
    return tuple(_number(value, spec, f"{where}, entry {at}") for at, value in enumerate(values, start=1))


def _number(value: Any, spec: ParameterSpec, where: str) -> float | int:
    number = spec.check(_as_read(value, spec), where)
    assert not isinstance(number, str)  # what is no number has no rules
    return number


def _as_read(value: Any, spec: ParameterSpec) -> Any:
    """A number or flag that stands in quotes, which mergekit takes as one; all else as it is."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return value
    text = value.strip()
    if spec.kind == "flag":
        return _FLAGS.get(text.lower(), value)
    if spec.kind == "int" and _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if spec.kind == "float" and _NUMBER.fullmatch(text) else value


_LONGEST_TEXT = 100
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_FLAGS = dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True)
_FLAGS |= dict.fromkeys(("0", "off", "f", "false", "n", "no"), False)
"""As pydantic reads them, with which mergekit does."""


def chained(inner: ParameterSetting | None, outer: ParameterSetting | None) -> ParameterSetting | None:
    """`inner`, and `outer` for the tensors of which it says nothing."""
    if inner is None or outer is None:
        return outer if inner is None else inner
    if not isinstance(inner, Setting) or any(one.filter in (None, "", "*") for one in inner.conditions):
        return inner
    if isinstance(outer, Setting):
        return Setting((*inner.conditions, *outer.conditions))
    assert not isinstance(outer, str)  # what is no number has no rules
    return Setting((*inner.conditions, Condition(None, (outer,))))


def parameters_data(parameters: Mapping[str, ParameterSetting]) -> dict[str, Any]:
    """`parameters` under that key, as `setting_data` writes each; nothing where there are none."""
    data = {name: setting_data(setting) for name, setting in parameters.items()}
    return {"parameters": data} if data else {}
