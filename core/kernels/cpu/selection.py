"""Parameter selection on the CPU: the map without a Python step an element.

Work goes by blocks of `draws.BLOCK` elements, which stay in the nearest caches. For each block a bit mask an
element says which sub-models changed it; draws test mask bits alone, and the values are taken once, at the
end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK, selection_thresholds
from core.dtypes import DType
from core.kernels.cpu.buffers import ChunkBuffers
from core.kernels.cpu.convert import WORDS, convert_words, to_computing
from core.kernels.cpu.selecting import mark_beyond, select
from core.kernels.interface import Counts, MapJob

__all__ = ["select_marked", "selection"]

Array = NDArray[Any]


def selection(buffers: ChunkBuffers, job: MapJob, first_element: int) -> tuple[Array, Counts]:
    """A core.kernels.cpu.workspace.MapKernel."""
    counts = Counts.zeros(job)
    assert counts.zero_delta is not None and counts.changed_by is not None
    assert counts.zero_after_draw is not None and counts.selected is not None
    models, base, merge = buffers.models(job), buffers.base(job), job.merge_dtype
    premarked = job.zero_tolerance is not None
    mask = np.zeros((-(-job.models // 16), buffers.stride if premarked else 0), np.uint16)
    if job.zero_tolerance is not None:
        base_values = to_computing(base, merge)
        with np.errstate(over="ignore"):
            tolerance = base_values.dtype.type(job.zero_tolerance)
        for at in range(job.models):
            values = to_computing(models[at, : buffers.elements], merge)
            mark_beyond(values, base_values, tolerance, at, mask, counts.zero_delta)
    merged = buffers.output(models.dtype)
    select(
        models,
        base,
        buffers.elements,
        *_word_limits(merge),
        premarked,
        mask,
        merged,
        first_element // BLOCK,
        np.uint64(job.key[0]),
        np.uint64(job.key[1]),
        *_limits(job.parameters["weight"]),
        counts.nonfinite,
        counts.zero_delta,
        counts.changed_by,
        counts.zero_after_draw,
        counts.selected,
    )
    if premarked or buffers.dtypes.count(merge) < len(
        buffers.dtypes
    ):  # else select saw them as they are stored
        counts.nonfinite[:] = [buffers.nonfinite(at) for at in range(job.models + 1)]
    return convert_words(merged[: buffers.elements], merge, job.out_dtype), counts


def select_marked(
    job: MapJob,
    words: Array,
    mask: Array,
    elements: int,
    first_block: int,
    merged: Array,
    zero_after_draw: Array,
    selected: Array,
) -> None:
    """Draw one of `words` for each element, again while its bit is clear.

    Args:
        job: whose key, weights and number of draws hold.
        words: [K, stride], strides of whole groups.
        mask: [sixteenths of K, stride] uint16, zeros behind the elements.
        elements: how many there are; the first is that of block `first_block` of the tensor.
        merged: [stride] words, is set.
        zero_after_draw, selected: are added to; see Counts.
    """
    word, unused = words.dtype.type, np.zeros(job.models + 1, np.int64)
    select(
        words,
        words[0],
        elements,
        *(word(0), word(0), word(0)),
        True,
        mask,
        merged,
        first_block,
        np.uint64(job.key[0]),
        np.uint64(job.key[1]),
        *_limits(job.parameters["weight"]),
        unused,
        unused[1:],
        unused,
        zero_after_draw,
        selected,
    )


@cache
def _word_limits(dtype: DType) -> tuple[Any, Any, Any]:
    """Magnitude mask, infinity and the first word that is not finite, as words."""
    word = WORDS[dtype.itemsize]
    return word(dtype.magnitude_mask), word(dtype.infinity), word(dtype.first_nonfinite)


@lru_cache(maxsize=256)
def _limits(weights: Sequence[float]) -> tuple[bool, Array, int]:
    """Whether the weights are equal, and what else the draws compare with; kept.

    Thresholds T >= 1 as T - 1, which fits 32 bits (word >= T is word > T - 1), and how many T are 0.
    """
    if all(weight == weights[0] for weight in weights):
        return True, np.empty(0, np.uint32), 0
    thresholds = selection_thresholds(weights)
    limits = [threshold - 1 for threshold in thresholds if threshold > 0]
    return False, np.array(limits, np.uint32), len(thresholds) - len(limits)
