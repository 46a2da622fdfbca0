"""The rows of a data file: JSONL or CSV with texts, prompts and responses, conversations or labels; plain text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from core.errors import DataError, os_error_text

__all__ = ["DataSet", "Row", "read_data"]

_PLAIN = (".txt", ".md")


@dataclass(frozen=True)
class Row:
    """One sample of a data file.

    Attributes:
        line: where it begins in the file, from 1.
        text: of the kinds "text", "label" and "plain".
        prompt, response: of the kind "prompt".
        messages: of the kind "chat": mappings with "role" and "content".
        label: of the kind "label", as text; None for any other.
        group: what it belongs to with others, which are not independent of it; None where the file names none.
    """

    line: int
    text: str = ""
    prompt: str = ""
    response: str = ""
    messages: tuple[Mapping[str, str], ...] = ()
    label: str | None = None
    group: str | None = None

    @property
    def shown(self) -> str:
        """The whole of it, for people to read."""
        if self.messages:
            return "\n".join(f"{turn['role']}: {turn['content']}" for turn in self.messages)
        return f"{self.prompt}{self.response}" if self.prompt or self.response else self.text


@dataclass(frozen=True)
class DataSet:
    """What a data file holds.

    Attributes:
        kind: "text", "prompt", "chat", "label" or "plain".
        rows: in the file's order.
        digest: of the file's bytes, blake2b of 16 bytes as hex.
        notes: sentences on what was left out.
    """

    path: Path
    kind: str
    rows: tuple[Row, ...]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each row; None unless all have one."""
        found = [row.group for row in self.rows if row.group is not None]
        return tuple(found) if found and len(found) == len(self.rows) else None


def read_data(path: str | Path, *, skip_bad_rows: bool = False, limit: int | None = None) -> DataSet:
    """Read a data file. `limit`: only so many of the first rows.

    Raises:
        DataError: it cannot be read, is empty, or has rows that do not say what they are.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    digest = blake2b(content, digest_size=16).hexdigest()
    text = content.decode("utf-8-sig")
    if path.suffix.lower() in _PLAIN:
        return DataSet(path, "plain", (Row(1, text=text),), digest)
    records = _csv(text) if path.suffix.lower() == ".csv" else _jsonl(path, text)
    rows, bad = [], []
    for line, record in records[:limit]:
        row = _row(line, record)
        (bad if row is None else rows).append((line, row))
    if bad and not skip_bad_rows:
        raise DataError(f"{path}: line {bad[0][0]} has none of the fields it needs", path=path, field="data")
    if not rows:
        raise DataError(f"{path} has no rows", path=path, field="data")
    kinds = {_kind(row) for _, row in rows if row is not None}
    if len(kinds) > 1:
        raise DataError(f"{path} has rows of different kinds", path=path, field="data")
    notes = (f"{len(bad)} rows were left out",) if bad else ()
    return DataSet(path, kinds.pop(), tuple(row for _, row in rows if row is not None), digest, notes)


def _jsonl(path: Path, text: str) -> list[tuple[int, Mapping[str, Any]]]:
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                records.append((number, json.loads(line)))
            except json.JSONDecodeError as error:
                raise DataError(f"{path}: line {number} is no JSON: {error.msg}", path=path) from error
    return records


def _csv(text: str) -> list[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    records, line = [], 2
    for record in reader:
        records.append((line, record))
        line = reader.line_num + 1
    return records


def _kind(row: Row) -> str:
    if row.messages:
        return "chat"
    if row.label is not None:
        return "label"
    return "prompt" if row.response else "text"


def _row(line: int, record: Any) -> Row | None:
    if not isinstance(record, Mapping):
        return None
    group = None if record.get("group") is None else str(record["group"])
    if isinstance(record.get("messages"), list):
        return Row(line, messages=tuple(record["messages"]), group=group)
    if isinstance(record.get("prompt"), str) and isinstance(record.get("response"), str):
        return Row(line, prompt=record["prompt"], response=record["response"], group=group)
    if isinstance(record.get("text"), str):
        label = None if record.get("label") is None else str(record["label"])
        return Row(line, text=record["text"], label=label, group=group)
    return None
