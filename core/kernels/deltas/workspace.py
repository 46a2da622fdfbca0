"""Counts and sums of the deltas of one chunk, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.dtypes import DTYPES, DType
from core.kernels.cpu.buffers import aligned
from core.kernels.cpu.convert import WORDS, convert_words, to_computing
from core.kernels.cpu.loops import count_nonfinite
from core.kernels.deltas.loops import STEP, TILE, WORD, count_tiles, mark_deltas, measure_deltas
from core.kernels.deltas.sums import MAGNITUDE_BINS, DeltaSums
from core.kernels.interface import MapJob

__all__ = ["DeltaWorkspace", "compile_marks", "compile_measures"]

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
        self._chunk: _ChunkLayout | None = None

    def begin(self, job: MapJob, elements: int) -> list[memoryview]:
        """Buffers for `elements` elements of each input, the base last, to be filled by the caller."""
        chunk = self._chunk
        if chunk is None or not chunk.suits(job, elements):
            self._chunk = chunk = _ChunkLayout(job, elements, self._details, chunk)
        return chunk.buffers

    def run(self) -> DeltaSums:
        """Measure what the buffers hold."""
        chunk = self._chunk
        assert chunk is not None
        count = chunk.job.models
        inputs = chunk.inputs()
        nonfinite, zero_delta = np.zeros(count + 1, np.int64), np.zeros(count, np.int64)
        changed_by, unchanged_powers = np.zeros(count + 1, np.int64), np.zeros(self._draws)
        mark_deltas(
            inputs.models,
            inputs.base,
            chunk.elements,
            *chunk.word_limits,
            self._shares,
            chunk.with_tolerance,
            chunk.tolerance,
            inputs.values,
            inputs.base_values,
            chunk.is_float16,
            chunk.rows,
            chunk.words,
            chunk.row_limits[0],
            chunk.marks,
            nonfinite,
            zero_delta,
            changed_by,
            unchanged_powers,
        )
        if chunk.is_mixed:
            nonfinite = chunk.nonfinite_as_stored()
        if not self._details:
            return DeltaSums(chunk.elements, nonfinite, zero_delta, changed_by, unchanged_powers)
        left_out, magnitudes = np.zeros(count, np.int64), np.zeros(count + 1)
        largest = np.zeros(count, chunk.rows.dtype)
        histogram = np.zeros((count, MAGNITUDE_BINS), np.int64)
        products = np.zeros((len(chunk.wide), len(chunk.wide)))
        both_changed, signs_differ = np.zeros((2, count, count), np.int64)
        measure_deltas(
            inputs.values,
            inputs.base_values,
            chunk.elements,
            chunk.is_float16,
            chunk.marks,
            not chunk.with_tolerance,
            chunk.rows,
            chunk.words,
            *chunk.row_limits,
            chunk.wide,
            left_out,
            magnitudes,
            largest.view(chunk.words.dtype),
            histogram,
            products,
            both_changed,
            signs_differ,
        )
        return DeltaSums(
            chunk.elements,
            nonfinite,
            zero_delta,
            changed_by,
            unchanged_powers,
            left_out,
            magnitudes[:count],
            largest.astype(np.float64),
            histogram,
            products[: count + 1, : count + 1],
            both_changed,
            signs_differ,
        )

    def tiles(self, width: int, column_bounds: Sequence[int] | Array) -> Array:
        """Where in a matrix the deltas of the last run are that are not zero.

        Args:
            width: the columns of the row-major matrix of which the chunk holds whole rows.
            column_bounds: [C + 1] ascending, within 0..width: tile c is the columns from
                column_bounds[c] to before column_bounds[c + 1].

        Returns:
            [K, C] int64: how many elements of each tile each sub-model changed, over all rows of the chunk.
        """
        chunk = self._chunk
        assert chunk is not None
        bounds = np.array(column_bounds, np.int64)
        if width < 1 or chunk.elements % width:
            raise ValueError(f"{chunk.elements} elements are not rows of {width}")
        if bounds.size == 0 or bounds[0] < 0 or bounds[-1] > width or (np.diff(bounds) < 0).any():
            raise ValueError(f"{column_bounds} are not bounds of tiles of {width} columns")
        counts = np.zeros((chunk.job.models, bounds.size - 1), np.int64)
        count_tiles(chunk.marks, width, chunk.elements // width, bounds, counts)
        return counts


@dataclass(frozen=True)
class _Inputs:
    """What a chunk's buffers hold, in the merge dtype.

    Attributes:
        models, base: [K, stride] and [stride] words.
        values, base_values: the same as numbers, or words of 16 bits, which the loops widen as they go;
            without elements where only words are looked at.
    """

    models: Array
    base: Array
    values: Array
    base_values: Array


class _ChunkLayout:
    """The memory for chunks of one layout, and what they have in common.

    Attributes:
        job: of one of them.
        elements: of each of them.
        memory: of the buffers.
        buffers: of each input, for the caller.
        marks: [K, stride / WORD] of the deltas that are not zero.
        rows, words, wide: scratch space; see delta_loops.measure_deltas.
        word_limits: magnitude mask, infinity and the largest finite word of the merge dtype.
        row_limits: magnitude mask and infinity of the computing type.
        with_tolerance, tolerance: whether there is one, and its bits in the computing type.
        is_float16: whether the merge dtype is.
        is_mixed: whether some input is of another type.
    """

    memory: Array
    words: Array
    wide: Array

    def __init__(self, job: MapJob, elements: int, details: bool, before: _ChunkLayout | None) -> None:
        """The memory of the chunk before is used again where it is large enough: fresh pages cost time."""
        assert job.base_dtype is not None
        merge, computing = job.merge_dtype, DTYPES[job.merge_dtype.computing_name]
        self.job, self.elements = job, elements
        self.is_float16 = merge.name == "F16"
        self.is_mixed = any(dtype != merge for dtype in job.input_dtypes)
        # A word more than is needed: rows a power of two apart would crowd into a few lines of the caches.
        words = -(-elements // WORD) + 1
        self._stride = WORD * words
        ends = np.cumsum([self._stride * dtype.itemsize for dtype in job.input_dtypes]).tolist()
        if before is not None and before.memory.size >= ends[-1]:
            self.memory = before.memory
        else:
            self.memory = _aligned(ends[-1], np.uint8)
        self._stored = [
            self.memory[start:end].view(WORDS[dtype.itemsize])
            for start, end, dtype in zip([0, *ends], ends, job.input_dtypes, strict=False)
        ]
        for stored in self._stored:
            stored[elements:] = 0
        self.buffers = [stored[:elements].view(np.uint8).data for stored in self._stored]
        self.marks = np.zeros((job.models, words), np.uint64)

        self.with_tolerance = job.zero_tolerance is not None
        self._with_numbers = details or self.with_tolerance
        word, row_word = WORDS[merge.itemsize], WORDS[computing.itemsize]
        rows = -(-(job.models + 1) // TILE) * TILE if self._with_numbers else 0
        if before is not None and before.words.shape[0] == rows and before.words.dtype == row_word:
            self.words, self.wide = before.words, before.wide
        else:
            self.words = _aligned(rows * BLOCK, row_word).reshape(rows, BLOCK)
            self.wide = _aligned(rows * STEP, np.float64).reshape(rows, STEP)
        self.rows: Array = self.words.view(f"f{computing.itemsize}")
        self.word_limits = word(merge.magnitude_mask), word(merge.infinity), word(merge.first_nonfinite - 1)
        self.row_limits = row_word(computing.magnitude_mask), row_word(computing.infinity)
        with np.errstate(over="ignore"):
            tolerance = np.array([job.zero_tolerance or 0.0]).astype(self.rows.dtype)
        self.tolerance = tolerance.view(row_word)[0]
        self._views = None if self.is_mixed or merge.itemsize == 1 else self._read()

    def suits(self, job: MapJob, elements: int) -> bool:
        """Whether a chunk of `elements` elements of a tensor of this job has the same layout."""
        mine = self.job
        return elements == self.elements and (
            job is mine
            or (job.input_dtypes, job.merge_dtype, job.zero_tolerance)
            == (mine.input_dtypes, mine.merge_dtype, mine.zero_tolerance)
        )

    def inputs(self) -> _Inputs:
        """What the buffers hold now."""
        return self._views or self._read()

    def _read(self) -> _Inputs:
        job, merge = self.job, self.job.merge_dtype
        word = WORDS[merge.itemsize]
        if self.is_mixed:
            models = np.empty((job.models, self._stride), word)
            for row, words, dtype in zip(models, self._stored, job.model_dtypes, strict=False):
                row[:] = convert_words(words, dtype, merge)
        else:
            size = job.models * self._stride * merge.itemsize
            models = self.memory[:size].view(word).reshape(job.models, self._stride)
        assert job.base_dtype is not None
        base = convert_words(self._stored[-1], job.base_dtype, merge)
        if not self._with_numbers:
            return _Inputs(models, base, _values(models[:, :0], merge), _values(base[:0], merge))
        return _Inputs(models, base, _values(models, merge), _values(base, merge))

    def nonfinite_as_stored(self) -> Array:
        """NaN and infinite elements of each input before conversion. [K + 1]"""
        counts = np.zeros(len(self._stored), np.int64)
        for at, (words, dtype) in enumerate(zip(self._stored, self.job.input_dtypes, strict=True)):
            word = words.dtype.type
            counts[at] = count_nonfinite(words, word(dtype.magnitude_mask), word(dtype.first_nonfinite))
        return counts


def compile_marks(dtype: DType) -> None:
    """Compile, or load from numba's cache, what counting the zero deltas of models of `dtype` needs."""
    _compile(dtype, details=False)


def compile_measures(dtype: DType) -> None:
    """Compile, or load from numba's cache, what inspecting models stored as `dtype` needs."""
    for details in (False, True):
        _compile(dtype, details=details)


def _compile(dtype: DType, *, details: bool) -> None:
    workspace = DeltaWorkspace(details=details)
    job = MapJob("", (dtype,), dtype, dtype, dtype)
    for row in workspace.begin(job, 2):
        row[:] = bytes(len(row))
    workspace.run()
    workspace.tiles(1, (0, 1))


def _aligned(size: int, dtype: Any) -> Array:
    """Memory for so many numbers that begins with a cache line."""
    words: Array = aligned(size * np.dtype(dtype).itemsize).view(dtype)
    return words


def _values(words: Array, dtype: DType) -> Array:
    return words if dtype.itemsize == 2 else to_computing(words, dtype)
