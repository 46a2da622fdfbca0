"""What the GPU kernels are launched with: values on the device in, values and counts on the device out.

Conversions between types, tolerances and 8-bit types are rare, and go through torch before and after a
kernel. Models of one type of 2, 4 or 8 bytes go straight through it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import torch_values
from core.draws import BLOCK, selection_thresholds
from core.dtypes import DTYPES, DType
from core.kernels.gpu.average import average_kernel
from core.kernels.gpu.select import select_kernel
from core.kernels.gpu.workspace import Launched
from core.kernels.interface import Counts, MapJob
from core.weights import AverageTerms, average_terms

__all__ = ["averaging", "selection"]

_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_REPLICAS = 64
_AVERAGE_TILE = 1024


def averaging(job: MapJob, first_element: int, stored: list[Tensor], elements: int) -> Launched:
    """A core.kernels.gpu.workspace.MapKernel."""
    device, stride = stored[0].device, stored[0].numel()
    kind = DTYPES["F32"] if job.merge_dtype.itemsize == 1 else job.merge_dtype
    direct = all(dtype == kind for dtype in job.model_dtypes)
    rows = stored
    if not direct:
        rows = [torch_values.convert(torch_values.convert(row, job.merge_dtype), kind) for row in stored]
    terms = average_terms(job.parameters["weight"], job.parameters["normalize"], job.computing)
    order, factors = _terms(terms, job.models, torch_values.torch_dtype(job.computing), device)
    merged = torch.empty(stride, dtype=_SIGNED[job.out_dtype.itemsize], device=device)
    counts = torch.zeros(job.models, dtype=torch.int32, device=device)
    tiles = stride // _AVERAGE_TILE
    _launch(
        average_kernel,
        (tiles,),
        (
            _matrix(rows, kind),
            order,
            factors,
            merged,
            counts,
            stride,
            job.models,
            len(terms.models),
            tiles,
        ),
        {
            "KIND": kind.name,
            "WIDE": job.computing.name == "F64",
            "TILE": _AVERAGE_TILE,
            "MAGNITUDE": kind.magnitude_mask,
            "FIRST_NONFINITE": kind.first_nonfinite,
            "OUT_EXPONENT_BITS": job.out_dtype.exponent_bits,
            "OUT_MANTISSA_BITS": job.out_dtype.mantissa_bits,
            "OUT_INFINITY": job.out_dtype.infinity,
            "OUT_NAN": job.out_dtype.nan,
            "num_warps": 4,
            "enable_fp_fusion": False,
        },
    )

    def counted(nonfinite: NDArray[np.int64]) -> Counts:
        counts = Counts.zeros(job)
        counts.nonfinite[:] = nonfinite
        return counts

    nonfinite = counts.to(torch.int64) if direct else _nonfinite(stored)
    return Launched(merged.view(torch_values.torch_dtype(job.out_dtype)), nonfinite, counted)


def selection(job: MapJob, first_element: int, stored: list[Tensor], elements: int) -> Launched:
    """A core.kernels.gpu.workspace.MapKernel."""
    device, stride = stored[0].device, stored[0].numel()
    merge, models = job.merge_dtype, job.models
    converted = [torch_values.convert(row, merge) for row in stored]
    values = _matrix(converted[:-1], merge)
    if job.zero_tolerance is None:
        marks, marked_base = values, _matrix(converted[-1:], merge)
    else:
        marks = torch.empty_like(values)
        for row, model in zip(marks, converted[:-1], strict=True):
            row.copy_(torch_values.changed(model, converted[-1], job.zero_tolerance))
        marked_base = torch.zeros_like(values[0])
    fields = 2 if values.element_size() == 2 else 1
    pairs = torch.int32 if fields == 2 else values.dtype
    weights: tuple[float, ...] = job.parameters["weight"]
    equal = all(weight == weights[0] for weight in weights)
    groups = -(-models // 16)
    bins = max(16, 1 << models.bit_length())
    draws = 16 if job.draws <= 16 else 128
    words = _tile_words(values.element_size(), groups, interpreted=device.type == "cpu")
    tiles = stride // (4 * fields * words)
    merged = torch.empty(stride, dtype=values.dtype, device=device)
    counts = torch.zeros((_REPLICAS, 4 * bins + draws), dtype=torch.int32, device=device)
    limits, always = (counts, 0) if equal else _limits(weights, device)
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
            job.draws - 1,
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
            "REPLICAS": _REPLICAS,
            "num_warps": 1,
        },
    )
    totals = counts.sum(dim=0, dtype=torch.int64)
    if job.zero_tolerance is not None or any(dtype != merge for dtype in job.input_dtypes):
        totals[: models + 1] = _nonfinite(stored)
    if merge.itemsize == 1:
        merged = merged.to(torch.uint8)

    def counted(totals: NDArray[np.int64]) -> Counts:
        """What the kernel left out for being the rest of the elements too."""
        counts = Counts.zeros(job)
        assert counts.zero_delta is not None and counts.changed_by is not None
        assert counts.zero_after_draw is not None and counts.selected is not None
        counts.nonfinite[:] = totals[: models + 1]
        counts.zero_delta[:] = elements - totals[bins : bins + models]
        counts.changed_by[1:] = totals[2 * bins + 1 : 2 * bins + models + 1]
        counts.changed_by[0] = elements - counts.changed_by[1:].sum()
        counts.selected[:] = totals[3 * bins : 3 * bins + models]
        counts.zero_after_draw[:] = totals[4 * bins : 4 * bins + job.draws]
        return counts

    result = torch_values.convert(merged.view(torch_values.torch_dtype(merge)), job.out_dtype)
    return Launched(result, totals, counted)


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
    words = [torch_values.words_of(row) for row in rows]
    length = words[0].numel()
    step = length * dtype.itemsize
    memory, first = words[0].untyped_storage().data_ptr(), words[0].data_ptr()
    if all(  # tensors of their own may lie in a row by chance: they are no one matrix to torch
        row.untyped_storage().data_ptr() == memory and row.data_ptr() == first + at * step
        for at, row in enumerate(words)
    ):
        return words[0].as_strided((len(rows), length), (length, 1))
    return torch.stack(words)


def _nonfinite(stored: list[Tensor]) -> Tensor:
    return torch.stack([torch_values.is_nonfinite(row).sum() for row in stored])


@lru_cache(maxsize=256)
def _terms(
    terms: AverageTerms, models: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """`order` and `factors` as average_kernel wants them; kept, for sending them waits for the device.

    Values that are added as they are, and a sum that is not divided, have the factor 1: it changes no bit.
    """
    order = [*terms.models, *(at for at in range(models) if at not in terms.models)]
    factors = torch.ones(models + 1, dtype=dtype)
    if terms.factors is not None:
        factors[: len(terms.factors)] = torch.tensor(terms.factors, dtype=dtype)
    if terms.divisor is not None:
        factors[models] = terms.divisor
    return torch.tensor(order, dtype=torch.int32).to(device), factors.to(device)


@lru_cache(maxsize=256)
def _limits(weights: tuple[float, ...], device: torch.device) -> tuple[Tensor, int]:
    """The thresholds as gpu.select._pick wants them, and how many are 0; kept likewise."""
    thresholds = selection_thresholds(weights)
    limits = np.full((1 << (len(weights) - 1).bit_length()) - 1, 0xFFFFFFFF, np.uint32)
    above = [threshold - 1 for threshold in thresholds if threshold > 0]
    limits[: len(above)] = above
    return torch.from_numpy(limits.view(np.int32)).to(device), len(thresholds) - len(above)


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
