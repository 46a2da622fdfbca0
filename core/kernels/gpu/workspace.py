"""The GPU kernels as a workspace: pinned buffers, a stream of its own, chunks that shrink to fit.

Several workspaces on one device, each in a thread of its own, keep reading, copying and computing
busy at once; they share nothing. On the CPU, under Triton's interpreter, the same code serves tests.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.draws import BLOCK
from core.errors import DeviceError
from core.kernels.gpu.launch import average, select
from core.kernels.interface import Counts, MapJob
from core.methods import arithmetic
from core.methods.reference import ReferenceWorkspace

__all__ = ["GPU_METHODS", "GpuWorkspace", "compile_for"]

GPU_METHODS = frozenset({"linear", "parameter_selection", "count_deltas"})
"""What the GPU kernels can do; count_deltas counts and merges nothing."""

_MOST_MODELS = 128
"""Beyond this the kernel's change masks fill the registers, and it takes minutes to compile."""


class GpuWorkspace:
    """The buffers of one worker thread on `device`; a core.kernels.interface.Workspace.

    What the kernels cannot do, the reference arithmetic does on the same device and stream.
    """

    def __init__(self, device: str = "cuda") -> None:
        self._device = torch.device(device)
        self._stream = _stream_of(self._device)
        self._on_stream = (
            contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        )
        self._reference: ReferenceWorkspace | None = None
        self._job: MapJob | None = None
        self._elements = 0
        self._inputs = _host_buffer(0, pinned=False)
        self._merged = _host_buffer(0, pinned=False)
        self._merged_bytes = 0
        self._tallies = _host_buffer(0, pinned=False)
        self._piece_blocks: int | None = None
        """Draw blocks that fitted into the device's memory after more did not; None as long as all fit."""

    def begin(self, job: MapJob, elements: int) -> list[memoryview]:
        self._job, self._elements = job, elements
        self._reference = None
        if job.method not in GPU_METHODS or job.models > _MOST_MODELS:
            self._reference = ReferenceWorkspace(str(self._device))
            return self._reference.begin(job, elements)
        offsets, size = _layout(job, _padded(elements))
        self._inputs = self._at_least(self._inputs, size)
        return [
            self._inputs.numpy()[offset : offset + elements * dtype.itemsize].data
            for offset, dtype in zip(offsets, job.input_dtypes, strict=True)
        ]

    def run(self, first_element: int) -> Counts:
        job = self._job
        if job is None:
            raise ValueError("run() before begin()")
        if self._reference is not None:
            with self._on_stream:
                return self._reference.run(first_element)
        counts = Counts.zeros(
            len(job.input_dtypes), job.models, None if job.method == "linear" else job.resamples
        )
        width = 0 if job.method == "count_deltas" else job.out_dtype.itemsize
        self._merged_bytes = self._elements * width
        self._merged = self._at_least(self._merged, self._merged_bytes)
        with self._on_stream:
            start = 0
            while start < self._elements:
                size = self._elements - start
                if self._piece_blocks is not None:
                    size = min(size, self._piece_blocks * BLOCK)
                found = None
                with contextlib.suppress(torch.OutOfMemoryError):
                    found = self._merge_piece(job, first_element, start, size)
                if found is None:  # outside of the exception, which would keep the piece's tensors alive
                    self._halve(size)
                else:
                    counts.add(found)
                    start += size
        return counts

    def output(self) -> memoryview:
        if self._reference is not None:
            return self._reference.output()
        return self._merged.numpy()[: self._merged_bytes].data

    def _merge_piece(self, job: MapJob, first_element: int, start: int, size: int) -> Counts:
        """Merge `size` elements of the chunk from `start`, a multiple of BLOCK."""
        rows = self._upload(job, start, size)
        if job.method == "linear":
            merged, found = average(job, rows, size)
        else:
            merged, found = select(job, first_element + start, rows, size)
        if self._merged_bytes:
            width = job.out_dtype.itemsize
            place = self._merged[start * width : (start + size) * width]
            place.copy_(merged.view(torch.uint8)[: size * width], non_blocking=True)
        self._tallies = self._at_least(self._tallies, found.totals.numel() * 8)
        tallies = self._tallies[: found.totals.numel() * 8].view(torch.int64)
        tallies.copy_(found.totals, non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        return _as_counts(job, size, found.bins, tallies.numpy())

    def _upload(self, job: MapJob, start: int, size: int) -> list[Tensor]:
        """The inputs on the device, each with zeros up to whole blocks. [padded size] of its dtype."""
        stride = _padded(size)
        offsets, total = _layout(job, stride)
        stored = torch.empty(total, dtype=torch.uint8, device=self._device)
        rows = [
            stored[offset : offset + stride * dtype.itemsize].view(arithmetic.torch_dtype(dtype))
            for offset, dtype in zip(offsets, job.input_dtypes, strict=True)
        ]
        if size == self._elements:
            stored.copy_(self._inputs[:total], non_blocking=True)
        else:
            host_offsets, _ = _layout(job, _padded(self._elements))
            for row, offset, dtype in zip(rows, host_offsets, job.input_dtypes, strict=True):
                first = offset + start * dtype.itemsize
                row.view(torch.uint8)[: size * dtype.itemsize].copy_(
                    self._inputs[first : first + size * dtype.itemsize], non_blocking=True
                )
        if size < stride:
            for row in rows:
                arithmetic.words_of(row)[size:].zero_()
        return rows

    def _halve(self, size: int) -> None:
        """After `size` elements did not fit: remember to try half, and give back what is not in use."""
        if self._stream is not None:
            self._stream.synchronize()
            torch.cuda.empty_cache()
        blocks = -(-size // BLOCK)
        if blocks == 1:
            raise DeviceError(
                f"the device {self._device} has not enough free memory for {BLOCK} elements",
                hint="use the CPU, or close other programs that use this device",
            )
        self._piece_blocks = blocks // 2

    def _at_least(self, buffer: Tensor, size: int) -> Tensor:
        return buffer if buffer.numel() >= size else _host_buffer(size, pinned=self._stream is not None)


def compile_for(job: MapJob, device: str) -> None:
    """Compile, or load from Triton's cache, what merging as `job` says needs, on two zeros."""
    workspace = GpuWorkspace(device)
    for row in workspace.begin(job, 2):
        row[:] = bytes(len(row))
    workspace.run(0)


def _padded(elements: int) -> int:
    return -(-elements // BLOCK) * BLOCK


def _layout(job: MapJob, stride: int) -> tuple[list[int], int]:
    """Where rows of `stride` elements of each input begin, one behind the other, and their size; bytes."""
    sizes = [stride * dtype.itemsize for dtype in job.input_dtypes]
    ends = np.cumsum(sizes).tolist()
    return [end - size for end, size in zip(ends, sizes, strict=True)], ends[-1]


def _as_counts(job: MapJob, elements: int, bins: int, totals: NDArray[np.int64]) -> Counts:
    """What the kernel counted, as Counts; what it left out for being the rest of the elements too."""
    models = job.models
    if job.method == "linear":
        return Counts(totals.copy())
    counts = Counts.zeros(models + 1, models, job.resamples)
    assert counts.zero_delta is not None and counts.changed_by is not None
    assert counts.zero_after_draw is not None and counts.selected is not None
    counts.nonfinite[:] = totals[: models + 1]
    counts.zero_delta[:] = elements - totals[bins : bins + models]
    counts.changed_by[1:] = totals[2 * bins + 1 : 2 * bins + models + 1]
    counts.changed_by[0] = elements - counts.changed_by[1:].sum()
    counts.selected[:] = totals[3 * bins : 3 * bins + models]
    counts.zero_after_draw[:] = totals[4 * bins : 4 * bins + job.resamples + 1]
    return counts


def _host_buffer(size: int, *, pinned: bool) -> Tensor:
    """`size` bytes of the host's memory, pinned if they may be: the device copies those by itself."""
    if pinned:
        with contextlib.suppress(RuntimeError):  # the system may refuse to pin so much
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)
    return torch.empty(size, dtype=torch.uint8)


def _stream_of(device: torch.device) -> torch.cuda.Stream | None:
    """A new stream of a CUDA device; None for the CPU, which has none."""
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
