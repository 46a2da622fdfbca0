"""What is in an output folder, and what of it is ours."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from core.checkpoint.listed_files import listed_files, run_id_of
from core.checkpoint.model import CONFIG_NAME, INDEX_NAME, SINGLE_NAME, read_config, read_weight_map
from core.checkpoint.record_file import RECORD_NAME, SCHEMA_VERSION, open_record
from core.errors import CheckpointError, MergeError, OutputError, os_error_text
from core.text import shown

__all__ = [
    "CARD_NAME",
    "GIT_NAME",
    "Found",
    "Listing",
    "files_in",
    "is_by_product",
    "read_listing",
    "unlisted",
]

CARD_NAME = "README.md"
GIT_NAME = ".git"

_BY_PRODUCTS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Of desktops, in any folder that somebody looked into."""
_BY_PRODUCTS_ON_TOP = (".gitattributes",)
_FOLDERS_OF_BY_PRODUCTS = (".cache/huggingface/", ".paramosaic/")

_HEAD_KEYS = ("recipe", "inputs", "software", "device", "seconds", "bytes_read")

_SHARD = re.compile(r"model-[0-9]{5,}-of-[0-9]{5,}\.safetensors")
_NAMES_OF_SCHEMA_1 = (
    RECORD_NAME,
    CARD_NAME,
    CONFIG_NAME,
    INDEX_NAME,
    SINGLE_NAME,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "tokenizer.model.v*",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.tiktoken",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.*",
    "additional_chat_templates/*",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "pictures/zero-deltas.png",
    "pictures/resampling.png",
    "pictures/provenance.png",
)
"""What version 0.1 wrote, whose records do not list it. What is copied today may be more."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a folder.

    Attributes:
        name: its path from that folder on, with slashes.
        kind: "file", "folder", "link", or "special" for pipes, sockets and devices.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Listing:
    """What the record of an output says that is in its folder.

    Attributes:
        schema: of the record.
        run_id: of the merge; None in a record of schema 1.
        files: the names of all files that are the merge's, the record among them. Those of schema 1, which
            lists none, are the ones in the folder that are called as version 0.1 called what it wrote.
    """

    schema: int
    run_id: str | None
    files: frozenset[str]


def files_in(folder: Path, error: type[MergeError] = OutputError) -> list[Found]:
    """Everything in `folder` and in the folders in it, by name. No link is followed, and `.git` not entered.

    Raises:
        error: a folder cannot be read.
    """
    found = []
    folders = [""]
    while folders:
        within = folders.pop()
        try:
            for entry in _scanned(folder / within):
                name = f"{within}{entry.name}"
                kind = _kind(entry)
                found.append(Found(name, kind))
                if kind == "folder" and name != GIT_NAME:
                    folders.append(f"{name}/")
        except OSError as failed:
            path = folder / within
            raise error(f"cannot read the folder {path}: {os_error_text(failed)}", path=path) from failed
    return sorted(found, key=lambda one: one.name)


def is_by_product(name: str) -> bool:
    """Whether a file of this name in an output folder comes from a hub, a desktop or our own work on it."""
    return (
        name.rpartition("/")[2] in _BY_PRODUCTS
        or name in _BY_PRODUCTS_ON_TOP
        or name.startswith(_FOLDERS_OF_BY_PRODUCTS)
    )


def read_listing(folder: Path) -> Listing:
    """What the record in `folder` lists. The tensors are not read where it is laid out as ours are.

    Raises:
        OutputError: there is no readable record of a merge of this program, or a newer version wrote it.
    """
    with open_record(folder, OutputError) as record:
        head = record.head
        schema, run_id = head["schema_version"], run_id_of(head)
        if type(schema) is int and schema > SCHEMA_VERSION:
            path = folder / RECORD_NAME
            raise OutputError(
                f"{path} is of schema version {shown(schema)}, not {SCHEMA_VERSION}",
                hint="update Paramosaic",
                path=path,
            )
        if type(schema) is not int or schema < 1:
            raise ValueError(f"schema_version is {shown(schema)}")
        for key in _HEAD_KEYS:
            head[key]
        if schema == 1:
            return Listing(schema, None, frozenset(_names_of_schema_1(folder)))
        names = (file.name for file in listed_files(head["files"]))
        return Listing(schema, run_id, frozenset([RECORD_NAME, *names]))


def unlisted(folder: Path, listing: Listing) -> list[str]:
    """The names of what is in `folder` and is neither listed nor a by-product. Folders are passed over,
    but for `.git`, which is somebody's history.

    Raises:
        OutputError: a folder cannot be read.
    """
    return [
        found.name
        for found in files_in(folder)
        if (found.kind != "folder" or found.name == GIT_NAME)
        and found.name not in listing.files
        and not (found.kind == "file" and is_by_product(found.name))
    ]


def _scanned(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink() or getattr(entry, "is_junction", bool)():  # which Windows has, and Python 3.12 sees
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "special"


def _names_of_schema_1(folder: Path) -> Iterator[str]:
    patterns: tuple[str, ...] = _NAMES_OF_SCHEMA_1
    shards: set[str] = set()
    with contextlib.suppress(CheckpointError, AttributeError):  # one shard and no index, or one of no use
        weight_map: Any = read_weight_map(folder)
        shards = {file for file in weight_map.values() if isinstance(file, str) and _SHARD.fullmatch(file)}
    with contextlib.suppress(CheckpointError):
        if "auto_map" in (read_config(folder) or {}):
            patterns = (*patterns, "*.py")  # the code of the model was copied
    for found in files_in(folder):
        known = found.name in shards or any(_is_called(found.name, pattern) for pattern in patterns)
        if known and found.kind == "file":
            yield found.name


def _is_called(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
