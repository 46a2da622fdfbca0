"""The models that a recipe names: folders, in mergekit's spellings, and models in the Hub's cache.

mergekit names a revision as `path@revision` and an adapter on a model as `path+adapter`. A folder that is
there is a folder, whatever signs its name has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from core.errors import RecipeError
from core.small_files import read_if_there
from core.text import is_text, shown

__all__ = ["read_path", "same_folder"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_MAX_REF_BYTES = 200
_OF_ADAPTERS = "in one folder with peft's merge_and_unload and save_pretrained, and name that folder"


def read_path(value: Any, folder: Path, where: str) -> Path:
    """A model folder; a relative one is relative to `folder`, or else a model's id in the Hub's cache.

    Args:
        value: the path, or mergekit's long form of it without keys that are not supported.
        folder: where the recipe is.
        where: what to call it.

    Raises:
        RecipeError: it is no path, or what mergekit would take for an adapter or a revision.
    """
    if isinstance(value, dict) and "model" in value:  # mergekit's long form
        value = value["model"]
        if isinstance(value, dict):
            value = value.get("path")
    if not isinstance(value, str) or not value:
        raise RecipeError(
            f"{where} must be the path of a model folder, not {shown(value)}",
            hint="write the path itself" if isinstance(value, dict) else None,
        )
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
    path = folder / path
    if os.path.lexists(path):
        return path
    model, _, revision = value.partition("@")
    if (snapshot := _cached(model, revision or "main")) is not None:
        return snapshot
    _refuse_reference(value, folder, where)
    return path


def _refuse_reference(value: str, folder: Path, where: str) -> None:
    """Refuse what is no folder, but names a model in mergekit's way."""
    model, plus, adapter = value.partition("+")
    if plus and (_is_model(model, folder) or adapter.startswith(("/", "./", "../", "~"))):
        raise RecipeError(
            f"{where} {shown(value)} is no folder that is there, but as mergekit writes it the adapter "
            f"{shown(adapter)} on the model {shown(model)}: an adapter on a model is not supported yet",
            hint=f"merge the two first {_OF_ADAPTERS}",
        )
    model, at, revision = value.partition("@")
    if at and _is_model(model, folder):
        raise RecipeError(
            f"{where} {shown(value)} is no folder that is there, but as mergekit writes it the revision "
            f"{shown(revision)} of {shown(model)}",
            hint="download that revision and name its folder"
            + (
                f", as with `hf download {model} --revision {revision} --local-dir FOLDER`"
                if _HUB_ID.fullmatch(model) and _REVISION.fullmatch(revision)
                else ""
            ),
        )


def _is_model(text: str, folder: Path) -> bool:
    """Whether `text` is a folder, or might be the id of a model (or of one of its revisions) on the Hub."""
    try:
        there = os.path.isdir(folder / Path(text).expanduser())
    except RuntimeError:
        there = False
    return there or _HUB_ID.fullmatch(text.partition("@")[0]) is not None


def _cached(model: str, revision: str) -> Path | None:
    """The folder of `model` in the Hub's cache as it was downloaded last, or None."""
    if not _HUB_ID.fullmatch(model) or not _REVISION.fullmatch(revision):
        return None
    text = os.path.join(_cache(), f"models--{model.replace('/', '--')}")
    if not os.path.isdir(text):
        return None
    place = Path(text)
    try:
        ref = read_if_there(place / "refs" / revision, _MAX_REF_BYTES, RecipeError)
    except RecipeError:  # a cache that cannot be read is none
        return None
    commit = revision if ref is None else ref.decode(errors="replace").strip()
    snapshot = place / "snapshots" / commit
    return snapshot if _REVISION.fullmatch(commit) and os.path.isdir(snapshot) else None


def _cache() -> str:
    """Where huggingface_hub keeps what it downloads."""
    get = os.environ.get
    found = get("HF_HUB_CACHE") or get("HUGGINGFACE_HUB_CACHE")
    if not found:
        home = get("HF_HOME") or os.path.join(get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
        found = os.path.join(home, "hub")
    return os.path.expanduser(found)


def same_folder(one: Path, other: Path) -> bool:
    """Whether both are one folder, which need not be there."""
    try:
        return one.samefile(other)  # whatever the spelling, on disks that ignore case as well
    except (OSError, ValueError):
        return one == other
