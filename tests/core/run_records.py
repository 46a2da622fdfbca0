"""Changing run records as somebody would who knows how their digest is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xxhash

__all__ = ["change_record", "record_digest"]


def record_digest(record: dict[str, Any]) -> str:
    """As the contract says it, in one line."""
    rest = {key: value for key, value in record.items() if key != "record_digest"}
    return xxhash.xxh3_128(
        json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


def change_record(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the record of an output in place, and its digest with it."""
    path = folder / "paramosaic.json"
    record = json.loads(path.read_bytes())
    change(record)
    if "record_digest" in record:
        record["record_digest"] = record_digest(record)
    path.write_text(json.dumps(record))
