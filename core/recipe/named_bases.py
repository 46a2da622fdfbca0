"""The model that adapters say they were trained on: the base of a recipe that names none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.adapter_paths import split_adapters
from core.errors import MergeError, RecipeError
from core.recipe.references import cached_model, download_hint, same_folder
from core.small_files import is_there, parse_json, read_if_there
from core.text import shown

__all__ = ["common_base", "named_base"]

_CONFIG = "adapter_config.json"
_MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS = 1_000_000, 100_000
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""With these beside it, what a folder holds is a whole model."""


def named_base(folder: Path, name: str | None, revision: str | None) -> Path | None:
    """The folder of the model that the adapter in `folder` names as its base; None where it is not here.

    Args:
        folder: of the adapter; a relative path is one from there or from the folder that it is in.
        name: a path, or the id of a model on the Hub, which is looked for in its cache.
        revision: of the model on the Hub; None for the usual one.
    """
    if name is None or "\0" in name:
        return None
    try:
        for place in (folder / name, folder.parent / name):
            if place.is_dir():
                plain = Path(os.path.normpath(place))
                return plain if same_folder(plain, place) else place  # not where a link comes before ..
    except (OSError, ValueError):
        return None
    return cached_model(name, revision or "main")


def common_base(models: Sequence[Path]) -> Path | None:
    """The base of `models` where all of them are adapters that name one; None where one is no adapter.

    An adapter that is written with its model, as MODEL+ADAPTER, has that.

    Raises:
        RecipeError: they name several, none, or one that is not here.
    """
    found: list[Path] = []
    for model in models:
        under, *adapters = split_adapters(model)
        config = _config(under)
        if config is None:
            if not adapters:
                return None
            base: Path | None = under
        else:
            name, revision = (_text(config.get(key)) for key in ("base_model_name_or_path", "revision"))
            base = named_base(under, name, revision)
            if base is None:
                where = (
                    f"trained on {shown(name)}, which is not on this computer"
                    if name
                    else "that does not say of which model"
                )
                raise RecipeError(
                    f"the recipe has no base_model, and {under} is an adapter {where}",
                    hint=f"name the folder of that model as base_model{download_hint(name, revision)}",
                    field="base_model",
                )
        if base is not None and not any(same_folder(base, other) for other in found):
            found.append(base)
    if len(found) > 1:
        raise RecipeError(
            "the recipe has no base_model, and its adapters go on different models: "
            f"{found[0]} and {found[1]}",
            hint="name the one to compare with as base_model, and write the others as MODEL+ADAPTER",
            field="base_model",
        )
    return found[0] if found else None


def _config(folder: Path) -> dict[str, Any] | None:
    """What adapter_config.json in `folder` says; None where that holds no adapter that can be read."""
    try:
        if any(is_there(folder / name, RecipeError) for name in _WEIGHTS):
            return None
        data = read_if_there(folder / _CONFIG, _MAX_CONFIG_BYTES, RecipeError)
        config = None if data is None else parse_json(data, _MAX_CONFIG_PARTS)
    except (MergeError, ValueError):  # planning says what is wrong with it
        return None
    return config if isinstance(config, dict) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
