"""The CPU kernels (numba): the methods' maps without a Python step an element.

Bit for bit what the torch reference in core.methods computes. Loops go by blocks of
`draws.BLOCK` elements, which stay in the first-level cache, and are written so that LLVM
vectorises them. A bit mask an element says which sub-models changed it; draws test mask bits, and
the values are gathered once, at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.draws import BLOCK, SELECTION_STREAM, selection_thresholds
from core.dtypes import DTYPES
from core.kernels.chunk import Counts, MapJob
from core.kernels.convert import WORDS, convert_words, float32_of_bits, from_computing, to_computing

__all__ = ["CPU_METHODS", "CpuWorkspace", "compile_for", "warm_up"]

Array = NDArray[Any]

CPU_METHODS = frozenset({"linear", "parameter_selection", "count_deltas"})
"""What the CPU kernels can do; count_deltas counts and merges nothing."""


class CpuWorkspace:
    """The buffers of one worker thread; a core.kernels.chunk.Workspace."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._job: MapJob | None = None
        self._elements = 0
        self._stored: list[Array] = []
        self._models: Array = np.empty((0, 0), np.uint8)
        self._output: Array = np.empty(0, np.uint8)
        self._block = _BlockBuffers()

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
        matrix_bytes = sum(sizes[: job.models])
        if all(dtype == job.merge_dtype for dtype in job.model_dtypes):
            words = self._memory[:matrix_bytes].view(WORDS[job.merge_dtype.itemsize])
            self._models = words.reshape(job.models, elements)
        else:
            self._models = np.empty((job.models, elements), WORDS[job.merge_dtype.itemsize])
        return [row.data for row in rows]

    def run(self, first_element: int) -> Counts:
        job = self._job
        if job is None:
            raise ValueError("run() before begin()")
        if not any(np.may_share_memory(self._models, row) for row in self._stored[:1]):
            for at, (row, dtype) in enumerate(zip(self._stored, job.model_dtypes, strict=False)):
                self._models[at] = convert_words(row, dtype, job.merge_dtype)
        if job.method == "linear":
            counts = Counts.zeros(len(job.input_dtypes), job.models, None)
            self._output = self._average(job)
        else:
            counts = Counts.zeros(len(job.input_dtypes), job.models, job.resamples)
            self._output = self._select(job, first_element, counts)
        for at, (row, dtype) in enumerate(zip(self._stored, job.input_dtypes, strict=True)):
            counts.nonfinite[at] = _count_nonfinite(
                row, row.dtype.type(dtype.magnitude_mask), row.dtype.type(dtype.first_nonfinite)
            )
        return counts

    def output(self) -> memoryview:
        return self._output.view(np.uint8).data

    def _average(self, job: MapJob) -> Array:
        from core.methods.linear import normalised

        computing = DTYPES[job.merge_dtype.computing_name]
        accumulator = np.zeros(self._elements, np.float64 if computing.name == "F64" else np.float32)
        for share, words in zip(normalised(job.weights), self._models, strict=True):
            weight = accumulator.dtype.type(share)
            if job.merge_dtype.name == "BF16":
                _accumulate_bfloat16(accumulator, words, weight)
            else:
                _accumulate(accumulator, to_computing(words, job.merge_dtype), weight)
        return from_computing(accumulator, job.out_dtype)

    def _select(self, job: MapJob, first_element: int, counts: Counts) -> Array:
        models, merge = self._models, job.merge_dtype
        assert job.base_dtype is not None
        assert counts.zero_delta is not None and counts.changed_by is not None
        assert counts.zero_after_draw is not None and counts.selected is not None
        base = convert_words(self._stored[-1], job.base_dtype, merge)
        word = models.dtype.type
        mask = np.zeros(((job.models + 63) // 64, self._elements), _mask_type(job.models))
        if job.zero_tolerance is None:
            _mark_changed(
                models, base, word(merge.magnitude_mask), word(merge.infinity), mask, counts.zero_delta
            )
        else:
            base_values = to_computing(base, merge)
            with np.errstate(over="ignore"):
                tolerance = base_values.dtype.type(job.zero_tolerance)
            for at in range(job.models):
                values = to_computing(models[at], merge)
                _mark_beyond(values, base_values, tolerance, at, mask, counts.zero_delta)
        _count_overlap(mask, counts.changed_by)
        if job.method == "count_deltas":
            return np.empty(0, word)
        merged = np.empty(self._elements, word)
        buffers = self._block
        equal = all(weight == job.weights[0] for weight in job.weights)
        _draw_and_gather(
            models,
            mask,
            merged,
            first_element // BLOCK,
            np.uint64(job.key[0]),
            np.uint64(job.key[1]),
            np.array([] if equal else selection_thresholds(job.weights), np.uint64),
            equal,
            job.resamples,
            buffers.words,
            buffers.picks,
            buffers.chosen,
            buffers.pending,
            counts.zero_after_draw,
            counts.selected,
        )
        return convert_words(merged, merge, job.out_dtype)


class _BlockBuffers:
    """Scratch space of one block of elements."""

    def __init__(self) -> None:
        self.words = np.empty(BLOCK, np.uint32)
        self.picks = np.empty(BLOCK, np.uint32)
        self.chosen = np.empty(BLOCK, np.uint32)
        self.pending = np.empty(BLOCK, np.uint8)


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


def _mask_type(models: int) -> Any:
    """As narrow as K allows; beyond 64 sub-models, rows of 64 bits."""
    return np.uint16 if models <= 16 else np.uint32 if models <= 32 else np.uint64


@njit(nogil=True, cache=True)
def _count_nonfinite(words: Array, magnitude_mask: Any, first_nonfinite: Any) -> Any:
    total = np.int64(0)
    for at in range(words.size):
        total += (words[at] & magnitude_mask) >= first_nonfinite
    return total


@njit(nogil=True, cache=True)
def _mark_changed(
    models: Array, base: Array, magnitude_mask: Any, infinity: Any, mask: Array, zero_delta: Array
) -> None:
    """Set bit i where sub-model i differs from the base as a number, and count where it does not.

    On raw words: changed = (a != b and ((a | b) & magnitude) != 0) or isnan(a) or isnan(b).
    """
    elements = base.size
    for start in range(0, elements, BLOCK):
        stop = min(start + BLOCK, elements)
        base_block = base[start:stop]
        for model in range(models.shape[0]):
            block = models[model, start:stop]
            row = mask[model >> 6, start:stop]
            bit = mask.dtype.type(mask.dtype.type(1) << mask.dtype.type(model & 63))
            changed = np.uint16(0)  # at most BLOCK; a narrow sum keeps the loop narrow, and so fast
            for at in range(block.size):
                a = block[at]
                b = base_block[at]
                differs = (a != b) & (((a | b) & magnitude_mask) != 0)
                is_nan = ((a & magnitude_mask) > infinity) | ((b & magnitude_mask) > infinity)
                flag = np.uint16(differs | is_nan)
                row[at] |= mask.dtype.type(flag * bit)
                changed = np.uint16(changed + flag)
            zero_delta[model] += block.size - changed


@njit(nogil=True, cache=True)
def _mark_beyond(
    values: Array, base: Array, tolerance: Any, model: int, mask: Array, zero_delta: Array
) -> None:
    """As _mark_changed for one sub-model, with deltas up to `tolerance` counted as zero."""
    bit = mask.dtype.type(1) << mask.dtype.type(model & 63)
    row = mask[model >> 6]
    for at in range(values.size):
        zero = values[at] == base[at] or abs(values[at] - base[at]) <= tolerance
        if zero:
            zero_delta[model] += 1
        else:
            row[at] |= bit


@njit(nogil=True, cache=True)
def _count_overlap(mask: Array, changed_by: Array) -> None:
    """Add to the histogram of the number of bits set."""
    for at in range(mask.shape[1]):
        bits = np.int64(0)
        for row in range(mask.shape[0]):
            rest = np.uint64(mask[row, at])
            rest -= (rest >> np.uint64(1)) & np.uint64(0x5555555555555555)
            rest = (rest & np.uint64(0x3333333333333333)) + (
                (rest >> np.uint64(2)) & np.uint64(0x3333333333333333)
            )
            rest = (rest + (rest >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            bits += np.int64((rest * np.uint64(0x0101010101010101)) >> np.uint64(56))
        changed_by[bits] += 1


@njit(nogil=True, cache=True)
def _philox_block(block: int, draw: int, k0: Any, k1: Any, words: Array) -> None:
    """The words of draw `draw` of the 4,096 elements of block `block`, by element."""
    low = np.uint64(0xFFFFFFFF)
    first_quad = np.uint64(block) << np.uint64(10)
    for at in range(1024):
        quad = first_quad | np.uint64(at)
        c0 = quad & low
        c1 = quad >> np.uint64(32)
        c2 = np.uint64(draw)
        c3 = np.uint64(SELECTION_STREAM)
        key0 = k0
        key1 = k1
        for _ in range(10):
            product0 = np.uint64(0xD2511F53) * c0
            product1 = np.uint64(0xCD9E8D57) * c2
            c0 = (product1 >> np.uint64(32)) ^ c1 ^ key0
            c1 = product1 & low
            c2 = (product0 >> np.uint64(32)) ^ c3 ^ key1
            c3 = product0 & low
            key0 = (key0 + np.uint64(0x9E3779B9)) & low
            key1 = (key1 + np.uint64(0xBB67AE85)) & low
        words[at] = c0
        words[1024 + at] = c1
        words[2048 + at] = c2
        words[3072 + at] = c3


@njit(nogil=True, cache=True)
def _draw_and_gather(
    models: Array,
    mask: Array,
    merged: Array,
    first_block: int,
    k0: Any,
    k1: Any,
    thresholds: Array,
    equal: bool,
    resamples: int,
    words: Array,
    picks: Array,
    chosen: Array,
    pending: Array,
    zero_after_draw: Array,
    selected: Array,
) -> None:
    """Draw a sub-model for every element, again where its mask bit is clear, and take the values."""
    elements = merged.size
    count = np.uint64(models.shape[0])
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        block = first_block + start // BLOCK
        for at in range(size):
            pending[at] = 1
        for draw in range(resamples + 1):
            _philox_block(block, draw, k0, k1, words)
            if equal:
                for at in range(size):
                    picks[at] = (np.uint64(words[at]) * count) >> np.uint64(32)
            else:
                for at in range(size):
                    picks[at] = 0
                for threshold in thresholds:
                    for at in range(size):
                        picks[at] += np.uint32(np.uint64(words[at]) >= threshold)
            left = np.int64(0)
            if mask.shape[0] == 1:
                row = mask[0, start : start + size]
                for at in range(size):
                    pick = picks[at] if pending[at] else chosen[at]
                    chosen[at] = pick
                    zero = np.uint8(1) - np.uint8((row[at] >> mask.dtype.type(pick)) & mask.dtype.type(1))
                    pending[at] = zero
                    left += zero
            else:
                for at in range(size):
                    pick = picks[at] if pending[at] else chosen[at]
                    chosen[at] = pick
                    bits = mask[pick >> np.uint32(6), start + at]
                    zero = np.uint8(1) - np.uint8((bits >> np.uint64(pick & np.uint32(63))) & np.uint64(1))
                    pending[at] = zero
                    left += zero
            zero_after_draw[draw] += left
            if left == 0:
                break
        for at in range(size):
            merged[start + at] = models[chosen[at], start + at]
            selected[chosen[at]] += 1


@njit(nogil=True, cache=True)
def _accumulate(accumulator: Array, values: Array, weight: Any) -> None:
    """accumulator += weight * values, product and sum each rounded."""
    for at in range(accumulator.size):
        product = weight * values[at]
        accumulator[at] = accumulator[at] + product


@njit(nogil=True, cache=True)
def _accumulate_bfloat16(accumulator: Array, words: Array, weight: Any) -> None:
    """As _accumulate, for the bits of bfloat16 values."""
    for at in range(accumulator.size):
        product = weight * float32_of_bits(np.uint32(words[at]) << np.uint32(16))  # type: ignore[call-arg]
        accumulator[at] = accumulator[at] + product
