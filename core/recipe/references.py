"""The models that a recipe names: folders, in mergekit's spellings, and models in the Hub's cache.

mergekit names a revision as `path@revision` and an adapter on a model as `path+adapter`, here also several,
or has keys for them. A folder that is there is a folder, whatever signs its name has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.adapter_paths import grouped, join_adapters
from core.errors import RecipeError
from core.small_files import read_if_there
from core.text import is_text, shown

__all__ = ["cached_model", "download_hint", "read_path", "reference_in", "same_folder"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_MAX_REF_BYTES = 200


def read_path(value: Any, folder: Path, where: str) -> Path:
    """A model folder; a relative one is relative to `folder`, or else a model's id in the Hub's cache.

    Args:
        value: the path, or mergekit's long form of it, {model: {path, revision}, lora: {path, revision}}.
        folder: where the recipe is.
        where: what to call it.

    Raises:
        RecipeError: it is no path, or a revision or an adapter is not here.
    """
    adapters, revision, is_long = [], None, isinstance(value, dict) and "model" in value
    while is_long and isinstance(value, dict):
        if value.get("lora") is not None:
            adapters.append(value["lora"])
        revision = value.get("revision") if revision is None else revision
        value = value.get("model", value.get("path"))
    path = _read(value, revision, folder, where)
    if not adapters:
        return path
    return join_adapters(
        path, [read_path({"model": one}, folder, f"{where}: lora") for one in reversed(adapters)]
    )


def reference_in(entry: Mapping[str, Any]) -> Any:
    """The model of an entry of models, with what stands beside it that makes it another model."""
    beside = {key: entry[key] for key in ("lora", "revision") if entry.get(key) is not None}
    return {"model": entry.get("model"), **beside} if beside else entry.get("model")


def _read(value: Any, revision: Any, folder: Path, where: str) -> Path:
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
        path = folder / Path(value).expanduser()
    except RuntimeError:
        raise RecipeError(
            f"{where} {shown(value)} is in the home folder of someone who is not known here",
            hint="write the whole path, or ./ before a folder whose name begins with ~",
        ) from None
    if revision is not None:
        return _revision_of(value, revision, path, where)
    if (found := _found(value, folder)) is not None:
        return found
    if "+" in value and (parts := grouped(value, lambda part: _found(part, folder))):
        return join_adapters(parts[0], parts[1:])
    _refuse_reference(value, folder, where)
    return path


def _found(text: str, folder: Path) -> Path | None:
    """The folder that `text` names, or the model in the Hub's cache; None where it is not here."""
    try:
        path = folder / Path(text).expanduser()
    except RuntimeError:
        return None
    if text and os.path.lexists(path):
        return path
    model, _, revision = text.partition("@")
    return cached_model(model, revision or "main")


def _revision_of(value: str, revision: Any, path: Path, where: str) -> Path:
    """The revision of a model in the Hub's cache."""
    if os.path.lexists(path):
        if revision == "main":
            return path
        raise RecipeError(
            f"{where} {shown(value)} is a folder, and has no revision {shown(revision)}",
            hint="take revision out, or name a model on the Hub",
        )
    if isinstance(revision, str) and (snapshot := cached_model(value, revision)) is not None:
        return snapshot
    raise _not_downloaded(value, value, str(revision), where)


def _refuse_reference(value: str, folder: Path, where: str) -> None:
    """Refuse what is no folder, but names a model in mergekit's way."""
    model, plus, adapter = value.partition("+")
    if plus and (_is_model(model, folder) or adapter.startswith(("/", "./", "../", "~"))):
        missing = shown(adapter) if _found(model, folder) is not None else shown(model)
        raise RecipeError(
            f"{where} {shown(value)} is no folder that is there, but as mergekit writes it the adapter "
            f"{shown(adapter)} on the model {shown(model)}, and {missing} is not there",
            hint="download both and name their folders, as BASE+ADAPTER",
        )
    model, at, revision = value.partition("@")
    if at and _is_model(model, folder):
        raise _not_downloaded(value, model, revision, where)


def _not_downloaded(value: str, model: str, revision: str, where: str) -> RecipeError:
    return RecipeError(
        f"{where} {shown(value)} is no folder that is there, but as mergekit writes it the revision "
        f"{shown(revision)} of {shown(model)}",
        hint=f"download that revision and name its folder{download_hint(model, revision)}",
    )


def download_hint(model: str | None, revision: str | None) -> str:
    """How to get a model from the Hub, to go on from "name its folder"; "" for what has no model's id."""
    if model is None or not _HUB_ID.fullmatch(model) or not _REVISION.fullmatch(revision or "main"):
        return ""
    of_revision = f" --revision {revision}" if revision else ""
    return f", as with `hf download {model}{of_revision} --local-dir FOLDER`"


def _is_model(text: str, folder: Path) -> bool:
    """Whether `text` is a folder, or might be the id of a model (or of one of its revisions) on the Hub."""
    try:
        there = os.path.isdir(folder / Path(text).expanduser())
    except RuntimeError:
        there = False
    return there or _HUB_ID.fullmatch(text.partition("@")[0]) is not None


def cached_model(model: str, revision: str) -> Path | None:
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
