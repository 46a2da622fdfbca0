"""The weighted average on a GPU: what average_kernel is launched with."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import torch_values
from core.dtypes import DTYPES, DType
from core.kernels.gpu import launch as launching
from core.kernels.gpu.average_kernel import average_kernel
from core.kernels.gpu.launch import MapKernel, Prepared
from core.kernels.gpu.memory import DeviceMemory
from core.kernels.interface import Counts, MapJob
from core.weights import AverageTerms, average_terms

__all__ = ["averaging"]

_TILE = 1024


def _prepare(job: MapJob, stored: Sequence[Tensor], elements: int, memory: DeviceMemory) -> Prepared:
    stride, kind = stored[0].numel(), _kind(job)
    as_stored = launching.adjacent(stored, kind)
    direct = as_stored is not None
    rows = as_stored
    if rows is None:
        rows = memory.take("converted", (job.models, stride), launching.torch_word(kind.itemsize))
    terms = average_terms(job.parameters["weight"], job.parameters["normalize"], job.computing)
    order, factors = _terms(terms, job.models, torch_values.torch_dtype(job.computing), memory.device)
    out = memory.take("output", (stride,), launching.torch_word(job.out_dtype.itemsize))
    totals = memory.take("totals", (job.models,), torch.int32)
    tiles = stride // _TILE
    arguments = (
        *(rows, order, factors, out, totals, stride, job.models, len(terms.models), tiles),
        *(
            job.out_dtype.exponent_bits,
            job.out_dtype.mantissa_bits,
            job.out_dtype.infinity,
            job.out_dtype.nan,
        ),
    )
    options = _options(job)

    def launch(first_element: int, key: tuple[int, int]) -> None:
        if not direct:
            for row, values in zip(rows, stored, strict=True):
                merged = torch_values.convert(torch_values.convert(values, job.merge_dtype), kind)
                row.copy_(torch_values.words_of(merged))
        totals.zero_()
        launching.launch(average_kernel, (tiles,), arguments, options)
        if not direct:
            launching.nonfinite_into(totals, stored)

    def counted(nonfinite: NDArray[np.int32]) -> Counts:
        counts = Counts.zeros(job)
        counts.nonfinite[:] = nonfinite
        return counts

    return Prepared(out.view(torch.uint8), totals, launch, counted)


def _kind(job: MapJob) -> DType:
    """The type of the values that the kernel reads."""
    return DTYPES["F32"] if job.merge_dtype.itemsize == 1 else job.merge_dtype


def _options(job: MapJob) -> dict[str, Any]:
    return {
        "KIND": _kind(job).name,
        "WIDE": job.computing.name == "F64",
        "TILE": _TILE,
        "num_warps": 4,
        "enable_fp_fusion": False,
    }


def _compiled_as(job: MapJob) -> Hashable:
    return ("average", job.out_dtype.itemsize, *_options(job).items())


averaging = MapKernel(_prepare, _compiled_as)


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
