"""Where the members of a zip archive lie in its file, so that those stored as they are can be read in place.

Source: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 to 4.5 (zip64 included). Nothing is decompressed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from core.checkpoint.files import ReadFile

__all__ = ["BadZipError", "Member", "ZipDirectory", "data_offset", "read_directory"]

_MAX_DIRECTORY_BYTES = 25_000_000
"""As much as a header of safetensors may have."""

_MAX_MEMBERS = 100_000
"""One a tensor, and a few more."""

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_COMMENT = 65_535
_MOST_BETWEEN = 4_096
"""Bytes from the directory to the older end of an archive: the newer end and where that is."""

_ENCRYPTED = 1


class BadZipError(Exception):
    """The archive is damaged; the text goes on from the name of the file."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the directory has it.

    Attributes:
        name: its path in the archive.
        header_offset: of its local header, from the beginning of the file.
        size_bytes: of its content.
        stored: whether the content stands in the file as it is: neither compressed nor encrypted.
    """

    name: str
    header_offset: int
    size_bytes: int
    stored: bool


@dataclass(frozen=True)
class ZipDirectory:
    """The directory of an archive.

    Attributes:
        raw: its bytes, to the end of the file.
        offset: where it begins, before which all members end.
        members: by name.
    """

    raw: bytes
    offset: int
    members: dict[str, Member]


def read_directory(file: ReadFile) -> ZipDirectory:
    """The directory of `file`.

    Raises:
        BadZipError: it has none, or one that is damaged, or larger than that of any model.
        CheckpointError: the file cannot be read.
    """
    tail_size = min(file.size_bytes, _END.size + _MOST_COMMENT)
    tail = _read(file, file.size_bytes - tail_size, tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise BadZipError("its end is missing, so it was not downloaded or written to the end")
    end = file.size_bytes - tail_size + at
    *_, count, size, offset, _ = _END.unpack_from(tail, at)
    if count == 0xFFFF or size == 0xFFFFFFFF or offset == 0xFFFFFFFF:
        count, size, offset = _read_end64(file, end, (count, size, offset))
    if size > _MAX_DIRECTORY_BYTES or count > _MAX_MEMBERS:
        raise BadZipError(f"the directory of its zip archive claims {count:,} members in {size:,} bytes")
    if not offset + size <= end <= offset + size + _MOST_BETWEEN:
        raise BadZipError("the directory of its zip archive is not where its end says")
    raw = _read(file, offset, file.size_bytes - offset)
    return ZipDirectory(raw, offset, _members(memoryview(raw)[:size], count))


def data_offset(file: ReadFile, member: Member, end: int) -> int:
    """Where the content of `member` begins in the file, by its local header.

    Args:
        file: the archive.
        member: one that is stored.
        end: where the directory begins.

    Raises:
        BadZipError: there is no header of that member, or the content reaches into the directory.
        CheckpointError: the file cannot be read.
    """
    encoded = member.name.encode("utf-8", "surrogateescape")
    size = _LOCAL.size + len(encoded)
    if member.header_offset + size > end:
        raise BadZipError(f"its member {member.name!r} is not in the file")
    raw = _read(file, member.header_offset, size)
    signature, *_, name_size, extra_size = _LOCAL.unpack_from(raw)
    if signature != b"PK\x03\x04" or name_size != len(encoded) or raw[_LOCAL.size :] != encoded:
        raise BadZipError(f"its member {member.name!r} is not where the directory says")
    begin: int = member.header_offset + size + extra_size
    if begin + member.size_bytes > end:
        raise BadZipError(f"its member {member.name!r} reaches beyond the data")
    return begin


def _read_end64(file: ReadFile, end: int, small: tuple[int, int, int]) -> tuple[int, int, int]:
    """Members, bytes and offset of a directory that may be too large for the older end of an archive."""
    at = end - _END64_LOCATOR.size
    if at < 0:
        return small
    signature, _, offset, _ = _END64_LOCATOR.unpack(_read(file, at, _END64_LOCATOR.size))
    if signature != b"PK\x06\x07":
        return small
    if offset + _END64.size > at:
        raise BadZipError("the end of its zip archive is damaged")
    signature, *_, count, size, start = _END64.unpack(_read(file, offset, _END64.size))
    if signature != b"PK\x06\x06":
        raise BadZipError("the end of its zip archive is damaged")
    return count, size, start


def _members(raw: memoryview, count: int) -> dict[str, Member]:
    members: dict[str, Member] = {}
    at = 0
    try:
        for _ in range(count):
            fields = _CENTRAL.unpack_from(raw, at)
            signature, flags, method = fields[0], fields[3], fields[4]
            packed, size, name_size, extra_size, comment_size = fields[8:13]
            offset = fields[16]
            at += _CENTRAL.size
            name = bytes(raw[at : at + name_size]).decode("utf-8", "surrogateescape")
            extra = raw[at + name_size : at + name_size + extra_size]
            at += name_size + extra_size + comment_size
            if signature != b"PK\x01\x02" or at > len(raw):
                raise BadZipError("the directory of its zip archive is damaged")
            if 0xFFFFFFFF in (packed, size, offset):
                size, packed, offset = _large(extra, size, packed, offset)
            stored = method == 0 and not flags & _ENCRYPTED
            if stored and packed != size:
                raise BadZipError(f"its member {name!r} has two sizes")
            if name in members:
                raise BadZipError(f"its member {name!r} stands twice in it")
            members[name] = Member(name, offset, size, stored)
    except struct.error as error:
        raise BadZipError("the directory of its zip archive is damaged") from error
    return members


def _large(extra: memoryview, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Size, packed size and offset, with what the zip64 field of `extra` says in the place of the unknown."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4
        if kind == 1:
            values = []
            for value in (size, packed, offset):
                if value == 0xFFFFFFFF:
                    (value,) = struct.unpack_from("<Q", extra, at)
                    at += 8
                values.append(value)
            return values[0], values[1], values[2]
        at += length
    return size, packed, offset


def _read(file: ReadFile, offset: int, size: int) -> bytes:
    buffer = bytearray(size)
    file.read_into(memoryview(buffer), offset)
    return bytes(buffer)
