"""What the engine and an implementation of a method's map say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType

__all__ = ["Counts", "MapJob", "Workspace"]

Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class MapJob:
    """How one tensor is merged: the same for each of its chunks.

    Attributes:
        method: the method's name.
        model_dtypes: the storage type of the tensor in each of the K sub-models.
        base_dtype: its storage type in the base; None where the method reads no base.
        merge_dtype: the type to which all are converted first.
        out_dtype: the type that is written.
        weights: the K weights as the recipe gives them.
        resamples: n, how often a zero delta is drawn again.
        key: the Philox key of the tensor.
        zero_tolerance: |delta| up to which a delta counts as zero; None for exact equality.
    """

    method: str
    model_dtypes: tuple[DType, ...]
    base_dtype: DType | None
    merge_dtype: DType
    out_dtype: DType
    weights: tuple[float, ...]
    resamples: int = 0
    key: tuple[int, int] = (0, 0)
    zero_tolerance: float | None = None

    @property
    def models(self) -> int:
        """K."""
        return len(self.model_dtypes)

    @property
    def input_dtypes(self) -> tuple[DType, ...]:
        """The storage types of all inputs, the base last where there is one."""
        return self.model_dtypes if self.base_dtype is None else (*self.model_dtypes, self.base_dtype)


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

    All but `nonfinite` are None for a method that looks at no deltas.
    """

    nonfinite: Int64s
    zero_delta: Int64s | None = None
    changed_by: Int64s | None = None
    zero_after_draw: Int64s | None = None
    selected: Int64s | None = None

    @classmethod
    def zeros(cls, inputs: int, models: int, resamples: int | None) -> Counts:
        """Nothing counted yet; `resamples` None for a method that looks at no deltas."""
        nonfinite = np.zeros(inputs, np.int64)
        if resamples is None:
            return cls(nonfinite)
        return cls(
            nonfinite,
            zero_delta=np.zeros(models, np.int64),
            changed_by=np.zeros(models + 1, np.int64),
            zero_after_draw=np.zeros(resamples + 1, np.int64),
            selected=np.zeros(models, np.int64),
        )

    def add(self, other: Counts) -> None:
        """Add the counts of another chunk of the same tensor."""
        self.nonfinite += other.nonfinite
        for mine, theirs in (
            (self.zero_delta, other.zero_delta),
            (self.changed_by, other.changed_by),
            (self.zero_after_draw, other.zero_after_draw),
            (self.selected, other.selected),
        ):
            if mine is not None and theirs is not None:
                mine += theirs


class Workspace(Protocol):
    """The buffers of one worker and the arithmetic on them. Used by one thread at a time."""

    def begin(self, job: MapJob, elements: int) -> list[memoryview]:
        """Buffers for `elements` elements of each input, the base last, to be filled by the caller."""
        ...

    def run(self, first_element: int) -> Counts:
        """Merge what the buffers hold; `first_element` is a multiple of draws.BLOCK."""
        ...

    def output(self) -> memoryview:
        """The merged bytes of the last run; valid until the next `begin`."""
        ...
