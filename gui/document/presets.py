"""Methods that are others with some parameters set: what they choose, and the way there and back. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from core.methods import METHODS, MethodSpec, ParameterValue
from gui.document.merge_setup import form_parameters

__all__ = ["as_general", "as_preset", "words_of"]

Values = dict[str, ParameterValue]
"""Of a method's form, by name."""


def words_of(method: MethodSpec, values: Mapping[str, ParameterValue]) -> str:
    """What a preset chooses of the general method: "keeps the largest · elects no sign"; "" for others."""
    if method.preset is None:
        return ""
    chosen = method.preset.sets(_all(method, values))
    general = METHODS[method.preset.of]
    specs = [spec for spec in general.parameters if spec.name in chosen and spec.words]
    return " · ".join(spec.words[spec.choices.index(str(chosen[spec.name]))] for spec in specs)


def as_general(method: MethodSpec, values: Mapping[str, ParameterValue]) -> tuple[MethodSpec, Values] | None:
    """The general method, and its values with which it does the same; None where `method` is no preset."""
    if method.preset is None:
        return None
    general = METHODS[method.preset.of]
    return general, {**_all(general, values), **method.preset.sets(_all(method, values))}


def as_preset(method: MethodSpec, values: Mapping[str, ParameterValue]) -> tuple[MethodSpec, Values] | None:
    """The preset of `method` that does the same, and its values; None where there is none."""
    for preset in METHODS.values():
        if preset.preset is None or preset.preset.of != method.name:
            continue
        for own in _own_values(preset):
            chosen = preset.preset.sets({**_all(preset, values), **own})
            if all(values.get(name) == value for name, value in chosen.items()) and not any(
                spec.has_effect(values) and values.get(spec.name, spec.default) != spec.default
                for spec in form_parameters(method)
                if spec.name not in chosen and preset.parameter(spec.name) is None
            ):
                return preset, {**_all(preset, values), **own}
    return None


def _all(method: MethodSpec, values: Mapping[str, ParameterValue]) -> Values:
    """Those of `values` that `method` has, and its defaults."""
    return {spec.name: values.get(spec.name, spec.default) for spec in form_parameters(method)}


def _own_values(preset: MethodSpec) -> Iterator[dict[str, Any]]:
    """Everything that the parameters can be which the preset has and the general method has not."""
    assert preset.preset is not None
    specs = [spec for spec in preset.parameters if spec.name in preset.preset.own]
    every = [spec.choices if spec.kind == "choice" else (False, True) for spec in specs]
    for values in product(*every):
        yield dict(zip((spec.name for spec in specs), values, strict=True))
