"""`paramosaic.json` as a file: how it is laid out, its digest, and reading it within bounds.

A record may have hundreds of megabytes, nearly all of them tensors, which stand last and one a line. So what
it says before them is read without them, and they are read one after another. What the fields mean is said
in core.run.record.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO

import xxhash

from core.errors import MergeError, os_error_text
from core.small_files import open_regular
from core.text import is_text, shown

__all__ = [
    "DIGEST_KEY",
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "FileRecord",
    "RecordFile",
    "is_digest",
    "is_inside",
    "listed_files",
    "open_record",
    "record_bytes",
]

RECORD_NAME = "paramosaic.json"
SCHEMA_VERSION = 2
DIGEST_KEY = "record_digest"

_MAX_BYTES = 1_000_000_000
"""92,000 tensors of 50 sub-models have 400 MB."""
_MAX_TENSORS = 250_000
_MAX_PARSED_BYTES = 64 * 1024**2
"""Of what is parsed at once: the head, one tensor, or a whole record that is laid out in another way."""
_MAX_PARSED_VALUES = 4_000_000

_TENSORS = b'\n  "tensors": [\n'
_HEX_DIGEST = re.compile("[0-9a-f]{32}")
_UPPER_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[0-9a-f]{0,3}[A-F]")
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


def record_bytes(head: Mapping[str, Any], tensors: Iterable[Mapping[str, Any]]) -> bytes:
    """The content of `paramosaic.json`, with its digest.

    Args:
        head: everything but the tensors, in the order in which it is to stand; where it has the key of the
            digest, that gets its value.
        tensors: one line each.
    """
    digest = _Digest(json.loads(json.dumps(head)))
    lines = []
    for tensor in tensors:
        digest.add(tensor)
        lines.append("    " + _ONE_LINE.encode(tensor))
    whole = dict(head) | {DIGEST_KEY: digest.hexdigest()}
    text = ",\n".join(f"  {json.dumps(key)}: {_laid_out(key, value)}" for key, value in whole.items())
    body = ",\n".join(lines) + "\n" if lines else ""
    return f'{{\n{text},\n  "tensors": [\n{body}  ]\n}}\n'.encode()


@contextlib.contextmanager
def open_record(folder: Path, error: type[MergeError]) -> Iterator[RecordFile]:
    """The record in `folder`, open; whatever goes wrong in the body with what it says is an `error` too.

    Raises:
        error: there is no record, it cannot be read, or it is not one.
    """
    path = folder / RECORD_NAME
    try:
        descriptor = open_regular(path, error)
        if descriptor is None:
            raise error(
                f"{folder} holds no run record ({RECORD_NAME})",
                hint="name the output folder of a merge",
                path=path,
            )
        with os.fdopen(descriptor, "rb") as file:
            yield RecordFile(file)
    except OSError as failed:
        raise error(f"cannot read {path}: {os_error_text(failed)}", path=path) from failed
    except _Changed as failed:
        raise error(
            f"{path} was changed or damaged: what it says is not what its {DIGEST_KEY} was made of",
            hint="copy the folder again from where it is whole",
            path=path,
        ) from failed
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as failed:
        what = f"{failed} is missing" if isinstance(failed, KeyError) else str(failed)
        raise error(
            f"{path} is not a run record: {what}", hint="the file was changed or damaged", path=path
        ) from failed


class RecordFile:
    """An open record.

    Attributes:
        head: everything but the tensors. They were not even read, where the record is laid out as
            `record_bytes` does it.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Raises ValueError, RecursionError: it is no JSON object with tensors, or too large; OSError."""
        self._file = file
        self._whole: list[Any] | None = None
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
        text, self._begin = _read_head(file)
        head = _parsed(text)
        if not isinstance(head, dict):
            raise ValueError("it is not a JSON object")
        if self._begin is None:
            self._whole = head.pop("tensors")
            if not isinstance(self._whole, list):
                raise ValueError(f"tensors is {shown(self._whole)}")
        self.head: dict[str, Any] = head

    def tensors(self) -> Iterator[Any]:
        """The entry of each tensor; when they are through, the record is known to be as it was written.

        Raises:
            ValueError: it is not, or its text is not as `record_bytes` writes it.
        """
        recorded = self.head.get(DIGEST_KEY)
        unsigned = recorded is None and self.head.get("schema_version") == 1  # which had no digest
        digest = _Digest({} if unsigned else self.head)
        for number, entry in enumerate(self._lines() if self._whole is None else self._whole):
            if number == _MAX_TENSORS:
                raise ValueError(f"it has more than {_MAX_TENSORS:,} tensors")
            if not unsigned:
                digest.add(entry)
            yield entry
        if not unsigned and recorded != digest.hexdigest():
            raise _Changed

    def _lines(self) -> Iterator[Any]:
        assert self._begin is not None  # or there would be `_whole`
        self._file.seek(self._begin)
        more = None
        while (line := self._file.readline(_MAX_PARSED_BYTES)) != b"  ]\n":
            if more is False:
                raise ValueError("its tensors are not a list")
            line = line.removesuffix(b"\n")
            more = line.endswith(b",")
            yield _parsed(line[:-1] if more else line)
        if more or self._file.read(3) not in (b"}\n", b"}"):
            raise ValueError("it does not end as it should")


class _Changed(ValueError):
    """What a record says is not what its digest was made of."""


class _Digest:
    """XXH3-128 of a record without its digest, as JSON with sorted keys and no spaces, piece by piece."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        keys = sorted(key for key in head if key != DIGEST_KEY)
        before, after = (
            [
                f"{_SORTED.encode(key)}:{_SORTED.encode(head[key])}"
                for key in keys
                if (key < "tensors") is side
            ]
            for side in (True, False)
        )
        self._hash = xxhash.xxh3_128(("{" + ",".join([*before, '"tensors":['])).encode())
        self._end = "".join(["]", *(f",{pair}" for pair in after), "}"])
        self._comma = ""

    def add(self, tensor: Any) -> None:
        self._hash.update((self._comma + _SORTED.encode(tensor)).encode())
        self._comma = ","

    def hexdigest(self) -> str:
        """When every tensor was added."""
        self._hash.update(self._end.encode())
        return self._hash.hexdigest()


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


def is_digest(value: Any) -> bool:
    """Whether it is a digest as they are written."""
    return isinstance(value, str) and _HEX_DIGEST.fullmatch(value) is not None


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


def _read_head(file: BinaryIO) -> tuple[bytes, int | None]:
    """The head as a JSON object, and where the lines of the tensors begin.

    Of a record that is laid out in another way: all of it, and None.
    """
    text = bytearray()
    found = -1
    while found < 0 and (part := file.read(1024**2)):
        searched = max(0, len(text) - len(_TENSORS))
        text += part
        found = text.find(_TENSORS, searched)
        if found < 0 and len(text) > _MAX_PARSED_BYTES:
            raise ValueError(f"it has more than {_MAX_PARSED_BYTES:,} bytes before its tensors")
    begin = found + len(_TENSORS)
    file.seek(begin)
    if found >= 0 and text[found - 1 : found] == b"," and file.read(6) != b"    {\n":
        return bytes(text[: found - 1]) + b"\n}", begin
    file.seek(0)
    whole = file.read(_MAX_PARSED_BYTES + 1)
    if len(whole) > _MAX_PARSED_BYTES:
        raise ValueError(
            f"it has more than {_MAX_PARSED_BYTES:,} bytes and is not laid out as a merge does it"
        )
    return whole, None


def _parsed(text: bytes) -> Any:
    """The value of a JSON text that is spelled as Python spells it, so that no other text has its digest."""
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MAX_PARSED_VALUES:
        raise ValueError("it has too many values")
    if b"\\u" in text and _UPPER_ESCAPE.search(text):
        raise ValueError("an escape in it is not spelled as a merge spells it")
    return _DECODER.decode(text.decode())


def _number(text: str) -> float:
    value = float(text)
    if repr(value) != text:
        raise ValueError(f"the number {shown(text)} is not spelled as a merge spells it")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _laid_out(key: str, value: Any) -> str:
    if key == "files" and value:
        return "[\n" + ",\n".join("    " + _ONE_LINE.encode(entry) for entry in value) + "\n  ]"
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_refuse_constant)
_ONE_LINE = json.JSONEncoder(ensure_ascii=False)
_SORTED = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
