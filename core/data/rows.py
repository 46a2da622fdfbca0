"""The rows of a data file: JSON lines or tables of texts, prompts, conversations or labels; plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from core.data.files import as_text, read_bytes
from core.data.lines import MOST_NAMED, rows_are
from core.data.passages import passages
from core.data.reading import KNOWN, BadRecord, row_of
from core.data.records import Record, csv_records, json_records
from core.data.row import Row
from core.errors import DataError
from core.text import shown

__all__ = ["ENDINGS", "DataSet", "Row", "read_data"]

_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = (".csv", ".tsv")
_PLAIN = (".txt", ".md")
ENDINGS = (*_JSON, *_TABLES, *_PLAIN)
"""Of data files, in lower case."""


@dataclass(frozen=True)
class DataSet:
    """What a data file holds.

    Attributes:
        path: the file.
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


def read_data(
    path: str | Path, *, skip_bad_rows: bool = False, limit: int | None = None, field: str = "data"
) -> DataSet:
    """Read a data file, in UTF-8.

    JSON lines (.jsonl, .ndjson, .json) and tables with a header (.csv, .tsv) have the fields `text`,
    `prompt` and `response`, `messages` (JSON lines alone), or `text` and `label`, and may have `group`. All
    rows are of one kind. A row with the fields of several kinds is of the first of chat, prompt, label, text.
    Plain text (.txt, .md) is cut into passages, the same ones for every model; see core.data.passages.

    Args:
        path: the file.
        skip_bad_rows: whether rows that cannot be taken are left out, which the notes say.
        limit: only so many of the first records are looked at; None for all.
        field: the one that an error is about, as whoever asks calls it.

    Raises:
        DataError: the file cannot be read, is empty, or has bad rows, all of which are counted and the first
            five named by line.
    """
    try:
        return _read(Path(path), skip_bad_rows, limit)
    except DataError as error:
        for one in (error, *error.reasons):
            one.field = field
        raise


def _read(path: Path, skip_bad_rows: bool, limit: int | None) -> DataSet:
    ending = path.suffix.lower()
    content = read_bytes(path)
    digest = blake2b(content, digest_size=16).hexdigest()
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: data files end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}",
            hint="convert it, or give it the ending of what it holds",
            path=path,
            field="data",
        )
    text = as_text(path, content)
    if ending in _PLAIN:
        found = [Row(line, text=passage) for line, passage in passages(text)]
        return DataSet(path, "plain", tuple(found[:limit]), digest)
    records = json_records(path, text) if ending in _JSON else csv_records(path, text, KNOWN)
    rows, bad, count = _sorted(records, limit)
    if bad and (not skip_bad_rows or not rows):
        raise _refusal(path, bad, count, skip_bad_rows)
    if not rows:
        raise DataError(
            f"{path} has a header and no rows", hint="write one sample a line", path=path, field="data"
        )
    notes = (f"{path.name}: {rows_are(len(bad), count)} left out: {_named(bad)}",) if bad else ()
    return DataSet(path, rows[0].kind, tuple(rows), digest, notes)


def _sorted(
    records: Iterator[Record], limit: int | None
) -> tuple[list[Row], list[tuple[int, BadRecord]], int]:
    """Rows of the kind of the first good one, and bad ones, each with its line; how many there are in all."""
    rows: list[Row] = []
    bad: list[tuple[int, BadRecord]] = []
    count = 0
    for line, record, wrong in records:
        if limit is not None and count >= limit:
            break
        count += 1
        found = row_of(line, record) if record is not None else BadRecord(wrong)
        if isinstance(found, BadRecord):
            bad.append((line, found))
        elif rows and found.kind != rows[0].kind:
            bad.append((line, BadRecord(f"has {found.what}, and line {rows[0].line} {rows[0].what}")))
        else:
            rows.append(found)
    return rows, bad, count


def _refusal(path: Path, bad: Sequence[tuple[int, BadRecord]], count: int, skipped: bool) -> DataError:
    names = {found.fields for _, found in bad}
    if len(bad) == count and len(names) == 1 and None not in names:
        (fields,) = names
        return DataError(
            f"{path} has the fields {', '.join(map(shown, fields or ()))} and none that it needs: "
            "text; prompt and response; messages; or text and label",
            hint=_meant(fields or ()) or "rename its fields to those",
            path=path,
            field="data",
        )
    hint = None if skipped else "correct them, or have them left out (--skip-bad-rows)"
    error = DataError(
        f"{path}: {rows_are(len(bad), count)} bad: {_named(bad)}",
        hint=(_meant(bad[0][1].beside) if len(bad) == count else None) or hint,
        path=path,
        field="data",
    )
    error.reasons = tuple(
        DataError(f"line {line} {found.wrong}", path=path, field="data") for line, found in bad[:MOST_NAMED]
    )
    return error


_OTHER_NAMES = {
    "text": ("content", "sentence", "document", "body", "review", "passage"),
    "prompt": ("instruction", "question", "input", "query", "source"),
    "response": ("completion", "output", "answer", "target", "chosen"),
    "messages": ("conversations", "conversation", "dialogue", "turns"),
    "label": ("labels", "class", "category", "sentiment"),
}


def _meant(fields: Sequence[str]) -> str | None:
    """Which fields to rename, where others call them so."""
    lower = {name.lower(): name for name in fields}
    done = []
    for name, others in _OTHER_NAMES.items():
        if name in fields:
            continue
        found = [shown(lower[other]) for other in (name, *others) if other in lower]
        if name == "prompt" and len(found) > 1:  # an instruction and what it is about
            done.append(f"put {' and '.join(found)} together as 'prompt'")
        elif name == "messages" and found:
            done.append(f"rename {found[0]} to 'messages', a list of objects with 'role' and 'content'")
        elif found:
            done.append(f"rename {found[0]} to {name!r}")
    return " and ".join(done) or None


def _named(bad: Sequence[tuple[int, BadRecord]]) -> str:
    named = [f"line {line} {found.wrong}" for line, found in bad[:MOST_NAMED]]
    more = len(bad) - len(named)
    return "; ".join([*named, f"and {more:,} more"] if more else named)
