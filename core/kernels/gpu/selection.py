"""Parameter selection on a GPU: what select_kernel is launched with."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import torch_values
from core.draws import BLOCK, selection_thresholds
from core.kernels.gpu import launch as launching
from core.kernels.gpu.launch import MapKernel, Prepared
from core.kernels.gpu.memory import DeviceMemory
from core.kernels.gpu.select_kernel import DRAWS, select_kernel
from core.kernels.interface import Counts, MapJob

__all__ = ["STAGES", "WARPS", "selection"]

_REPLICAS = 64
_GUIDE = 256
"""Of entries: one for each first byte of a random word."""
STAGES = 4
"""Three kilobytes are on their way for each of a multiprocessor's 16 or so warps: more than its share of the
memory's bandwidth takes, while that needs 0.8 microseconds to answer."""
WARPS = 16
"""Programs a multiprocessor; no more than it holds at a time, lest some wait for others to end."""
_FEW = 16
"""Sub-models whose change masks one register holds."""


def _prepare(job: MapJob, stored: Sequence[Tensor], elements: int, memory: DeviceMemory) -> Prepared:
    merge, models, stride = job.merge_dtype, job.models, stored[0].numel()
    tolerance = job.zero_tolerance
    word = torch.int16 if merge.itemsize == 1 else launching.torch_word(merge.itemsize)
    fields = 2 if word == torch.int16 else 1
    pairs = torch.int32 if fields == 2 else word
    as_stored = launching.adjacent(stored, merge) if merge.itemsize > 1 else None
    direct = as_stored is not None
    if as_stored is None:
        as_stored = memory.take("converted", (models + 1, stride), word)
    rows = marked = as_stored
    if tolerance is not None:
        marked = memory.take("marks", (models + 1, stride), word)

    weights: tuple[float, ...] = job.parameters["weight"]
    limits, guide, steps = _limits(weights, memory.device)
    bins = -(-models // _FEW) * _FEW
    words = _tile_words(memory.device, fields)
    tiles = stride // (4 * fields * words)
    programs = _programs(memory.device, tiles)
    merged = memory.take("output", (stride,), word)
    counts = memory.take("totals", (_REPLICAS, 3 * bins + models + 1 + DRAWS), torch.int32)
    masks = memory.take("masks", (programs, bins // _FEW, 4 * words), torch.int32)
    values = merged
    if job.out_dtype != merge or merge.itemsize == 1:
        values = memory.take("values", (stride,), torch_values.torch_dtype(job.out_dtype))
    tensors = (
        *(marked.view(pairs), rows, merged.view(pairs), counts, limits, guide, masks),
        *(elements, stride, models, job.draws - 1, steps, tiles, _REPLICAS),
        *(merge.magnitude_mask, merge.infinity, merge.first_nonfinite),
    )
    options = _options(job, words)
    seen_as_stored = direct and tolerance is None

    def launch(first_element: int, key: tuple[int, int]) -> None:
        if not direct:
            for row, source in zip(rows, stored, strict=True):
                row.copy_(_words(torch_values.convert(source, merge)))
        if tolerance is not None:
            _mark(marked, stored, job)
        counts.zero_()
        place = (first_element // BLOCK, _signed64(key[1] << 32 | key[0]))
        launching.launch(select_kernel, (programs,), (*tensors, *place), options)
        if not seen_as_stored:
            counts[:, : models + 1] = 0
            launching.nonfinite_into(counts[0, : models + 1], stored)
        if values is not merged:
            result = merged.to(torch.uint8) if merge.itemsize == 1 else merged
            values.copy_(torch_values.convert(result.view(torch_values.torch_dtype(merge)), job.out_dtype))

    def counted(replicas: NDArray[np.int32]) -> Counts:
        """What the kernel left out for being the rest of the elements too."""
        totals = replicas.sum(axis=0, dtype=np.int64)
        nonfinite, changed, overlap, selected, zero = np.split(
            totals, np.cumsum([models + 1, bins, bins, bins])
        )
        counts = Counts.zeros(job)
        assert counts.zero_delta is not None and counts.changed_by is not None
        assert counts.zero_after_draw is not None and counts.selected is not None
        counts.nonfinite[:] = nonfinite
        counts.zero_delta[:] = elements - changed[:models]
        # Each element that m sub-models changed is m of what is changed in all: those of all K are the rest.
        by = overlap[1:models]
        counts.changed_by[1:models] = by
        counts.changed_by[models] = (changed.sum() - (by * np.arange(1, models)).sum()) // models
        counts.changed_by[0] = elements - counts.changed_by[1:].sum()
        counts.selected[:] = selected[:models]
        counts.selected[0] -= stride - elements  # padding
        counts.zero_after_draw[:] = zero[: job.draws]
        return counts

    return Prepared(values.view(torch.uint8), counts, launch, counted)


def _options(job: MapJob, words: int) -> dict[str, Any]:
    weights = job.parameters["weight"]
    return {
        "FIELDS": 2 if job.merge_dtype.itemsize <= 2 else 1,
        "WORDS": words,
        "STAGES": STAGES,
        "MANY": job.models > _FEW,
        "EQUAL": all(weight == weights[0] for weight in weights),
        "num_warps": 1,
    }


def _compiled_as(job: MapJob) -> Hashable:
    return ("selection", max(2, job.merge_dtype.itemsize), *_options(job, 0).items())


selection = MapKernel(_prepare, _compiled_as)


def _tile_words(device: torch.device, fields: int) -> int:
    """Words of a lane of a tile: on a GPU what one warp's registers hold, interpreted the most there are."""
    return 1024 // fields if device.type == "cpu" else 64


def _programs(device: torch.device, tiles: int) -> int:
    if device.type != "cuda":
        return min(tiles, 2)
    return min(tiles, WARPS * torch.cuda.get_device_properties(device).multi_processor_count)


def _mark(marked: Tensor, stored: Sequence[Tensor], job: MapJob) -> None:
    """1 where a delta is larger than the tolerance, beside a base of zeros."""
    *models, base = (torch_values.convert(values, job.merge_dtype) for values in stored)
    for row, model in zip(marked, models, strict=False):
        row.copy_(torch_values.changed(model, base, job.zero_tolerance))
    marked[-1].zero_()


def _words(values: Tensor) -> Tensor:
    return torch_values.words_of(values)


@lru_cache(maxsize=256)
def _limits(weights: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor, int]:
    """The thresholds, a guide into them and the steps from there, as drawing.pick wants them.

    Kept, for sending them waits for the device.
    """
    thresholds = np.array(selection_thresholds(weights), np.int64)
    limits = np.full(2 * len(weights) + 1, 0xFFFFFFFF, np.uint32)
    limits[: len(thresholds)] = np.maximum(thresholds, 1) - 1
    starts = np.arange(_GUIDE + 1) * (2**32 // _GUIDE)
    guide = np.searchsorted(thresholds, starts, side="right")
    most = int((guide[1:] - guide[:-1]).max())
    return (
        torch.from_numpy(limits.view(np.int32)).to(device),
        torch.from_numpy(guide[:-1].astype(np.uint8)).to(device),
        most.bit_length(),
    )


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
