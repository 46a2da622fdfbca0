"""Where the tensors of a model lie on disk: values that readers of every format make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.checkpoint.files import FileState
from core.dtypes import DType
from core.text import is_text, shown

__all__ = ["MAX_DIMENSIONS", "ShardHeader", "StoredTensor", "is_count", "name_problem"]

MAX_DIMENSIONS = 64  # as torch has it

_MAX_NAME_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where the bytes of one tensor are.

    Attributes:
        name: its name.
        dtype: its element type.
        shape: its shape; () for a single number.
        path: the file.
        offset: of its first byte, from the beginning of the file.
        size_bytes: of its data.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    path: Path
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class ShardHeader:
    """One file of weights.

    Attributes:
        path: where it is.
        state: of the file when the header was read.
        digest: hex XXH3-128 of what says where its tensors are: of a safetensors file the length and the
            header, of a pickle data.pkl, `byteorder` and the directory of the zip archive.
        tensors: in the order of their data.
    """

    path: Path
    state: FileState
    digest: str
    tensors: tuple[StoredTensor, ...]

    @property
    def size_bytes(self) -> int:
        return self.state.size_bytes


def name_problem(name: Any) -> str | None:
    """What is wrong with the name of a tensor, or None."""
    if not isinstance(name, str) or not is_text(name):
        return f"the tensor name {shown(name)} is not valid text"
    if len(name) > _MAX_NAME_CHARACTERS:
        return f"the tensor name {shown(name)} has {len(name):,} characters"
    return None


def is_count(value: Any) -> bool:
    """Whether it is a number of things that there can be."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
