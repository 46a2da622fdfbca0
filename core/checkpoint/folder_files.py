"""What lies beside the weights of one model: the files that belong to it, and what is left where it is."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core.checkpoint.companion_names import Kind, is_vocabulary, kind_of, why_left_out
from core.checkpoint.copies import own_path
from core.checkpoint.model import CONFIG_NAME, read_config
from core.checkpoint.model_code import named_modules
from core.checkpoint.stage_folders import STAGES_END
from core.errors import CheckpointError, os_error_text
from core.small_files import is_there, parse_json, read_if_there
from core.text import is_text, shown

__all__ = ["MODULES_NAME", "PIPELINE_NAME", "FolderFiles", "json_of"]

MODULES_NAME = "modules.json"
PIPELINE_NAME = "model_index.json"
_TEMPLATES = "additional_chat_templates"

_MOST_FILES = 1_000
_MOST_JSON_BYTES, _MOST_JSON_PARTS = 4_000_000, 200_000
_WORD = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*){0,2}")


@dataclass(frozen=True)
class FolderFiles:
    """The names in a model's folder that say what they are. Nothing is read before it is asked for.

    Attributes:
        folder: the model's.
        names: the files that belong to it and what kind each is; no folders and no config.
        unusable: names among them that are empty or lead nowhere, and which of both.
        left_out: other names, and why they are left; "" where that is not known.
    """

    folder: Path
    names: dict[str, Kind] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> FolderFiles:
        """Raises CheckpointError where the folder cannot be read, or has too many of them."""
        found = cls(folder)
        is_between = folder.parent.name.endswith(STAGES_END)  # what it has besides is nobody's, and goes soon
        for name in _listed(folder):
            if name == CONFIG_NAME or name.endswith(".safetensors"):
                continue
            if (kind := kind_of(name)) is not None:
                found._add(name, kind)
            elif (why := why_left_out(name)) is not None and name != _TEMPLATES and not is_between:
                found.left_out[name] = why
        if is_there(folder / _TEMPLATES, CheckpointError):
            for name in _listed(own_path(folder, _TEMPLATES)):
                found._add(f"{_TEMPLATES}/{name}", Kind.TEMPLATE)
        for name in found._named_files():
            if name in found.left_out and is_there(folder / name, CheckpointError):
                del found.left_out[name]
                found._add(name, Kind.TOKENIZER)
        if (count := len(found.names) + len(found.unusable)) > _MOST_FILES:
            raise CheckpointError(
                f"{folder} has {count:,} files that would be copied beside the weights, "
                f"and at most {_MOST_FILES:,} can be",
                path=folder,
            )
        return found

    def _add(self, name: str, kind: Kind) -> None:
        if not is_text(name):
            raise CheckpointError(
                f"the file name {shown(name)} in {self.folder} is not valid text", path=self.folder
            )
        why = _unusable(self.folder / name)
        if why is None:
            self.names[name] = kind
        elif why:
            self.unusable[name] = why

    def of_kind(self, *kinds: Kind) -> list[str]:
        return [name for name, kind in self.names.items() if kind in kinds]

    @property
    def has_tokenizer(self) -> bool:
        """Whether there are tokens; tokenizers of bytes or characters have a config alone."""
        return any(is_vocabulary(name) for name in self.of_kind(Kind.TOKENIZER)) or (
            "tokenizer_config.json" in self.names
        )

    @cached_property
    def config(self) -> dict[str, Any] | None:
        return read_config(self.folder)

    def _named_files(self) -> Iterator[str]:
        """What tokenizer_config.json names as the files of a tokenizer, whatever they are called."""
        if "tokenizer_config.json" not in self.names or not any(not why for why in self.left_out.values()):
            return
        said = json_of(self.folder, "tokenizer_config.json") or {}
        for key, value in said.items():
            if key.endswith(("_file", "_filename")) and isinstance(value, str) and _WORD.fullmatch(value):
                yield value

    def modules_of(self, names: Iterable[str]) -> list[str]:
        """The modules that the `auto_map` of the JSON files `names` name."""
        found: dict[str, None] = {}
        for name in names:
            if name.endswith(".json") and "vocab" not in name and name != "tokenizer.json":
                found |= dict.fromkeys(named_modules(json_of(self.folder, name) or {}))
        return list(found)

    def of_part(self, name: str) -> tuple[list[str], list[str]]:
        """The small files in the folders that `modules.json` or `model_index.json` names, and their modules.

        Raises:
            CheckpointError: a folder is a link to another place, or has too many files.
        """
        said = _parsed(self.folder, name)
        parts: dict[str, str] = {}
        modules: list[str] = []
        if name == MODULES_NAME:
            for one in said if isinstance(said, list) else ():
                if isinstance(one, dict):
                    parts[str(one.get("path", ""))] = ""
                    kind = str(one.get("type", ""))
                    if not kind.startswith("sentence_transformers.") and "." in kind:
                        modules += named_modules({"auto_map": {"type": kind}})
        elif isinstance(said, dict):
            for part, value in said.items():
                if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
                    parts[part] = value[0]
        files: list[str] = []
        for part, module in parts.items():
            if not part or not _WORD.fullmatch(part) or ".." in part or not (self.folder / part).is_dir():
                continue
            place = own_path(self.folder, part)
            for file in _listed(place):
                belongs = kind_of(file) is not None or file == CONFIG_NAME or file == f"{module}.py"
                if belongs or (name == PIPELINE_NAME and file == "scheduler_config.json"):
                    why = _unusable(place / file)
                    if why is None:
                        files.append(f"{part}/{file}")
                    elif why:
                        self.unusable[f"{part}/{file}"] = why
            self.left_out.pop(part.split("/")[0], None)
            if len(files) > _MOST_FILES:
                raise CheckpointError(
                    f"{self.folder} has more than {_MOST_FILES:,} files that would be copied beside "
                    "the weights",
                    path=place,
                )
        return files, modules


def json_of(folder: Path, name: str) -> dict[str, Any] | None:
    """The object in a small JSON file; None where it is none. Raises CheckpointError."""
    value = _parsed(folder, name)
    return value if isinstance(value, dict) else None


def _parsed(folder: Path, name: str) -> Any:
    try:
        if os.stat(folder / name).st_size > _MOST_JSON_BYTES:
            return None
        data = read_if_there(folder / name, _MOST_JSON_BYTES, CheckpointError)
        return None if data is None else parse_json(data, _MOST_JSON_PARTS)
    except (OSError, ValueError):
        return None


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {os_error_text(error)}", path=folder) from error


_CHECKED = (".json", ".model", ".txt", ".jinja", ".tiktoken")


def _damage(path: Path, size: int) -> str | None:
    """What is in the place of a file's content, by its first and last bytes; None where they are sound."""
    try:
        with open(path, "rb") as file:
            begin = file.read(64)
            file.seek(max(0, size - 64))
            end = file.read(64)
    except OSError:
        return None  # whoever reads it says why
    if begin.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file: run `git lfs pull` there"
    if (
        path.suffix == ".json"
        and begin.lstrip()[:1] in (b"{", b"[")
        and end.rstrip()[-1:] not in (b"}", b"]")
    ):
        return "is no whole JSON file, as one that was cut short"
    return None


def _unusable(path: Path) -> str | None:
    """Why the file `path` cannot be copied, where that harms nobody else; None where it can be tried."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return "is a link that leads nowhere" if os.path.lexists(path) else ""
    except OSError:
        return None  # which is said when it is opened
    if stat.S_ISREG(status.st_mode) and status.st_size == 0 and path.suffix != ".py":
        return "is empty (0 bytes)"
    if stat.S_ISREG(status.st_mode) and path.suffix in _CHECKED:
        return _damage(path, status.st_size)
    return None
