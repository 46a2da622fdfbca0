"""Folds: what a method finds out of a whole tensor before it maps it.

A fold reads chunks and reduces each to a few numbers per block of `draws.BLOCK` elements. The blocks are
added, or kept, in the order of the tensor, so that no result depends on threads, chunks or devices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.kernels.interface import MapJob, ParameterValue

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Fold", "FoldTotal", "Found", "Reading", "gram", "gram_index"]

Array = NDArray[Any]

Found = Mapping[str, ParameterValue | tuple[ParameterValue, ...]]
"""What a fold finds, by name: numbers, or one for each sub-model."""

Reading = Callable[[MapJob, int, "list[Tensor]", "Tensor | None"], Array]
"""What a fold finds in a chunk: (job, first_element, models, base) -> [blocks, ...] float64 or int64.

The arguments are those of a method's map. Row b is of elements b * BLOCK to before (b + 1) * BLOCK of the
chunk. A reading of whole numbers may add its blocks up itself, and give one row.
"""


@dataclass(frozen=True)
class Fold:
    """One reading of a tensor.

    Attributes:
        name: of the fold; kernels are found by it.
        load_reading: imports torch and returns the reading.
        finish: from the job and the total (of the shape of one row; all rows with "blocks") to what the
            passes after this one find in `job.found`; runs on the host, with Python's `math`.
        combine: "sum" to add the rows in order; "blocks" to keep them, one behind the other.
        finds: the names of numbers that `finish` always gives, and without which no pass can go on.
    """

    name: str
    load_reading: Callable[[], Reading]
    finish: Callable[[MapJob, Array], Found]
    combine: Literal["sum", "blocks"] = "sum"
    finds: tuple[str, ...] = ()


class FoldTotal:
    """What the chunks of one tensor come to, added in their order. Used by one thread."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._rows: list[Array] = []

    def add(self, rows: Array) -> None:
        """Add the rows of the next chunk."""
        if self._fold.combine == "blocks" or not self._rows:
            self._rows.append(rows)
        else:
            self._rows = [np.concatenate([self._rows[0], rows])]
        if self._fold.combine == "sum" and len(self._rows[0]):
            # One after the other: numpy's own sums go by pairs where it pleases them.
            self._rows = [np.add.accumulate(self._rows[0], axis=0)[-1:]]

    def finish(self, job: MapJob) -> dict[str, ParameterValue | tuple[ParameterValue, ...]]:
        """What the fold finds, when every chunk was added."""
        rows = np.concatenate(self._rows)
        return dict(self._fold.finish(job, rows[0] if self._fold.combine == "sum" else rows))


def gram(finish: Callable[[MapJob, Array], Found], finds: tuple[str, ...] = ()) -> Fold:
    """The dot products of all inputs with one another, the base last.

    `finish` gets them as float64 [I * (I + 1) / 2]: pair (i, j) with i <= j, row by row; see `gram_index`.
    Each is the ordered sum of the exact products of the converted values.
    """
    return Fold("gram", _load_gram, finish, finds=finds)


def gram_index(inputs: int, i: int, j: int) -> int:
    """Where the dot product of inputs i <= j lies among those of so many inputs."""
    return i * inputs - i * (i - 1) // 2 + (j - i)


def _load_gram() -> Reading:
    from core.methods import arithmetic

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        return arithmetic.dot_products([*models, *([] if base is None else [base])])

    return read
