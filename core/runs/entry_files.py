"""The files of the history's entries: JSON, of which nothing is taken for granted."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from core.checkpoint.ownership import is_alive
from core.run.record_values import texts
from core.runs.history_entry import HistoryEntry
from core.small_files import parse_json

__all__ = ["MAX_ENTRY_BYTES", "entry_data", "entry_of", "entry_to_json", "is_newer"]

SCHEMA_VERSION = 1
MAX_ENTRY_BYTES = 4 * 1024**2

_KIND = "paramosaic run"
_STATUSES = ("running", "done", "cancelled", "failed", "interrupted")
_MAX_ENTRY_PARTS = 200_000
_MAX_COUNT = 2**64
_MAX_PID = 2**31
_PROGRAM_BEGAN = datetime.now(UTC)


def entry_to_json(entry: HistoryEntry) -> bytes:
    data: dict[str, Any] = {"kind": _KIND, "schema_version": SCHEMA_VERSION}
    data |= {item.name: getattr(entry, item.name) for item in fields(entry)}
    data["out"] = str(entry.out)
    data["recipe"] = data.pop("recipe_data")
    return json.dumps(data, indent=2).encode() + b"\n"  # ASCII, for folders whose names are no text


def entry_data(content: bytes) -> dict[str, Any]:
    """What an entry's file holds; raises ValueError, KeyError or TypeError when it is none."""
    data = parse_json(content, _MAX_ENTRY_PARTS)
    if data["kind"] != _KIND:
        raise ValueError("something else")
    return dict(data)


def is_newer(data: Mapping[str, Any]) -> bool:
    return _whole(data, "schema_version") > SCHEMA_VERSION


def entry_of(data: Mapping[str, Any], file_stem: str) -> HistoryEntry:
    """The entry in `data`; raises ValueError, KeyError, TypeError or OverflowError when there is none."""
    out = _text(data, "out")
    if "\0" in out or not Path(out).is_absolute():
        raise ValueError("out is no absolute path")
    entry = HistoryEntry(
        id=_text(data, "id"),
        date=_text(data, "date"),
        method=_text(data, "method"),
        title=_text(data, "title"),
        models=tuple(str(name) for name in data["models"]),
        k=_whole(data, "k"),
        draws=data["draws"] is True,
        n=None if data["n"] is None else _whole(data, "n"),
        seed=_whole(data, "seed"),
        out=Path(out),
        device=_text(data, "device"),
        recipe_data=dict(data["recipe"]),
        host=_text(data, "host"),
        pid=_whole(data, "pid"),
        status=_text(data, "status"),
        message=_text(data, "message"),
        seconds=float(data["seconds"]),
        bytes_read=_whole(data, "bytes_read"),
        bytes_written=_whole(data, "bytes_written"),
        before_s=float(data.get("before_s", 0.0)),  # earlier versions had no merges that come before
        # Version 0.1 had one method that draws, and it has n.
        n_differs=data.get("n_differs", data["draws"] is True and data["n"] is None) is True,
        warnings=texts(data, "warnings"),
        note=_text(data, "note") if "note" in data else "",
    )
    if entry.id != file_stem or entry.status not in _STATUSES or not 0 < entry.pid < _MAX_PID:
        raise ValueError("damaged")
    if entry.when.tzinfo is None or not entry.local_date:  # some dates have no local time
        raise ValueError("damaged")
    if not all(isfinite(seconds) and seconds >= 0 for seconds in (entry.seconds, entry.before_s)):
        raise ValueError("damaged")
    return replace(entry, status="interrupted") if _was_interrupted(entry) else entry


def _text(data: Mapping[str, Any], key: str) -> str:
    if not isinstance(data[key], str):
        raise ValueError(f"{key} is no text")
    return str(data[key])


def _whole(data: Mapping[str, Any], key: str) -> int:
    value = data[key]
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise ValueError(f"{key} is no count")
    return value


def _was_interrupted(entry: HistoryEntry) -> bool:
    """Whether its process ended before it did; of another machine's processes nothing is known here."""
    if entry.status != "running" or entry.host != platform.node():
        return False
    if entry.pid == os.getpid():  # in a container the number is often the same each time
        return entry.when < _PROGRAM_BEGAN
    return not is_alive(entry.pid)
