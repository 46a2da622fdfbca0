"""The journal: whatever is done to it, it ends before that, and never says what was not written."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_faults import Faulty, in_place
from hypothesis import given
from hypothesis import strategies as st

from core.checkpoint.journal import Journal, read_journal
from core.disk import OpenFolder
from core.errors import OutputError

ENTRIES = [{"kind": "first", "name": "Zoë\n"}, *({"part": n, "digests": "x" * (7 * n)} for n in range(20))]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OpenFolder]:
    with OpenFolder(tmp_path) as folder:
        yield folder


@pytest.fixture
def path(folder: OpenFolder) -> Path:
    """A journal with ENTRIES, a line each."""
    journal = Journal(folder, "journal", ENTRIES[:1])
    for entry in ENTRIES[1:]:
        journal.append([entry])
    journal.close()
    return folder.path / "journal"


def is_beginning(entries: list[Any]) -> bool:
    return entries == ENTRIES[: len(entries)]


def test_what_was_written(path: Path) -> None:
    assert read_journal(path) == ENTRIES
    assert len(path.read_bytes().splitlines()) == len(ENTRIES)


def test_there_is_none(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal") == []


def test_it_goes_on(folder: OpenFolder, path: Path) -> None:
    journal, entries = Journal.go_on(folder, "journal")
    assert entries == ENTRIES
    journal.append([{"more": 1}, {"more": 2}])
    journal.append([])
    journal.close()
    assert read_journal(path) == [*ENTRIES, {"more": 1}, {"more": 2}]


def test_names_that_are_no_text(folder: OpenFolder) -> None:
    """A model's folder may be called anything."""
    entry = {"folder": os.fsdecode(b"/models/caf\xe9")}
    Journal(folder, "journal", [entry]).close()
    assert read_journal(folder.path / "journal") == [entry]


def test_torn_at_any_byte(folder: OpenFolder, path: Path) -> None:
    """Each line is whole or does not count, and what is added then follows the last whole one."""
    data = path.read_bytes()
    for size in range(0, len(data), 3):
        path.write_bytes(data[:size])
        entries = read_journal(path)
        assert is_beginning(entries)
        assert len(entries) == data[:size].count(b"\n"), size
        if size % 300 == 0:
            journal, found = Journal.go_on(folder, "journal")
            assert found == entries
            journal.append([{"more": size}])
            journal.close()
            assert read_journal(path) == [*entries, {"more": size}]


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_a_tail_that_never_reached_the_disk(path: Path, filler: bytes) -> None:
    """The size was written, the bytes were not."""
    data = path.read_bytes()
    for size in range(0, len(data), 13):
        path.write_bytes(data[:size].ljust(len(data), filler))
        assert read_journal(path) == ENTRIES[: data[:size].count(b"\n")]


def test_a_line_that_is_missing(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for gone in range(len(lines) - 1):
        path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
        assert read_journal(path) == ENTRIES[:gone]


def test_lines_in_another_order_or_twice(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(len(lines) - 1):
        path.write_bytes(b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]))
        assert read_journal(path) == ENTRIES[:at]
        path.write_bytes(b"".join([*lines[: at + 1], *lines[at:]]))
        assert read_journal(path) == ENTRIES[: at + 1]


def test_a_line_of_another_journal(folder: OpenFolder, path: Path) -> None:
    Journal(folder, "other", [{"kind": "another"}, ENTRIES[1]]).close()
    lines = path.read_bytes().splitlines(keepends=True)
    other = (folder.path / "other").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], other[1], *lines[2:]]))
    assert read_journal(path) == ENTRIES[:1]


def test_a_bit_that_is_another(path: Path) -> None:
    data = path.read_bytes()
    chance = random.Random(5)
    for _ in range(200):
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        path.write_bytes(changed)
        entries = read_journal(path)
        assert is_beginning(entries), (at, bit)
        assert len(entries) == data[:at].count(b"\n"), (at, bit)


@pytest.mark.parametrize(
    "more",
    [
        b"more",
        b"\n",
        b"\n" * 1000,
        b"0" * 16 + b" {}\n",
        b"\0" * 5_000_000,
        b"{" * 3_000_000 + b"\n",
        json.dumps(ENTRIES[0]).encode() + b"\n",
    ],
    ids=range(7),
)
def test_what_somebody_added(folder: OpenFolder, path: Path, more: bytes) -> None:
    with path.open("ab") as file:
        file.write(more)
    assert read_journal(path) == ENTRIES
    journal, entries = Journal.go_on(folder, "journal")
    journal.append([{"more": 1}])
    journal.close()
    assert entries == ENTRIES
    assert read_journal(path) == [*ENTRIES, {"more": 1}]


@pytest.mark.parametrize(
    "value", ["[]", "3", '"x"', "null", "{", "[" * 100_000, "NaN", "9" * 10_000, '{"a":}']
)
def test_a_sound_line_that_is_no_entry(folder: OpenFolder, value: str) -> None:
    """Of a program that goes wrong, or somebody who can make checksums."""
    from core.checkpoint.journal import _checksum

    path = folder.path / "journal"
    first = b"{}"
    one = _checksum(b"", first)
    path.write_bytes(
        one + b" " + first + b"\n" + _checksum(one, value.encode()) + b" " + value.encode() + b"\n"
    )
    assert read_journal(path) == [{}]


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_journal_of_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-journal"
    path.write_bytes(data)
    assert read_journal(path) == []


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "torn"])
@pytest.mark.parametrize("call", [0, 1])
def test_a_line_that_cannot_be_added(folder: OpenFolder, path: Path, kind: str, call: int) -> None:
    """It is not there, and the next one is."""
    journal, _ = Journal.go_on(folder, "journal")
    with in_place(Faulty(call, kind)), pytest.raises(OutputError, match="cannot write"):
        journal.append([{"lost": "x" * 100}])
    journal.append([{"more": 1}])
    journal.close()
    assert read_journal(path) == [*ENTRIES, {"more": 1}]


def test_a_line_that_is_written_in_pieces(folder: OpenFolder, path: Path) -> None:
    journal, _ = Journal.go_on(folder, "journal")
    with in_place(Faulty(0, "short")):
        journal.append([{"more": "x" * 1000}])
    journal.close()
    assert read_journal(path) == [*ENTRIES, {"more": "x" * 1000}]


def test_one_that_cannot_even_be_cut_back_takes_no_more(folder: OpenFolder, path: Path) -> None:
    journal, _ = Journal.go_on(folder, "journal")
    with in_place(Faulty(0, "gone")), pytest.raises(OutputError):
        journal.append([{"lost": 1}])
    with pytest.raises(OutputError):
        journal.append([{"more": 1}])
    assert read_journal(path) == ENTRIES


def test_a_journal_that_is_something_else(folder: OpenFolder, tmp_path: Path) -> None:
    target = tmp_path / "thesis.tex"
    target.write_text("mine")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("gone")
    for name in ("link", "folder", "pipe", "dangling"):
        with pytest.raises(OutputError):
            Journal.go_on(folder, name)
        with pytest.raises(OutputError):
            Journal(folder, name, [{}])
        if name != "link":
            with pytest.raises(OutputError):
                read_journal(tmp_path / name)
    assert target.read_text() == "mine"
