"""A source fills a buffer with a run of elements of a tensor: as a file holds them, or made on the fly.

The plan says which sources make an output tensor; nothing downstream knows which kind they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.checkpoint.headers import StoredTensor
from core.dtypes import DType

__all__ = ["Absent", "AnyRun", "FileRange", "ReadStored", "Source", "fill_from"]

ReadStored = Callable[[StoredTensor, int, memoryview], None]
"""Reads elements of a stored tensor, from a first one on, into a buffer of bytes."""


class Source(Protocol):
    """Elements of one tensor of one model. A frozen value."""

    @property
    def dtype(self) -> DType:
        """The type of the elements that it delivers."""
        ...

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        """What it reads, the tensor that messages name first."""
        ...

    @property
    def bytes_to_read(self) -> int:
        """What reading all of its elements once costs, in bytes of files."""
        ...

    def bytes_of(self, elements: int) -> int:
        """What reading so many of them costs."""
        ...

    @property
    def row(self) -> int:
        """Elements of a row, where only whole rows can be asked for; 1 where any run of elements can."""
        ...

    @property
    def scratch(self) -> int:
        """Bytes an element that it holds beside the buffer while it fills it."""
        ...

    @property
    def kept_bytes(self) -> int:
        """What it holds from one fill to the next, in bytes."""
        ...

    @property
    def terms(self) -> int:
        """How long making an element takes beyond reading: as long as adding up so many products."""
        ...

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes of its elements from `first_element` on.

        Raises:
            CheckpointError: a file cannot be read.
        """
        ...


class AnyRun:
    """A source of which any run of elements can be asked for, and that only reads."""

    __slots__ = ()

    @property
    def row(self) -> int:
        return 1

    @property
    def scratch(self) -> int:
        return 0

    @property
    def kept_bytes(self) -> int:
        return 0

    @property
    def terms(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class FileRange(AnyRun):
    """A tensor as a file holds it.

    Attributes:
        tensor: where.
    """

    tensor: StoredTensor

    @property
    def dtype(self) -> DType:
        return self.tensor.dtype

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return (self.tensor,)

    @property
    def bytes_to_read(self) -> int:
        return self.tensor.size_bytes

    def bytes_of(self, elements: int) -> int:
        return elements * self.tensor.dtype.itemsize

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        read(self.tensor, first_element, buffer)


@dataclass(frozen=True, slots=True)
class Absent(AnyRun):
    """In the place of a base that lacks the tensor: NaN, which differs from every value.

    So every sub-model counts as having changed every element, and nothing is ever drawn again.

    Attributes:
        dtype: a floating-point type.
    """

    dtype: DType

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return ()

    @property
    def bytes_to_read(self) -> int:
        return 0

    def bytes_of(self, elements: int) -> int:
        return 0

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        word = self.dtype.nan.to_bytes(self.dtype.itemsize, "little")
        buffer[:] = word * (len(buffer) // len(word))


def fill_from(source: Source, read: ReadStored, first_element: int, buffer: memoryview) -> None:
    """Fill `buffer` with elements of a source, which may deliver whole rows only.

    Raises:
        CheckpointError: a file cannot be read.
    """
    size = source.dtype.itemsize
    before = first_element % source.row
    after = -(first_element + len(buffer) // size) % source.row
    if not (before or after):
        source.fill(read, first_element, buffer)
        return
    rows = memoryview(bytearray(len(buffer) + (before + after) * size))
    source.fill(read, first_element - before, rows)
    buffer[:] = rows[before * size : before * size + len(buffer)]
