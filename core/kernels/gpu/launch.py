"""What the GPU kernels are launched with: values on the device in, values and counts on the device out.

Conversions between types, tolerances and 8-bit types are rare, and go through the reference's own
arithmetic before and after a kernel. Models of one type of 2, 4 or 8 bytes go straight through it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.draws import BLOCK, selection_thresholds
from core.dtypes import DTYPES, DType
from core.kernels.gpu.average import average_kernel
from core.kernels.gpu.select import select_kernel
from core.kernels.interface import MapJob
from core.methods import arithmetic
from core.weights import normalised

__all__ = ["Tallies", "average", "select"]

_SIGNED = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_REPLICAS = 64
_AVERAGE_TILE = 1024


class Tallies(NamedTuple):
    """Where the kernel's counts lie: int64 [4 * bins + draws]; see gpu.select_kernel."""

    totals: Tensor
    bins: int


def average(job: MapJob, stored: list[Tensor], elements: int) -> tuple[Tensor, Tallies]:
    """The weighted average of values on the device.

    Args:
        job: what is asked.
        stored: K tensors [n * BLOCK] as they are stored, zeros from `elements` on.
        elements: how many count.

    Returns:
        [n * BLOCK] of the output dtype, and the nonfinite counts [K].
    """
    device, stride = stored[0].device, stored[0].numel()
    computing = DTYPES[job.merge_dtype.computing_name]
    kind = computing if job.merge_dtype.itemsize == 1 else job.merge_dtype
    direct = all(dtype == kind for dtype in job.input_dtypes)
    rows = stored
    if not direct:
        rows = [arithmetic.convert(arithmetic.convert(row, job.merge_dtype), kind) for row in stored]
    # What the kernel does not round to goes by way of the computing type, which the average has anyway.
    rounds = kind.name != "F64" and job.out_dtype.name in {"BF16", "F16", "F32"}
    out = job.out_dtype if rounds else computing
    weights = _shares(job.weights, arithmetic.torch_dtype(computing), device)
    merged = torch.empty(stride, dtype=_SIGNED[out.itemsize], device=device)
    counts = torch.zeros(job.models, dtype=torch.int32, device=device)
    tiles = stride // _AVERAGE_TILE
    _launch(
        average_kernel,
        (tiles,),
        (_matrix(rows, kind), weights, merged, counts, stride, job.models, tiles),
        {
            "KIND": kind.name,
            "OUT": out.name,
            "TILE": _AVERAGE_TILE,
            "MAGNITUDE": kind.magnitude_mask,
            "FIRST_NONFINITE": kind.first_nonfinite,
            "num_warps": 4,
            "enable_fp_fusion": False,
        },
    )
    values = arithmetic.convert(merged.view(arithmetic.torch_dtype(out)), job.out_dtype)
    return values, Tallies(counts.to(torch.int64) if direct else _nonfinite(stored), 0)


def select(job: MapJob, first_element: int, stored: list[Tensor], elements: int) -> tuple[Tensor, Tallies]:
    """Parameter selection of values on the device; for count_deltas only the counts.

    Args:
        job: what is asked.
        first_element: of the first value in the whole tensor; a multiple of BLOCK.
        stored: K + 1 tensors [n * BLOCK] as they are stored, the base last, zeros from `elements` on.
        elements: how many count.

    Returns:
        [n * BLOCK] of the output dtype, and the counts.
    """
    device, stride = stored[0].device, stored[0].numel()
    merge, models = job.merge_dtype, job.models
    converted = [arithmetic.convert(row, merge) for row in stored]
    values = _matrix(converted[:-1], merge)
    if job.zero_tolerance is None:
        marks, marked_base = values, _matrix(converted[-1:], merge)
    else:
        marks = torch.empty_like(values)
        for row, model in zip(marks, converted[:-1], strict=True):
            row.copy_(arithmetic.changed(model, converted[-1], job.zero_tolerance))
        marked_base = torch.zeros_like(values[0])
    fields = 2 if values.element_size() == 2 else 1
    pairs = torch.int32 if fields == 2 else values.dtype
    merging = job.method != "count_deltas"
    equal = all(weight == job.weights[0] for weight in job.weights)
    groups = -(-models // 16)
    bins = max(16, 1 << models.bit_length())
    draws = 16 if job.resamples < 16 else 128
    words = _tile_words(values.element_size(), groups, interpreted=device.type == "cpu")
    tiles = stride // (4 * fields * words)
    merged = torch.empty(stride if merging else 0, dtype=values.dtype, device=device)
    counts = torch.zeros((_REPLICAS, 4 * bins + draws), dtype=torch.int32, device=device)
    limits, always = (counts, 0) if equal or not merging else _limits(job.weights, device)
    _launch(
        select_kernel,
        (_programs(device, tiles),),
        (
            marks.view(pairs),
            marked_base.view(pairs),
            values,
            merged.view(pairs),
            counts,
            limits,
            elements,
            stride,
            first_element // BLOCK,
            _signed64(job.key[1] << 32 | job.key[0]),
            models,
            job.resamples,
            always,
            tiles,
        ),
        {
            "MAGNITUDE": merge.magnitude_mask,
            "INFINITY": merge.infinity,
            "FIRST_NONFINITE": merge.first_nonfinite,
            "FIELDS": fields,
            "WORDS": words,
            "GROUPS": groups,
            "BINS": bins,
            "DRAWS": draws,
            "EQUAL": equal,
            "STEPS": 0 if equal else (models - 1).bit_length(),
            "MERGE": merging,
            "REPLICAS": _REPLICAS,
            "num_warps": 1,
        },
    )
    totals = counts.sum(dim=0, dtype=torch.int64)
    if job.zero_tolerance is not None or any(dtype != merge for dtype in job.input_dtypes):
        totals[: models + 1] = _nonfinite(stored)
    if merge.itemsize == 1:
        merged = merged.to(torch.uint8)
    result = arithmetic.convert(merged.view(arithmetic.torch_dtype(merge)), job.out_dtype)
    return result, Tallies(totals, bins)


_compiled: set[tuple[Any, ...]] = set()
_compiling = threading.Lock()


def _launch(kernel: Any, grid: tuple[int], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Launch, one thread at a time where the kernel is yet to be compiled: Triton's compiler is not
    made for more."""
    key = (kernel, arguments[0].device, *sorted(options.items()))
    if key in _compiled:
        kernel[grid](*arguments, **options)
        return
    with _compiling:
        kernel[grid](*arguments, **options)
        _compiled.add(key)


def _tile_words(itemsize: int, groups: int, *, interpreted: bool) -> int:
    """Words of a lane of a tile: on a GPU what one warp's registers hold, interpreted the most there are."""
    if interpreted:
        return 512 if itemsize == 2 else 1024
    return 64 if groups <= 4 else 32


def _programs(device: torch.device, tiles: int) -> int:
    if device.type != "cuda":
        return min(tiles, 2)
    return min(tiles, 16 * torch.cuda.get_device_properties(device).multi_processor_count)


def _matrix(rows: list[Tensor], dtype: DType) -> Tensor:
    """Rows of `dtype` as one matrix of words, 8-bit ones widened; no copy where they lie in a row."""
    if dtype.itemsize == 1:
        return torch.stack([row.view(torch.uint8).to(torch.int16) for row in rows])
    words = [arithmetic.words_of(row) for row in rows]
    length = words[0].numel()
    step = length * dtype.itemsize
    if all(row.data_ptr() == words[0].data_ptr() + at * step for at, row in enumerate(words)):
        return words[0].as_strided((len(rows), length), (length, 1))
    return torch.stack(words)


def _nonfinite(stored: list[Tensor]) -> Tensor:
    return torch.stack([arithmetic.is_nonfinite(row).sum() for row in stored])


@lru_cache(maxsize=256)
def _shares(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The normalised weights in the computing type; kept, for sending them waits for the device."""
    return torch.tensor(normalised(weights), dtype=torch.float64).to(dtype).to(device)


@lru_cache(maxsize=256)
def _limits(weights: tuple[float, ...], device: torch.device) -> tuple[Tensor, int]:
    """The thresholds as gpu._pick wants them, and how many are 0; kept likewise."""
    thresholds = selection_thresholds(weights)
    limits = np.full((1 << (len(weights) - 1).bit_length()) - 1, 0xFFFFFFFF, np.uint32)
    above = [threshold - 1 for threshold in thresholds if threshold > 0]
    limits[: len(above)] = above
    return torch.from_numpy(limits.view(np.int32)).to(device), len(thresholds) - len(above)


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
