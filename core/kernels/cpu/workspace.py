"""The CPU kernels (numba): the methods' maps without a Python step an element.

Bit for bit what the torch reference in core.methods computes. Work goes by blocks of `draws.BLOCK`
elements, which stay in the nearest caches. For each block a bit mask an element says which
sub-models changed it; draws test mask bits alone, and the values are taken once, at the end. Loops
are branch-free and keep to narrow integers, so that LLVM vectorises them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK, selection_thresholds
from core.dtypes import DTYPES, DType
from core.kernels.cpu.convert import WORDS, convert_words, from_computing, to_computing
from core.kernels.cpu.loops import accumulate, average, average_bfloat16, count_nonfinite, mark_beyond, select
from core.kernels.interface import Counts, MapJob
from core.weights import normalised

__all__ = ["CPU_METHODS", "CpuWorkspace", "compile_for", "warm_up"]

Array = NDArray[Any]

CPU_METHODS = frozenset({"linear", "parameter_selection", "count_deltas"})
"""What the CPU kernels can do; count_deltas counts and merges nothing."""


class CpuWorkspace:
    """The buffers of one worker thread; a core.kernels.interface.Workspace."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._job: MapJob | None = None
        self._elements = 0
        self._stored: list[Array] = []
        self._models: Array = np.empty((0, 0), np.uint8)
        self._output: Array = np.empty(0, np.uint8)
        self._merged = np.empty(0, np.uint8)

    def begin(self, job: MapJob, elements: int) -> list[memoryview]:
        """Lay the inputs out one behind the other; models of one dtype form a matrix [K, elements]."""
        sizes = [elements * dtype.itemsize for dtype in job.input_dtypes]
        if self._memory.size < sum(sizes):
            self._memory = np.empty(sum(sizes), np.uint8)
        ends = np.cumsum(sizes)
        rows = [self._memory[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        self._job, self._elements = job, elements
        self._stored = [
            row.view(WORDS[dtype.itemsize]) for row, dtype in zip(rows, job.input_dtypes, strict=True)
        ]
        if _needs_no_conversion(job):
            words = self._memory[: sum(sizes[: job.models])].view(WORDS[job.merge_dtype.itemsize])
            self._models = words.reshape(job.models, elements)
        return [row.data for row in rows]

    def run(self, first_element: int) -> Counts:
        job = self._job
        if job is None:
            raise ValueError("run() before begin()")
        if not _needs_no_conversion(job):
            self._models = np.empty((job.models, self._elements), WORDS[job.merge_dtype.itemsize])
            for at, dtype in enumerate(job.model_dtypes):
                self._models[at] = convert_words(self._stored[at], dtype, job.merge_dtype)
        if job.method not in CPU_METHODS:
            raise ValueError(f"there is no CPU kernel for {job.method}")
        if job.method == "linear":
            counts = Counts.zeros(len(job.input_dtypes), job.models, None)
            self._output = self._average(job, counts)
            if _is_plain_bfloat16(job):
                return counts  # counted on the way
        else:
            counts = Counts.zeros(len(job.input_dtypes), job.models, job.resamples)
            self._output = self._select(job, first_element, counts)
            if job.zero_tolerance is None and all(dtype == job.merge_dtype for dtype in job.input_dtypes):
                return counts  # select saw all inputs as they are stored
        for at, (row, dtype) in enumerate(zip(self._stored, job.input_dtypes, strict=True)):
            word = row.dtype.type
            counts.nonfinite[at] = count_nonfinite(
                row, word(dtype.magnitude_mask), word(dtype.first_nonfinite)
            )
        return counts

    def output(self) -> memoryview:
        return self._output.view(np.uint8).data

    def _space(self, elements: int, dtype: np.dtype[Any]) -> Array:
        """Memory for the merged words of a chunk, the same for every chunk: fresh pages cost time."""
        size = elements * dtype.itemsize
        if self._merged.size < size:
            self._merged = np.empty(size, np.uint8)
        return self._merged[:size].view(dtype)

    def _average(self, job: MapJob, counts: Counts) -> Array:
        computing = DTYPES[job.merge_dtype.computing_name]
        computing_type = np.float64 if computing.name == "F64" else np.float32
        with np.errstate(over="ignore"):
            weights = np.array(normalised(job.weights)).astype(computing_type)
        if _is_plain_bfloat16(job):
            merged = self._space(self._elements, np.dtype(np.uint16))
            average_bfloat16(self._models, weights, merged, counts.nonfinite)
            return merged
        accumulator = np.empty(self._elements, computing_type)
        if job.merge_dtype == computing:
            average(self._models.view(accumulator.dtype), weights, accumulator)
        else:
            accumulator[:] = 0
            for weight, words in zip(weights, self._models, strict=True):
                accumulate(to_computing(words, job.merge_dtype), weight, accumulator)
        return from_computing(accumulator, job.out_dtype)

    def _select(self, job: MapJob, first_element: int, counts: Counts) -> Array:
        models, merge = self._models, job.merge_dtype
        assert job.base_dtype is not None
        assert counts.zero_delta is not None and counts.changed_by is not None
        assert counts.zero_after_draw is not None and counts.selected is not None
        base = convert_words(self._stored[-1], job.base_dtype, merge)
        word = models.dtype.type
        premarked = job.zero_tolerance is not None
        mask_rows = -(-job.models // 16)
        mask = np.zeros((mask_rows, self._elements if premarked else BLOCK), np.uint16)
        if job.zero_tolerance is not None:
            base_values = to_computing(base, merge)
            with np.errstate(over="ignore"):
                tolerance = base_values.dtype.type(job.zero_tolerance)
            for at in range(job.models):
                values = to_computing(models[at], merge)
                mark_beyond(values, base_values, tolerance, at, mask, counts.zero_delta)
        merging = job.method != "count_deltas"
        merged = self._space(self._elements if merging else 0, models.dtype)
        equal = all(weight == job.weights[0] for weight in job.weights)
        limits, always = (np.empty(0, np.uint32), 0) if equal else _limits(job.weights)
        select(
            models,
            base,
            word(merge.magnitude_mask),
            word(merge.infinity),
            word(merge.first_nonfinite),
            premarked,
            mask,
            merging,
            merged,
            first_element // BLOCK,
            np.uint64(job.key[0]),
            np.uint64(job.key[1]),
            equal,
            limits,
            always,
            job.resamples,
            counts.nonfinite,
            counts.zero_delta,
            counts.changed_by,
            counts.zero_after_draw,
            counts.selected,
        )
        return convert_words(merged, merge, job.out_dtype)


def warm_up(dtype: DType) -> None:
    """Compile what any merge of models stored as `dtype` needs, before the first one does."""
    for method in ("parameter_selection", "linear"):
        base = None if method == "linear" else dtype
        compile_for(MapJob(method, (dtype, dtype), base, dtype, dtype, (1.0, 1.0), resamples=1))


def compile_for(job: MapJob) -> None:
    """Compile, or load from numba's cache, what merging as `job` says needs, on two zeros."""
    workspace = CpuWorkspace()
    for row in workspace.begin(job, 2):
        row[:] = bytes(len(row))
    workspace.run(0)


def _needs_no_conversion(job: MapJob) -> bool:
    return all(dtype == job.merge_dtype for dtype in job.model_dtypes)


def _is_plain_bfloat16(job: MapJob) -> bool:
    return {dtype.name for dtype in (*job.input_dtypes, job.merge_dtype, job.out_dtype)} == {"BF16"}


def _limits(weights: tuple[float, ...]) -> tuple[Array, int]:
    """Thresholds T >= 1 as T - 1, which fits 32 bits (word >= T is word > T - 1), and how many T are 0."""
    thresholds = selection_thresholds(weights)
    limits = [threshold - 1 for threshold in thresholds if threshold > 0]
    return np.array(limits, np.uint32), len(thresholds) - len(limits)
