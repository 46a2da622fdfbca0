"""What is put between the rows of a part of a tensor: values of which is known what a job counts in them.

A job that counts gets a base of NaN there, from which all sub-models differ, and of each sub-model a value of
its own: draw 0 decides then, and the value that comes out says which one was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.interface import Counts, MapJob, Workspace

__all__ = ["Fillers", "words_of"]

_WORDS: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Fillers:
    """Fills the gaps of one stretch, and takes off what was counted in them."""

    def __init__(self, jobs: Sequence[MapJob], dtypes: Sequence[DType], gaps: NDArray[np.bool_]) -> None:
        """Args:
        jobs: that are run on the same buffers.
        dtypes: of the buffers, the base last where one is read.
        gaps: which elements are no part's own.
        """
        self._dtypes, self._gaps, self._models = dtypes, gaps, jobs[0].models
        self._count = int(np.count_nonzero(gaps))
        self._counts = any(job.counts and job.inner is None for job in jobs)
        types = {*dtypes, *(kind for job in jobs for kind in (job.merge_dtype, job.out_dtype))}
        self._values: int = (2 << min(kind.mantissa_bits for kind in types)) - 1
        """Whole numbers from 1 on that all types hold exactly."""

    @property
    def rounds(self) -> int:
        """How many runs it takes to tell all sub-models from one another."""
        rounds = 1
        while self._counts and self._count and self._values**rounds < self._models:
            rounds += 1
        return rounds

    def fill(self, buffers: Sequence[memoryview]) -> None:
        """Fill the gaps."""
        if not self._count:
            return
        if not self._counts:
            for buffer, dtype in zip(buffers, self._dtypes, strict=True):
                words_of(buffer, dtype)[self._gaps] = 0
            return
        self._fill(buffers, self._gaps, 0)

    def take_off(self, job: MapJob, counts: Counts, data: NDArray[np.uint8], more: Iterator[Any]) -> None:
        """Take off what `job` counted in the gaps.

        Args:
            job, counts: its counts are changed.
            data: what it made. [elements, itemsize]
            more: what `again` yields.
        """
        if not (self._count and self._counts):
            return
        if job.base_dtype is not None:
            counts.nonfinite[-1] -= self._count
        if counts.changed_by is not None:
            counts.changed_by[-1] -= self._count
        if counts.selected is not None:
            picks = self._digits(data, job.out_dtype)
            for number, made in enumerate(more, 1):
                picks += self._values**number * self._digits(made, job.out_dtype)
            counts.selected -= np.bincount(picks, minlength=job.models)

    def again(self, workspace: Workspace, job: MapJob, first_element: int) -> Iterator[NDArray[np.uint8]]:
        """What `job` makes of fillers alone that tell further sub-models from one another."""
        for number in range(1, self.rounds):
            buffers = workspace.begin(self._dtypes, len(self._gaps))
            self._fill(buffers, slice(None), number)
            made = np.frombuffer(workspace.run(job, first_element).data, np.uint8)
            yield made.reshape(-1, job.out_dtype.itemsize)

    def _fill(self, buffers: Sequence[memoryview], where: Any, number: int) -> None:
        for at, (buffer, dtype) in enumerate(zip(buffers, self._dtypes, strict=True)):
            digit = at // self._values**number % self._values
            words_of(buffer, dtype)[where] = dtype.nan if at == self._models else _word(dtype, digit + 1)

    def _digits(self, data: NDArray[np.uint8], dtype: DType) -> NDArray[np.int64]:
        words, most = words_of(data.data, dtype)[self._gaps], min(self._values, self._models)
        known = np.array([_word(dtype, value) for value in range(1, most + 1)], words.dtype)
        return np.searchsorted(known, words).astype(np.int64)


def words_of(data: memoryview, dtype: DType) -> NDArray[Any]:
    """Values as words of their width; changed where `data` is."""
    return np.frombuffer(data, _WORDS[dtype.itemsize])


@lru_cache(maxsize=1024)
def _word(dtype: DType, value: int) -> int:
    """A whole number above 0 of no more binary digits than the type holds."""
    exponent = value.bit_length() - 1
    bias = (1 << (dtype.exponent_bits - 1)) - 1
    fraction = (value - (1 << exponent)) << (dtype.mantissa_bits - exponent)
    return ((exponent + bias) << dtype.mantissa_bits) | fraction
