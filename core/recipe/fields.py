"""The fields of a recipe, each checked: one sentence that names the field for what is not understood.

The errors carry the field's key, but for those of `read_path`, which is asked for more than one field: there
the caller gives the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from core.draws import MAX_SEED
from core.dtypes import DType, dtype_from_recipe_name
from core.errors import RecipeError, addressed
from core.text import is_text, nearest, shown

__all__ = [
    "read_choice",
    "read_dtype",
    "read_path",
    "read_seed",
    "read_tokenizer_source",
    "read_zero_tolerance",
    "refuse_unknown",
    "same_folder",
]


def read_path(value: Any, folder: Path, where: str) -> Path:
    """A model folder; a relative one is relative to `folder`."""
    if isinstance(value, dict) and isinstance(value.get("model"), dict):  # mergekit's long form
        refuse_unknown(value, ("model",), f"{where}: ", unsupported=("lora", "override_architecture"))
        refuse_unknown(value["model"], ("path",), f"{where}: ", unsupported=("revision",))
        value = value["model"].get("path")
    if not isinstance(value, str) or not value:
        raise RecipeError(f"{where} must be the path of a model folder, not {shown(value)}")
    if not is_text(value):
        raise RecipeError(f"{where} {shown(value)} is not valid text", hint="rename the folder")
    if "\0" in value:
        raise RecipeError(f"{where} {shown(value)} is not a path")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise RecipeError(
            f"{where} {shown(value)} is in the home folder of someone who is not known here",
            hint="write the whole path, or ./ before a folder whose name begins with ~",
        ) from None
    return path if path.is_absolute() else folder / path


def same_folder(one: Path, other: Path) -> bool:
    """Whether both are one folder, which need not be there."""
    try:
        return one.samefile(other)  # whatever the spelling, on disks that ignore case as well
    except (OSError, ValueError):
        return one == other


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


@addressed(field="tokenizer_source")
def read_tokenizer_source(value: Any, base: Path | None, folder: Path) -> Path | None:
    """The folder of the output's tokenizer, None for the first sub-model's."""
    if value is None:
        return None
    if value == "base":
        if base is None:
            raise RecipeError("tokenizer_source is base, and the recipe has no base_model")
        return base
    if value == "union":
        raise RecipeError(
            "tokenizer_source: union is not supported",
            hint="leave it out for the first sub-model's tokenizer, or name a model folder",
        )
    return read_path(value, folder, "tokenizer_source")


def refuse_unknown(
    data: Mapping[Any, Any], known: Iterable[str], where: str, unsupported: Iterable[str] = ()
) -> None:
    """Refuse a key of `data` that is not `known`, with the nearest known one.

    Args:
        data: what the recipe holds there.
        known: the keys that are understood.
        where: begins the sentence; "" for the recipe's own keys, which are fields themselves.
        unsupported: keys that mean something to mergekit.
    """
    for key in data:
        if key in known:
            continue
        field = key if not where and isinstance(key, str) else None
        if key in unsupported:
            raise RecipeError(
                f"{where}the key {key!r} of mergekit is not supported",
                hint="name whole models under models" if key in {"slices", "modules"} else "leave it out",
                field=field,
            )
        raise RecipeError(
            f"{where}unknown key {shown(key)}",
            hint=nearest(key, known) or f"the keys are: {', '.join(known)}",
            field=field,
        )
