"""What the window says of a method's parameters: names, ranges, help. No Qt."""

from __future__ import annotations

from core.methods import ParameterSpec
from gui.numbers import NumberKind
from gui.words import weight_text

__all__ = ["help_text", "number_kind", "parameter_title", "within_sentence"]


def parameter_title(spec: ParameterSpec) -> str:
    """What a column, an undo step or a sentence calls it: "n", "λ", "Weight"."""
    return spec.symbol or spec.title


def number_kind(spec: ParameterSpec, title: str | None = None) -> NumberKind:
    """What a field for the parameter takes, which sentences call `title`."""
    return NumberKind(title or parameter_title(spec), spec.kind == "int", spec.minimum, spec.maximum)


def within_sentence(title: str) -> str:
    """A title as it is written within a sentence: "weight"; symbols and acronyms stay as they are."""
    return title[0].lower() + title[1:] if title[1:].islower() else title


def help_text(spec: ParameterSpec) -> str:
    """What it does, its range and its default."""
    return f"{spec.help} {_range_text(spec)}"


def _range_text(spec: ParameterSpec) -> str:
    if spec.kind == "flag":
        return "On by default." if spec.default else "Off by default."
    if isinstance(spec.default, str):
        return f"Default {spec.default}."
    default = f"default {weight_text(float(spec.default))}"
    if spec.minimum is not None and spec.maximum is not None:
        return f"From {weight_text(spec.minimum)} to {weight_text(spec.maximum)}, {default}."
    if spec.minimum is not None:
        return f"At least {weight_text(spec.minimum)}, {default}."
    if spec.maximum is not None:
        return f"At most {weight_text(spec.maximum)}, {default}."
    return f"{default.capitalize()}."
