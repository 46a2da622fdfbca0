"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

import re
from pathlib import Path

from core.checkpoint.conversions import quoted, safetensors_path, to_safetensors
from core.checkpoint.files import ReadFile
from core.errors import CheckpointError

__all__ = ["refuse_other_kinds"]

_START_BYTES = 512
_AGAIN = "download the file again"

_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml|<error)", re.IGNORECASE)

_SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a pointer of Git LFS", "run `git lfs pull` in its folder, or " + _AGAIN),
    (b"# xet version", "a pointer of Xet", _AGAIN),
    (b"GGUF", "a GGUF file", "take the model in safetensors format that it was made from"),
    (b"\x1f\x8b", "a gzip archive", "unpack it with gunzip or tar first"),
    (b"BZh", "a bzip2 archive", "unpack it with bunzip2 or tar first"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it with unxz or tar first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it with unzstd first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "take the model in safetensors format"),
    (b"\x93NUMPY", "a NumPy array", "take the model in safetensors format"),
    (b"%PDF", "a PDF document", _AGAIN),
)
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The number that torch began its files with before it made them zip archives."""


def refuse_other_kinds(file: ReadFile, expected: str) -> None:
    """Say what `file` is, where that can be told and is not what it is called.

    Args:
        file: whatever it is.
        expected: what it should be: "safetensors" or "pickle".

    Raises:
        CheckpointError: that.
    """
    start = bytearray(min(file.size_bytes, _START_BYTES))
    file.read_into(memoryview(start), 0)
    what, hint = _kind(file.path, bytes(start), file.size_bytes, expected)
    if what:
        called = "the weights" if "pointer" in what else f"a {expected} file"
        if expected == "pickle" and called != "the weights":
            called = "weights that torch.save wrote"
        raise CheckpointError(f"{file.path} is {what} and not {called}", hint=hint, path=file.path)


def _kind(path: Path, start: bytes, size: int, expected: str) -> tuple[str, str | None]:
    for sign, what, hint in _SIGNS:
        if start.startswith(sign):
            return what, hint
    if start.startswith(b"PK\x03\x04"):
        if b"data.pkl" in start[30:300]:
            return "a pickle that torch.save wrote", f"rename it: {_rename(path, _pickle_path(path))}"
        return "a zip archive", "unpack it first"
    if start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        if start.startswith(_LEGACY):
            return "a pickle in the format of torch before 1.6", f"convert it: {to_safetensors(path)}"
        return "a Python pickle", "take the file that torch.save or safetensors wrote"
    if start[257:262] == b"ustar":
        return "a tar archive", "unpack it with tar first"
    if expected == "pickle" and len(start) > 9 and start[8:9] == b"{":
        length = int.from_bytes(start[:8], "little")
        if 8 + length <= size:
            return "a safetensors file", f"rename it: {_rename(path, safetensors_path(path))}"
    if _PAGE.match(start):
        return "an HTML or XML page", "download the file itself: the server sent a page in its place"
    if start and not start.strip(b"\0"):
        return "filled with zeros", "download the file again: nothing was written into it yet"
    if start and _is_text(start):
        return "a text file", "look into it: it may say why the download failed"
    return "", None


def _is_text(start: bytes) -> bool:
    try:
        text = start[: len(start) - 3 if len(start) == _START_BYTES else len(start)].decode()
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def _pickle_path(path: Path) -> Path:
    name = path.with_suffix(".bin").name
    return path.with_name(f"pytorch_{name}" if name.startswith("model") else name)


def _rename(path: Path, other: Path) -> str:
    return f"mv {quoted(path)} {quoted(other)}"
