"""The fields of a recipe, each checked: one sentence that names the field for what is not understood.

The errors carry the field's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from core.draws import MAX_SEED
from core.dtypes import DType, dtype_from_recipe_name
from core.errors import RecipeError, addressed
from core.text import shown

__all__ = [
    "read_choice",
    "read_dtype",
    "read_seed",
    "read_zero_tolerance",
]


@addressed(field="seed")
def read_seed(value: Any) -> int:
    """The seed, 0 where there is none."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise RecipeError(f"seed must be a whole number from 0 to {MAX_SEED}, not {shown(value)}")
    return value


def read_dtype(data: Mapping[str, Any], key: str) -> DType | None:
    """The type under `key`, None where there is none."""
    value = data.get(key)
    if value is None:
        return None
    dtype = dtype_from_recipe_name(value) if isinstance(value, str) else None
    if dtype is None:
        raise RecipeError(
            f"{key} {shown(value)} is not supported",
            hint="one of: float64, float32, bfloat16, float16, float8_e4m3fn, float8_e5m2",
            field=key,
        )
    return dtype


@addressed(field="zero_tolerance")
def read_zero_tolerance(value: Any) -> float | None:
    """The |delta| that still counts as zero, None where there is none."""
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
    except OverflowError:
        number = -1.0
    if not isfinite(number) or number < 0:
        raise RecipeError(f"zero_tolerance must be a finite number that is not negative, not {shown(value)}")
    return number


def read_choice(data: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str | None:
    """The one of `choices` under `key`, None where there is none."""
    value = data.get(key)
    if value is None:
        return None
    if value not in choices:
        raise RecipeError(f"{key} must be {' or '.join(choices)}, not {shown(value)}", field=key)
    return str(value)
