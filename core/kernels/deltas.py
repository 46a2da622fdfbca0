"""Counts and sums of the deltas of one chunk, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.dtypes import DType
from core.kernels.chunk import MapJob
from core.kernels.convert import WORDS, convert_words, to_computing
from core.kernels.delta_loops import TILE, measure_deltas
from core.kernels.delta_sums import MAGNITUDE_BINS, DeltaSums
from core.kernels.loops import count_nonfinite

__all__ = ["DeltaWorkspace", "compile_measures"]

Array = NDArray[Any]


class DeltaWorkspace:
    """The buffers of one worker; used by one thread at a time."""

    def __init__(self, *, details: bool, shares: Sequence[float] = (), draws: int = 0) -> None:
        """Nothing is allocated yet.

        Args:
            details: whether to fill all of DeltaSums, or only its counts.
            shares: of the weights, [K], for `unchanged_powers`; empty to leave those out.
            draws: the number of `unchanged_powers`.
        """
        self._details = details
        self._shares = np.array(shares, np.float64)
        self._draws = draws if len(shares) else 0
        self._memory = np.empty(0, np.uint8)
        self._deltas: Array = np.zeros((0, BLOCK), np.float32)

    def begin(self, job: MapJob, elements: int) -> list[memoryview]:
        """Buffers for `elements` elements of each input, the base last, to be filled by the caller."""
        sizes = [elements * dtype.itemsize for dtype in job.input_dtypes]
        if self._memory.size < sum(sizes):
            self._memory = np.empty(sum(sizes), np.uint8)
        ends = np.cumsum(sizes)
        self._job, self._elements = job, elements
        self._rows = [self._memory[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        return [row.data for row in self._rows]

    def run(self) -> DeltaSums:
        """Measure what the buffers hold."""
        job, count = self._job, self._job.models
        assert job.base_dtype is not None
        merge, word = job.merge_dtype, WORDS[job.merge_dtype.itemsize]
        stored = [
            row.view(WORDS[dtype.itemsize]) for row, dtype in zip(self._rows, job.input_dtypes, strict=True)
        ]
        if all(dtype == merge for dtype in job.model_dtypes):
            size = count * self._elements * merge.itemsize
            models = self._memory[:size].view(word).reshape(count, self._elements)
        else:
            models = np.empty((count, self._elements), word)
            for row, words, dtype in zip(models, stored, job.model_dtypes, strict=False):
                row[:] = convert_words(words, dtype, merge)
        base = convert_words(stored[-1], job.base_dtype, merge)
        float_type: Any = np.float64 if merge.name == "F64" else np.float32
        square = (count, count) if self._details else (0, 0)
        rows = -(-(count + 1) // TILE) * TILE
        sums = DeltaSums(
            elements=self._elements,
            nonfinite=np.zeros(count + 1, np.int64),
            zero_delta=np.zeros(count, np.int64),
            changed_by=np.zeros(count + 1, np.int64),
            unchanged_powers=np.zeros(self._draws),
        )
        left_out, magnitudes = np.zeros(square[0], np.int64), np.zeros(square[0])
        largest = np.zeros(square[0], float_type)
        histogram = np.zeros((square[0], MAGNITUDE_BINS), np.int64)
        products = np.zeros((rows, rows) if self._details else (0, 0))
        both_changed, signs_differ = np.zeros(square, np.int64), np.zeros(square, np.int64)
        measure_deltas(
            models,
            base,
            word(merge.magnitude_mask),
            word(merge.infinity),
            word(merge.first_nonfinite),
            self._values(models, merge),
            self._values(base, merge),
            merge.name == "F16",
            self._scratch(rows if self._details else 0, np.dtype(float_type)),
            self._shares,
            self._details,
            sums.nonfinite,
            sums.zero_delta,
            sums.changed_by,
            sums.unchanged_powers,
            left_out,
            magnitudes,
            largest.view(WORDS[largest.itemsize]),
            histogram,
            products,
            both_changed,
            signs_differ,
        )
        if not all(dtype == merge for dtype in job.input_dtypes):
            for at, (words, dtype) in enumerate(zip(stored, job.input_dtypes, strict=True)):
                of_type = words.dtype.type
                sums.nonfinite[at] = count_nonfinite(
                    words, of_type(dtype.magnitude_mask), of_type(dtype.first_nonfinite)
                )
        if not self._details:
            return sums
        return DeltaSums(
            sums.elements,
            sums.nonfinite,
            sums.zero_delta,
            sums.changed_by,
            sums.unchanged_powers,
            left_out,
            magnitudes,
            largest.astype(np.float64),
            histogram,
            products[: count + 1, : count + 1],
            both_changed,
            signs_differ,
        )

    def _values(self, words: Array, merge: DType) -> Array:
        """What is subtracted: numbers, or words of 16 bits, which the loop widens as it goes."""
        if not self._details:
            words = words[..., :0]
        if merge.itemsize == 2:
            return words
        return to_computing(words, merge)

    def _scratch(self, rows: int, float_type: np.dtype[Any]) -> Array:
        if self._deltas.dtype != float_type or len(self._deltas) != rows:
            self._deltas = np.zeros((rows, BLOCK), float_type)
        return self._deltas


def compile_measures(dtype: DType) -> None:
    """Compile, or load from numba's cache, what inspecting models stored as `dtype` needs."""
    for details in (False, True):
        workspace = DeltaWorkspace(details=details)
        job = MapJob("parameter_selection", (dtype,), dtype, dtype, dtype, (1.0,))
        for row in workspace.begin(job, 2):
            row[:] = bytes(len(row))
        workspace.run()
