"""Which of some models is the base, by what they say and how they are called. No Qt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from core import MergeError
from core.checkpoint.finding import read_object
from core.checkpoint.model import hub_id, read_config
from core.errors import CheckpointError
from core.small_files import read_if_there

__all__ = ["base_among", "is_called_base"]

_CALLED_BASE = re.compile(r"base([-_. ]?model)?|pre-?trained|foundation", re.IGNORECASE)
_CALLED_SO_AT_ITS_END = re.compile(r".*[-_. ](base|pre-?trained)", re.IGNORECASE)

_MAX_CARD_BYTES, _MAX_RECORD_BYTES, _MAX_PARTS = 1_000_000, 4_000_000, 300_000
_MOST_VOTERS = 200
_IN_CARD = re.compile(r"^base_model:[ \t]*(.*)((?:\n[ \t]*-[ \t]*.+)*)", re.MULTILINE)


def is_called_base(model: Path) -> bool:
    """Whether its name says that others were made from it."""
    return _CALLED_BASE.fullmatch(model.name) is not None


def base_among(models: Sequence[Path], listed: Sequence[Path]) -> Path | None:
    """The one that most others name as their base, or else the only one that is called so."""
    voters = [*models[:_MOST_VOTERS], *listed[:_MOST_VOTERS]]
    said = {voter: _bases_said(voter) for voter in dict.fromkeys(voters)}
    named_by = {
        voter: {model for model in models if model != voter and _is_called_one_of(model, names, voter)}
        for voter, names in said.items()
        if names
    }
    votes = Counter(model for named in named_by.values() for model in named)
    if votes:
        most = max(votes.values())
        named = [model for model in models if votes[model] == most]
        return next((model for model in named if not named_by.get(model)), named[0])
    for called in (_CALLED_BASE, _CALLED_SO_AT_ITS_END):
        found = [model for model in models if called.fullmatch(model.name)]
        if len(found) == 1 and (called is _CALLED_BASE or len(models) > 1):
            return found[0]
    return None


def _is_called_one_of(model: Path, names: Iterable[str], voter: Path) -> bool:
    """Whether one of `names`, paths and ids on the Hub that `voter` gives, means `model`."""
    return any(
        name in (str(model), hub_id(model)) or (_last_part(name) == model.name and voter.name != model.name)
        for name in names
    )


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _bases_said(model: Path) -> set[str]:
    """What the files beside the weights of `model` say that it was made from; damaged ones say nothing."""
    folder = model.parent if model.is_file() else model
    said: set[object] = set()
    for read in (_of_config, _of_adapter, _of_card, _of_record):
        try:
            said.update(read(folder))
        except (MergeError, TypeError):  # a list cannot be in a set
            continue
    return {name for name in said if isinstance(name, str) and name.strip()}


def _of_config(folder: Path) -> Iterable[object]:
    config = read_config(folder) or {}
    return [config.get("_name_or_path"), config.get("base_model")]


def _of_adapter(folder: Path) -> Iterable[object]:
    path = folder / "adapter_config.json"
    config = read_object(path, _MAX_CARD_BYTES, _MAX_PARTS) or {}
    return [config.get("base_model_name_or_path")]


def _of_card(folder: Path) -> Iterable[object]:
    card = read_if_there(folder / "README.md", _MAX_CARD_BYTES, CheckpointError) or b""
    front = card.decode("utf-8", "replace").replace("\r\n", "\n").removeprefix("---\n").partition("\n---")[0]
    found = _IN_CARD.search(front) if card.startswith(b"---") else None
    lines = [found[1], *found[2].split("\n")] if found is not None else []
    return [line.strip().removeprefix("-").strip().strip("'\"") for line in lines]


def _of_record(folder: Path) -> Iterable[object]:
    record = read_object(folder / "paramosaic.json", _MAX_RECORD_BYTES, _MAX_PARTS) or {}
    inputs = record.get("inputs")
    entries = [entry for entry in inputs if isinstance(entry, dict)] if isinstance(inputs, list) else []
    return [*(entry.get("name") for entry in entries if entry.get("role") == "base"), record.get("base")]
