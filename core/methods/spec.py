"""What a merge method is: its parameters as data, and its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import RecipeError
from core.text import shown

__all__ = ["MethodSpec", "ParameterSpec", "ParameterValue"]

ParameterValue = float | int | bool


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of a method.

    Attributes:
        name: its key in a recipe.
        kind: "float", "int" or "flag".
        scope: "model" for one value a sub-model, "merge" for one value in all.
        default: the value where a recipe has none.
        minimum, maximum: inclusive bounds; None where there is none.
        title, help: for people.
    """

    name: str
    kind: Literal["float", "int", "flag"]
    scope: Literal["model", "merge"]
    default: ParameterValue
    title: str
    help: str
    minimum: float | None = None
    maximum: float | None = None

    def check(self, value: Any, where: str) -> ParameterValue:
        """`value` as this parameter's type. Raises RecipeError that names the field `where`."""
        if isinstance(value, list | dict):
            raise RecipeError(f"{where} must be one value, not {shown(value)}")
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise RecipeError(f"{where} must be true or false, not {shown(value)}")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecipeError(f"{where} must be a number, not {shown(value)}")
        number: float | int = value
        if self.kind == "int":
            if not isinstance(value, int):
                raise RecipeError(f"{where} must be a whole number, not {shown(value)}")
        else:
            try:
                number = float(value)
            except OverflowError:
                number = float("inf")
            if not -float("inf") < number < float("inf"):
                raise RecipeError(f"{where} must be a finite number, not {shown(value)}")
        if (self.minimum is not None and number < self.minimum) or (
            self.maximum is not None and number > self.maximum
        ):
            raise RecipeError(f"{where} is {shown(value)}, and must be {self._range()}")
        return number

    def _range(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"between {self.minimum:g} and {self.maximum:g}"
        return f"at least {self.minimum:g}" if self.minimum is not None else f"at most {self.maximum:g}"


@dataclass(frozen=True)
class MethodSpec:
    """A merge method.

    Attributes:
        name: its key in a recipe.
        title, help, source: for people.
        parameters: what it can be told.
        needs_base: whether deltas, and so a base model, are part of it.
        check: raises RecipeError when values that are right one by one make no sense together;
            called with (per-model values, merge-wide values) by parameter name.
        load_reference: imports torch and returns the arithmetic, a function of
            (job, first_element, models, base) that core.methods.reference describes.
    """

    name: str
    title: str
    help: str
    source: str
    parameters: tuple[ParameterSpec, ...]
    needs_base: bool
    check: Callable[[Mapping[str, Sequence[Any]], Mapping[str, Any]], None]
    load_reference: Callable[[], Callable[..., Any]]

    def parameter(self, name: str) -> ParameterSpec | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)
