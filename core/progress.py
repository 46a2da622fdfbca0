"""How far a long job is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress", "ProgressCallback", "Share", "ShareCallback"]


@dataclass(frozen=True)
class Progress:
    """How far a job is, at one moment.

    Attributes:
        bytes_done, bytes_total: bytes of weights read and written.
        tensors_done, tensors_total: whole tensors.
        elapsed_s: seconds since the first read.
        tensor: the name of a tensor in hand, "" before the first.
        bytes_before: of bytes_done, what an earlier process did.
    """

    bytes_done: int
    bytes_total: int
    tensors_done: int
    tensors_total: int
    elapsed_s: float
    tensor: str
    bytes_before: int = 0

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return self.bytes_done / self.bytes_total if self.bytes_total else 1.0

    @property
    def bytes_per_s(self) -> float:
        return (self.bytes_done - self.bytes_before) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the average speed so far; None while that is unknown."""
        if self.bytes_done <= self.bytes_before or self.elapsed_s <= 0:
            return None
        return (self.bytes_total - self.bytes_done) / self.bytes_per_s


ProgressCallback = Callable[[Progress], None]
"""Called about ten times a second in the thread that called the job."""


@dataclass(frozen=True)
class Share:
    """How far a job is that is not counted in bytes, at one moment.

    Attributes:
        fraction: between 0 and 1.
        text: what it does, as "qwen-1: 120 of 900 rows".
        remaining_s: seconds left at the average speed so far; None while that is unknown.
    """

    fraction: float
    text: str
    remaining_s: float | None = None


ShareCallback = Callable[[Share], None]
"""Called a few times a second in the thread that called the job."""
