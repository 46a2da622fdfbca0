"""A data file as text, and every way in which it can be none."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from core.errors import DataError
from core.small_files import read_small
from core.units import bytes_text

__all__ = ["MOST_BYTES", "as_text", "read_bytes"]

MOST_BYTES = 2_000_000_000
"""A data set is held in memory, several times as large as its file."""

_UTF_16_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE = "save it as UTF-8"


def read_bytes(path: Path) -> bytes:
    """What a data file holds. Never waits for a pipe.

    Raises:
        DataError: it is not there, is no regular file, is too large, or cannot be read.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is not None and stat.S_ISREG(status.st_mode) and status.st_size > MOST_BYTES:
        raise DataError(
            f"{path} has {bytes_text(status.st_size)}, and a data file is read whole: at most "
            f"{bytes_text(MOST_BYTES)}",
            hint="take a part of it, as with `head -n 10000`",
            path=path,
            field="data",
        )
    try:
        return read_small(path, MOST_BYTES, DataError, "the data ")
    except DataError as error:
        error.field = "data"
        raise


def as_text(path: Path, content: bytes) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        DataError: it is in UTF-16 or another encoding, holds null bytes, or nothing.
    """

    def refuse(what: str, hint: str = _SAVE) -> DataError:
        return DataError(f"{path} {what}", hint=hint, path=path, field="data")

    if content.startswith(_UTF_16_32):
        raise refuse("is UTF-16 text, not UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = "is not UTF-8 text" if b"\0" not in content else "is not text"
        raise refuse(f"{what}: line {line} has the byte {content[error.start]:#04x}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise refuse(f"has a null byte in line {line}: it is UTF-16 without a mark, or no text")
    if not text.strip():
        raise refuse("is empty", "write one sample a line")
    return text
