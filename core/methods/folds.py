"""Folds: what a method finds out of a whole tensor before it maps it.

A fold reads chunks and reduces each to a few numbers per block of `draws.BLOCK` elements. The blocks are
added, or kept, in the order of the tensor, so that no result depends on threads, chunks or devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.kernels.interface import MapJob, ParameterValue, Values

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BlocksTotal",
    "Fold",
    "FoldTotal",
    "Found",
    "Reading",
    "SumTotal",
    "Total",
    "found_by",
    "gram",
    "gram_index",
]

Array = NDArray[Any]

Found = Mapping[str, ParameterValue | tuple[ParameterValue, ...]]
"""What a fold finds, by name: numbers, or one for each sub-model."""

Reading = Callable[[MapJob, int, "list[Tensor]", "Tensor | None"], Array]
"""What a fold finds in a chunk: (job, first_element, models, base) -> [blocks, ...] float64 or int64.

The arguments are those of a method's map. Row b is of elements b * BLOCK to before (b + 1) * BLOCK of the
chunk (of its wanted elements, `MapJob.inner`). A reading of whole numbers may add its blocks up itself, and
give one row; what else it may give is between it and the fold's total.
"""


class Total(Protocol):
    """What the chunks of one tensor come to, added in their order. Used by one thread."""

    def add(self, rows: Array) -> None:
        """Add what was read of the next chunk."""
        ...

    def result(self) -> Array:
        """What `Fold.finish` gets, when every chunk was added."""
        ...


class SumTotal:
    """The rows added up, one after the other: a Total. Its result has the shape of one row."""

    def __init__(self) -> None:
        self._sum: Array | None = None

    def add(self, rows: Array) -> None:
        if self._sum is not None:
            rows = np.concatenate([self._sum, rows])
        # One after the other: numpy's own sums go by pairs where it pleases them.
        self._sum = np.add.accumulate(rows, axis=0)[-1:] if len(rows) else rows

    def result(self) -> Array:
        if self._sum is None:
            raise ValueError("nothing was added")
        return self._sum[0]  # type: ignore[no-any-return]


class BlocksTotal:
    """All rows, one behind the other: a Total."""

    def __init__(self) -> None:
        self._rows: list[Array] = []

    def add(self, rows: Array) -> None:
        self._rows.append(rows)

    def result(self) -> Array:
        return np.concatenate(self._rows)


@dataclass(frozen=True)
class Fold:
    """One reading of a tensor.

    Attributes:
        name: of the fold; kernels are found by it.
        load_reading: imports torch and returns the reading.
        finish: from the job and the result of the total to what the passes after this one find in
            `job.found`; runs on the host, with Python's `math`.
        total: makes what the chunks are added to.
        finds: the names of what `finish` always gives, and without which no pass can go on.
        when: whether the tensor is read for it, by the job with what was found until then; None for always.
            A fold with it is the exception, which plans do not count.
        asks: what a kernel for this fold has to know of the job beside the job itself.
    """

    name: str
    load_reading: Callable[[], Reading]
    finish: Callable[[MapJob, Array], Found]
    total: Callable[[], Total] = SumTotal
    finds: tuple[str, ...] = ()
    when: Callable[[MapJob], bool] | None = None
    asks: Callable[[MapJob], Any] | None = None


class FoldTotal:
    """What a fold finds in the chunks of one tensor, added in their order. Used by one thread."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._total = fold.total()

    def add(self, rows: Array) -> None:
        """Add the rows of the next chunk."""
        self._total.add(rows)

    def finish(self, job: MapJob) -> dict[str, ParameterValue | tuple[ParameterValue, ...]]:
        """What the fold finds, when every chunk was added."""
        return dict(self._fold.finish(job, self._total.result()))


def found_by(folds: Sequence[Fold], job: MapJob, read: Callable[[MapJob, int], Iterable[Array]]) -> MapJob:
    """The job with what all its folds find, one after the other.

    Args:
        folds: the job's.
        job: before them.
        read: from the job so far and the number of a fold to what is read of each chunk, in order.
    """
    for number, fold in enumerate(folds):
        if fold.when is not None and not fold.when(job):
            continue
        total = FoldTotal(fold)
        for rows in read(job, number):
            total.add(rows)
        job = replace(job, found=Values.from_mapping({**job.found, **total.finish(job)}))
    return job


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
