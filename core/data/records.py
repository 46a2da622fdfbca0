"""The records of a data file: JSON lines, or the lines of a table."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import DataError
from core.text import shown

__all__ = ["Record", "csv_records", "json_records"]

Record = tuple[int, Mapping[str, Any] | None, str]
"""The line that it begins in, its fields, and what is wrong where it has none."""

_SEPARATORS = (",", ";", "\t")


def json_records(path: Path, text: str) -> Iterator[Record]:
    """One record a line; blank lines are none. Raises DataError: it is one JSON document, not lines."""
    lines = text.split("\n")  # splitlines would also cut at U+2028, which JSON may hold
    first = next(line.strip() for line in lines if line.strip())
    if first.startswith("[") or first == "{":
        what = "a JSON list" if first.startswith("[") else "one JSON document over several lines"
        raise DataError(
            f"{path} is {what}, not JSON lines",
            hint="write one object a line, as with `jq -c '.[]' FILE`",
            path=path,
            field="data",
        )
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, *_parsed(line)


def _parsed(line: str) -> tuple[Mapping[str, Any] | None, str]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        return None, f"is not JSON ({error.msg} at column {error.colno})"
    except (RecursionError, ValueError):  # too deep; a number of thousands of digits
        return None, "is not JSON that can be read (nested too deep, or a number of thousands of digits)"
    if not isinstance(found, dict):
        return None, "is no JSON object: write {'text': …}"
    return found, ""


def csv_records(path: Path, text: str, known: Sequence[str]) -> Iterator[Record]:
    r"""The lines under a table's header, which may be separated by commas, semicolons or tabs.

    Line ends in cells are given as \n.

    Args:
        known: names of fields, by one of which the separator is found.

    Raises:
        DataError: the header has no names, or one twice.
    """
    with _any_length():
        text = text.replace("\r\n", "\n")
        reader, header = _begun(path, text, known)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield line, None, f"is no line of a table ({error})"
                continue
            if cells is None:
                return
            if len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True)), ""
            elif cells:
                yield (
                    line,
                    None,
                    f"has {len(cells)} cell{'s' if len(cells) > 1 else ''}, and the header {len(header)}",
                )


def _begun(path: Path, text: str, known: Sequence[str]) -> tuple[Any, list[str]]:
    """A reader behind the header, and the header's names."""
    for separator in (*_SEPARATORS, ","):
        reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator, strict=True)
        try:
            header = [name.strip() for name in next(cells for cells in reader if cells)]
        except csv.Error:
            continue
        if any(name in known for name in header):
            break
    else:
        separator = ","
    names = [name for name in header if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not names:
        raise DataError(
            f"{path}: its first line is no header: "
            + (f"it has {shown(twice)} twice" if twice is not None else "it has no names"),
            hint="write the names of the fields into the first line, as `prompt,response`",
            path=path,
            field="data",
        )
    return reader, header


@contextlib.contextmanager
def _any_length() -> Iterator[None]:
    """A cell may be a book; the module's own limit is 131,072 characters."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
