"""Models of several parts, each with weights in a folder of its own.

A folder of sentence-transformers has a modules.json, which names the folders of what comes behind the encoder
(a Dense layer); one of a diffusers pipeline has a model_index.json (unet/, vae/, text_encoder/).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.checkpoint.finding import has_weights, names_in, read_object
from core.checkpoint.unreadable import subfolders
from core.errors import CheckpointError
from core.small_files import parse_json, read_if_there
from core.text import is_text, shown

__all__ = ["Components", "component_folders"]

_MODULES, _PIPELINE = "modules.json", "model_index.json"
_MAX_BYTES, _MAX_PARTS = 1_000_000, 20_000
_MOST_COMPONENTS = 100
_WITH_WEIGHTS = ("Dense", "LayerNorm", "LSTM", "CNN", "WeightedLayerPooling")
"""Modules of sentence-transformers that are nothing without weights."""


@dataclass(frozen=True)
class Components:
    """The parts of a model.

    Attributes:
        folders: in the model's, whose weights are part of it; () for a model of one part.
        with_own: whether weights in the model's own folder are part of it too.
    """

    folders: tuple[str, ...] = ()
    with_own: bool = True


def component_folders(folder: Path) -> Components:
    """The parts of the model in `folder`.

    Raises:
        CheckpointError: what names them is damaged, or one of them is missing.
    """
    names = names_in(folder)
    if _PIPELINE in names:
        return Components(tuple(_of_pipeline(folder, names)), with_own=False)
    if _MODULES in names:
        return Components(tuple(_of_modules(folder, names)))
    return Components()


def _of_pipeline(folder: Path, names: Sequence[str]) -> list[str]:
    path = folder / _PIPELINE
    found = []
    for name, value in (read_object(path, _MAX_BYTES, _MAX_PARTS) or {}).items():
        is_component = isinstance(value, list) and len(value) == 2 and all(isinstance(x, str) for x in value)
        if name.startswith("_") or not is_component:
            continue
        _check_name(path, name)
        if name not in names:
            raise CheckpointError(
                f"{path} names the component {name}, which is missing in {folder}",
                hint=f"copy or download the folder {name}",
                path=folder / name,
            )
        if not subfolders(folder, [name]):
            continue
        inner = names_in(folder / name)
        if has_weights(inner) or "config.json" in inner:
            found.append(name)
    return _checked(path, found)


def _of_modules(folder: Path, names: Sequence[str]) -> list[str]:
    path = folder / _MODULES
    data = read_if_there(path, _MAX_BYTES, CheckpointError)
    try:
        modules: Any = parse_json(data or b"[]", _MAX_PARTS)
    except ValueError as error:
        raise CheckpointError(f"{path} {error}", hint="copy or download the file again", path=path) from error
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise CheckpointError(
            f"{path} is not a list of modules", hint="copy or download the file again", path=path
        )
    found = []
    for module in modules:
        name, kind = module.get("path"), str(module.get("type", "")).rpartition(".")[2]
        if name in ("", None, "."):
            continue
        name = name.rstrip("/") if isinstance(name, str) else name
        _check_name(path, name)
        inner = names_in(folder / name) if name in names and subfolders(folder, [name]) else []
        if has_weights(inner):
            found.append(name)
        elif kind in _WITH_WEIGHTS:
            raise CheckpointError(
                f"{path} names the module {name} ({kind}), whose weights are missing in {folder / name}",
                hint="copy or download that folder again",
                path=folder / name,
            )
    return _checked(path, found)


def _check_name(path: Path, name: Any) -> None:
    """Refuse what does not name a folder in the model's."""
    if (
        not isinstance(name, str)
        or name in (os.curdir, os.pardir, "")
        or not is_text(name)
        or len(name) > 200
        or any(character in name for character in "/\\\0:")
    ):
        raise CheckpointError(f"{path} names {shown(name)}, which is not a folder in it", path=path)


def _checked(path: Path, found: list[str]) -> list[str]:
    if len(found) > _MOST_COMPONENTS:
        raise CheckpointError(
            f"{path} names {len(found):,} folders with weights, too many for a model", path=path
        )
    return list(dict.fromkeys(found))
