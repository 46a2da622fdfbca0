"""What the engine, the methods and the kernels say to each other: jobs, counts, buffers.

A method's arithmetic on one tensor is a list of folds and one map. A fold reads a chunk and reduces it
to a few numbers; the map turns a chunk of inputs into a chunk of output. A `Workspace` holds the buffers
of one chunk and runs either on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.dtypes import DTYPES, DType

__all__ = [
    "COUNTS",
    "SEGMENT",
    "Counts",
    "Fallback",
    "ListedValues",
    "MapJob",
    "Merged",
    "ParameterValue",
    "Values",
    "Workspace",
    "with_inner",
]

Array = NDArray[Any]
Int64s = NDArray[np.int64]

ParameterValue = float | int | bool | str
ListedValues = tuple[tuple[str, ParameterValue | tuple[ParameterValue, ...]], ...]
"""Values by name, in an order and with equality and a hash."""


@dataclass(frozen=True)
class Values(Mapping[str, Any]):
    """Values by name that do not change: a mapping with a hash.

    A parameter of the whole merge has one value, one of each sub-model a tuple of K.
    """

    listed: ListedValues = ()

    @classmethod
    def of(cls, **values: ParameterValue | Sequence[ParameterValue]) -> Values:
        """Values by keyword; a list becomes a tuple."""
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, ParameterValue | Sequence[ParameterValue]]) -> Values:
        return cls(
            tuple(
                (name, value if isinstance(value, float | int | bool | str) else tuple(value))
                for name, value in values.items()
            )
        )

    def __getitem__(self, name: str) -> Any:
        for key, value in self.listed:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.listed)

    def __len__(self) -> int:
        return len(self.listed)


COUNTS = ("zero_delta", "changed_by", "zero_after_draw", "selected", "dropped", "elected_against")
"""What a method may count beside `nonfinite`; see `Counts`."""

SEGMENT = 8 * BLOCK
"""Elements of a tensor among which folds count in element order. Chunks begin with one."""

_WIDE = ("F32", "F64")


@dataclass(frozen=True)
class MapJob:
    """How one tensor is merged: the same for each of its chunks.

    Attributes:
        method: the method's name.
        model_dtypes: the storage type of the tensor in each of the K sub-models.
        base_dtype: its storage type in the base; None where the method reads no base.
        merge_dtype: the type to which all are converted first.
        out_dtype: the type that is written.
        parameters: the method's parameters for this tensor by name; K values where each sub-model has its
            own.
        key: the Philox key of the tensor, where the method draws.
        zero_tolerance: |delta| up to which a delta counts as zero; None for exact equality.
        counts: which of COUNTS the method yields.
        row: elements of a row of the tensor, for a method that goes by rows; 1 for any other.
        columns: elements with one index in the tensor's first dimension: the columns of a matrix.
        elements: of the whole tensor, without rows that not all inputs have.
        inner: which elements of the chunk in hand are wanted, from and to, where a method that goes by rows
            is given more than these; None for all. Maps count and readings add up the wanted ones alone.
        draws: how often an element is drawn at most, n + 1; 0 for a method that does not draw.
        found: what the folds before this pass found in the whole tensor, by name.
    """

    method: str
    model_dtypes: tuple[DType, ...]
    base_dtype: DType | None
    merge_dtype: DType
    out_dtype: DType
    parameters: Values = field(default_factory=Values)
    key: tuple[int, int] = (0, 0)
    zero_tolerance: float | None = None
    counts: tuple[str, ...] = ()
    draws: int = 0
    row: int = 1
    columns: int = 1
    elements: int = 0
    inner: tuple[int, int] | None = None
    found: Values = field(default_factory=Values)

    @property
    def models(self) -> int:
        """K."""
        return len(self.model_dtypes)

    @property
    def computing(self) -> DType:
        """The type of the arithmetic: F64 where the merge or output type is F32 or F64, else F32."""
        wide = self.merge_dtype.name in _WIDE or self.out_dtype.name in _WIDE
        return DTYPES["F64" if wide else "F32"]

    @property
    def input_dtypes(self) -> tuple[DType, ...]:
        """The storage types of all inputs, the base last where there is one."""
        return self.model_dtypes if self.base_dtype is None else (*self.model_dtypes, self.base_dtype)


def with_inner(job: MapJob, inner: slice | None) -> MapJob:
    """`job` for a chunk of which the elements `inner` are wanted; the same one for None."""
    return job if inner is None else replace(job, inner=(inner.start, inner.stop))


@dataclass
class Counts:
    """What a chunk, or a whole tensor, was seen to hold; int64, summed over chunks.

    Attributes:
        nonfinite: [K+1] NaN and infinite elements of each input as stored, the base last
            ([K] where there is no base).
        zero_delta: [K] elements of each sub-model with zero delta.
        changed_by: [K+1] elements that exactly m sub-models changed, m = 0..K.
        zero_after_draw: [n+1] elements that are still on a zero delta after draw d.
        selected: [K] elements whose value came from sub-model i.
        dropped: [K] elements of each sub-model with a delta that sparsifying set to zero.
        elected_against: [K] of those that are left, how many the election of a sign left out.

    All but `nonfinite` are None for a method that does not yield them.
    """

    nonfinite: Int64s
    zero_delta: Int64s | None = None
    changed_by: Int64s | None = None
    zero_after_draw: Int64s | None = None
    selected: Int64s | None = None
    dropped: Int64s | None = None
    elected_against: Int64s | None = None

    @classmethod
    def zeros(cls, job: MapJob) -> Counts:
        """Nothing counted yet of what `job` yields."""
        sizes = {
            "zero_delta": job.models,
            "changed_by": job.models + 1,
            "zero_after_draw": job.draws,
            "selected": job.models,
            "dropped": job.models,
            "elected_against": job.models,
        }
        counted = {name: np.zeros(sizes[name], np.int64) for name in job.counts}
        return cls(np.zeros(len(job.input_dtypes), np.int64), **counted)

    def add(self, other: Counts) -> None:
        """Add the counts of another chunk of the same tensor."""
        self.nonfinite += other.nonfinite
        for name in COUNTS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None:
                mine += theirs


class Merged:
    """What a map made, or is still making, of a chunk.

    Attributes:
        data: the bytes of the output; valid until the workspace's next `begin`. Waits for them.
        counts: what was counted. Waits for it.
    """

    def __init__(self, data: memoryview, counts: Counts, wait: Callable[[], None] | None = None) -> None:
        """Args:
        data, counts: what is made; filled when `wait` returns.
        wait: waits for a device, once; None where nothing is to be waited for.
        """
        self._data, self._counts, self._wait = data, counts, wait

    @property
    def data(self) -> memoryview:
        self._settle()
        return self._data

    @property
    def counts(self) -> Counts:
        self._settle()
        return self._counts

    def _settle(self) -> None:
        if self._wait is not None:
            wait, self._wait = self._wait, None
            wait()


class Workspace(Protocol):
    """The buffers of one chunk and the arithmetic on them. Used by one thread at a time."""

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        """Buffers for `elements` elements of each input, the base last, to be filled by the caller."""
        ...

    def fold(self, job: MapJob, number: int, first_element: int, inner: slice | None = None) -> Array:
        """What the job's fold number `number` finds in the buffers: see `core.methods.folds.Reading`.

        `first_element` and `inner` are as in `run`.
        """
        ...

    def run(self, job: MapJob, first_element: int, inner: slice | None = None) -> Merged:
        """Merge what the buffers hold; `first_element` is a multiple of draws.BLOCK.

        A device may still be at it when this returns; it is waited for where what was made is asked for, in
        any thread. Until then, and until the next `begin`, the buffers are not to be changed.

        Several jobs may be run on one filling of the buffers; each has an output of its own. For a method
        that goes by rows the buffers hold whole rows from `first_element` on, and `inner` says which of their
        elements are wanted and counted.
        """
        ...


class Fallback(Protocol):
    """What can merge any job, if slowly: what a workspace turns to where it has no kernel."""

    def fold(
        self,
        job: MapJob,
        number: int,
        first_element: int,
        rows: Sequence[Array],
        inner: slice | None = None,
    ) -> Array:
        """What fold `number` finds; `rows` are the bytes of each input as stored, uint8, the base last."""
        ...

    def merge(
        self, job: MapJob, first_element: int, rows: Sequence[Array], inner: slice | None = None
    ) -> tuple[Array, Counts]:
        """The merged bytes, uint8, and what was counted; of the elements `inner` alone where it is given."""
        ...
