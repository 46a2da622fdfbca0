"""Checks of what a run record says: each returns the value, or raises KeyError, ValueError or TypeError."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from core.text import shown

__all__ = ["checked", "checked_recipe", "count", "counts", "moment", "optional", "parameters", "texts"]

_TOO_LARGE = 2**63


def checked(entry: Mapping[str, Any], key: str, *types: type) -> Any:
    """The value of `key`, of one of `types`; a flag is not a number."""
    value = entry[key]
    if type(value) not in types:
        raise ValueError(f"{key} is {shown(value)}")
    return value


def optional(entry: Mapping[str, Any], key: str, *types: type) -> Any:
    """The same, and None where there is none, or it is null."""
    return None if entry.get(key) is None else checked(entry, key, *types)


def count(entry: Mapping[str, Any], key: str) -> int:
    """A number of things."""
    value: int = checked(entry, key, int)
    if not 0 <= value < _TOO_LARGE:
        raise ValueError(f"{key} is {shown(value)}")
    return value


def counts(entry: Mapping[str, Any], key: str, length: int | None = None) -> tuple[int, ...]:
    """A list of numbers of things, `length` of them."""
    values = checked(entry, key, list)
    if (length is not None and len(values) != length) or not all(
        type(value) is int and 0 <= value < _TOO_LARGE for value in values
    ):
        raise ValueError(f"{key} of tensor {shown(entry['name'])} is {shown(values)}")
    return tuple(values)


def texts(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of strings; empty where there is none."""
    values = optional(entry, key, list) or []
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} is {shown(values)}")
    return tuple(values)


def moment(entry: Mapping[str, Any], key: str) -> str | None:
    """A time in UTC as ISO 8601 writes it, or None."""
    value: str | None = optional(entry, key, str)
    if value is None:
        return None
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError as error:  # which quotes the whole text
        raise ValueError(f"{key} is {shown(value)}") from error
    if offset != timedelta(0):
        raise ValueError(f"{key} is {shown(value)}")
    return value


def parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name that a tensor has of its own; a list is one of each sub-model."""
    values: dict[str, Any] = optional(entry, "parameters", dict) or {}
    for name, value in values.items():
        if not all(map(_is_parameter, value if isinstance(value, list) else [value])):
            raise ValueError(
                f"the parameter {shown(name)} of tensor {shown(entry['name'])} is {shown(value)}"
            )
    return values


def checked_recipe(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe, as far as anybody looks into it without parsing it."""
    recipe: dict[str, Any] = checked(entry, "recipe", dict)
    checked(recipe, "merge_method", str)
    optional(recipe, "parameters", dict)
    optional(recipe, "seed", int)
    for model in checked(recipe, "slices" if "slices" in recipe else "models", list):
        if not isinstance(model, dict):
            raise ValueError(f"{shown(model)} is no model of its recipe")
        optional(model, "parameters", dict)
    return recipe


def _is_parameter(value: Any) -> bool:
    if isinstance(value, int):  # flags too
        return abs(value) < 2 * _TOO_LARGE
    return isinstance(value, str) or (isinstance(value, float) and isfinite(value))
