"""A part of a tensor whose rows are not in all inputs."""

from __future__ import annotations

from dataclasses import dataclass

from core.kernels.interface import MapJob
from core.sources.source import Source

__all__ = ["RowPart"]


@dataclass(frozen=True)
class RowPart:
    """Consecutive rows of a tensor that the same inputs have.

    Attributes:
        first, elements: from which element of the tensor on, and how many.
        inputs: what is read, in the order of a workspace's buffers; each by the elements of the whole tensor.
        numbers: which of the tensor's inputs these are.
        job: how they are merged, with a value of each parameter for each sub-model that has them.
        present: which sub-models these are; () where the base's rows are taken, or zeros.
        is_whole: whether all that have the tensor have these rows, and so they are merged like any tensor.
    """

    first: int
    elements: int
    inputs: tuple[Source, ...]
    numbers: tuple[int, ...]
    job: MapJob
    present: tuple[int, ...]
    is_whole: bool

    @property
    def bytes_to_read(self) -> int:
        return sum(source.bytes_of(self.elements) for source in self.inputs)
