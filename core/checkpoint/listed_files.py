"""The files that a run record lists. What it says is not trusted: no name leads out of the output folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

from core.checkpoint.record_file import RECORD_NAME
from core.text import is_text, shown

__all__ = ["FileRecord", "is_digest", "is_inside", "listed_files", "run_id_of"]

_HEX_DIGEST = re.compile("[0-9a-f]{32}")
_RUN_ID = re.compile("[0-9A-Za-z-]{1,64}")
_OWN_FOLDERS = (".git", ".paramosaic")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of an output as it was written.

    Attributes:
        name: its path from the output folder on, with slashes.
        size: in bytes.
        digest: hex XXH3-128 of all its bytes; None only for a shard, whose bytes its header's digest and its
            tensors' digests cover.
        header_digest: of a shard, hex XXH3-128 of its header and the header's length; None for any other.
    """

    name: str
    size: int
    digest: str | None
    header_digest: str | None = None

    def data(self) -> dict[str, Any]:
        """As the record has it."""
        entry = {"name": self.name, "size": self.size, "digest": self.digest}
        return entry if self.header_digest is None else entry | {"header_digest": self.header_digest}


def listed_files(entries: Any) -> tuple[FileRecord, ...]:
    """The files that a record lists. Raises ValueError or KeyError where one is not what a merge writes."""
    if not isinstance(entries, list):
        raise ValueError(f"files is {shown(entries)}")
    files = tuple(map(_listed_file, entries))
    if len({file.name for file in files}) != len(files):
        raise ValueError("a file stands twice")
    return files


def run_id_of(head: Mapping[str, Any]) -> str | None:
    """The id of the run, which can stand in a file name; None in a record of schema 1. Raises ValueError."""
    run_id = head.get("run_id")
    if run_id is not None and not (isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)):
        raise ValueError(f"run_id is {shown(run_id)}")
    return run_id


def is_digest(value: Any) -> bool:
    """Whether it is a digest as they are written."""
    return isinstance(value, str) and _HEX_DIGEST.fullmatch(value) is not None


def _listed_file(entry: Any) -> FileRecord:
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is no file")
    name, size, digest = entry["name"], entry["size"], entry["digest"]
    header_digest = entry.get("header_digest")
    if not is_inside(name):
        raise ValueError(f"{shown(name)} is no name of a file in an output folder")
    if type(size) is not int or not 0 <= size < 2**63:
        raise ValueError(f"the size of {shown(name)} is {shown(size)}")
    for found, may_lack in ((digest, header_digest is not None), (header_digest, True)):
        if not (found is None and may_lack) and not is_digest(found):
            raise ValueError(f"a digest of {shown(name)} is {shown(found)}")
    return FileRecord(name, size, digest, header_digest)


def is_inside(name: Any) -> bool:
    """Whether `name` leads to a file in the folder that a merge may have written, on any system."""
    if not isinstance(name, str) or not is_text(name) or "\\" in name or "\0" in name or len(name) > 4096:
        return False
    parts = name.split("/")
    return (
        not PureWindowsPath(name).drive
        and not {"", ".", ".."} & set(parts)
        and name != RECORD_NAME
        and parts[0] not in _OWN_FOLDERS
    )
