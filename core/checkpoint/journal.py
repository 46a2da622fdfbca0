"""What a merge has finished, kept beside it line by line, so that it can go on after whatever stops it.

A line is a checksum, a space, a JSON object and a line end. The checksum, XXH3-64 in hex, is of the line
before it (its checksum) and of the JSON text, so that a line that was torn, lost or exchanged ends the
journal there. Lines are only ever added, and each `append` returns when its lines are on the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import xxhash

from core import disk
from core.disk import OpenFolder, write_error
from core.errors import OutputError, os_error_text
from core.small_files import open_regular

__all__ = ["Journal", "JournalEntry", "read_journal"]

JournalEntry = Mapping[str, Any]

_CHECKSUM = 16
_MOST_LINE_BYTES = 256 * 1024**2
"""The first line names every file of every model; no line comes near this."""
_READ_BYTES = 1024**2


class Journal:
    """A journal that is open to be added to, by one thread at a time."""

    def __init__(self, folder: OpenFolder, name: str, entries: Iterable[JournalEntry] = ()) -> None:
        """Begin a journal.

        Args:
            folder: where it lies; the name may have slashes.
            name: of the file, which does not exist.
            entries: the first ones.

        Raises:
            OutputError: it cannot be written.
        """
        self.path = folder.path / name
        self._last = b""
        try:
            self._descriptor = disk.system.create(folder.name(*name.split("/")), within=folder.descriptor)
        except OSError as error:
            raise write_error(error, self.path) from error
        self._size = 0
        self.append(entries)

    @classmethod
    def go_on(cls, folder: OpenFolder, name: str) -> tuple[Journal, list[JournalEntry]]:
        """Open a journal that is there; returns it and its sound entries. What follows them is cut off.

        Raises:
            OutputError: it cannot be read or written.
        """
        journal = cls.__new__(cls)
        journal.path = folder.path / name
        try:
            descriptor = disk.open_to_go_on(folder.name(*name.split("/")), within=folder.descriptor)
        except OSError as error:
            raise write_error(error, journal.path) from error
        if descriptor < 0:
            raise OutputError(f"there is no {journal.path}", path=journal.path)
        journal._descriptor, journal._last, journal._size = descriptor, b"", 0
        entries = []
        try:
            for entry, checksum, size in _lines(descriptor):
                entries.append(entry)
                journal._last, journal._size = checksum, journal._size + size
            if os.fstat(descriptor).st_size != journal._size:
                disk.system.set_size(descriptor, journal._size)
            os.lseek(descriptor, journal._size, os.SEEK_SET)
        except OSError as error:
            journal.close()
            raise write_error(error, journal.path) from error
        return journal, entries

    def append(self, entries: Iterable[JournalEntry]) -> None:
        """Add entries, and return when they are on the disk.

        Raises:
            OutputError: they may not be there, or not whole. More can be added later.
        """
        last, lines = self._last, []
        for entry in entries:
            text = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode(
                "utf-8", "surrogatepass"
            )
            last = _checksum(last, text)
            lines.append(last + b" " + text + b"\n")
        data = b"".join(lines)
        if not data:
            return
        try:
            left = memoryview(data)
            while left:
                left = left[disk.system.write(self._descriptor, left) :]
            disk.system.sync(self._descriptor)
        except OSError as error:
            self._take_back()
            raise write_error(error, self.path) from error
        self._last, self._size = last, self._size + len(data)

    def _take_back(self) -> None:
        """Let the next line follow the last whole one."""
        try:
            disk.system.set_size(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
        except OSError:
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # what it holds was synced
                os.close(self._descriptor)
            self._descriptor = -1


def read_journal(path: Path) -> list[JournalEntry]:
    """The sound entries of the journal `path`, up to the first line that is not; none where there is none.

    Raises:
        OutputError: it cannot be read.
    """
    descriptor = open_regular(path, OutputError)
    if descriptor is None:
        return []
    try:
        return [entry for entry, *_ in _lines(descriptor)]
    except OSError as error:
        raise OutputError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    finally:
        os.close(descriptor)


def _lines(descriptor: int) -> Iterator[tuple[JournalEntry, bytes, int]]:
    """Each sound entry, its checksum and the bytes of its line."""
    last = b""
    for line in _whole_lines(descriptor):
        checksum, space, text = line[:_CHECKSUM], line[_CHECKSUM : _CHECKSUM + 1], line[_CHECKSUM + 1 : -1]
        if space != b" " or checksum != _checksum(last, text):
            return
        try:
            entry = json.loads(text.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            return
        if not isinstance(entry, dict):
            return
        last = checksum
        yield entry, checksum, len(line)


def _whole_lines(descriptor: int) -> Iterator[bytes]:
    held = bytearray()
    while part := os.read(descriptor, _READ_BYTES):
        searched = len(held)
        held += part
        begin = 0
        while (end := held.find(b"\n", max(begin, searched))) >= 0:
            yield bytes(held[begin : end + 1])
            begin = end + 1
        del held[:begin]
        if len(held) > _MOST_LINE_BYTES:
            return


def _checksum(last: bytes, text: bytes) -> bytes:
    return xxhash.xxh3_64(last + text).hexdigest().encode()
