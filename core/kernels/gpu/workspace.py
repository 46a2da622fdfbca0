"""The buffers and the arithmetic of one worker on a GPU: pinned memory, a stream, chunks that shrink to fit.

Several workspaces on one device, each in a thread of its own, keep reading, copying and computing
busy at once; they share nothing. On the CPU, under Triton's interpreter, the same code serves tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.draws import BLOCK
from core.dtypes import DType
from core.errors import DeviceError
from core.kernels.interface import Counts, Fallback, MapJob, Merged
from core.torch_values import torch_dtype, words_of

__all__ = ["GpuWorkspace", "Launched", "MapKernel"]

Array = NDArray[Any]

_MOST_MODELS = 128
"""Beyond this the kernels' change masks fill the registers, and it takes minutes to compile."""


class Launched(NamedTuple):
    """What a map was set to work at; it may not have finished.

    Attributes:
        values: [n * BLOCK] of the output dtype, on the device.
        totals: what the kernel counts, int64, on the device.
        counted: what `totals`, copied to the host, say.
    """

    values: Tensor
    totals: Tensor
    counted: Callable[[NDArray[np.int64]], Counts]


MapKernel = Callable[[MapJob, int, list[Tensor], int], Launched]
"""A map on the device: (job, first_element, stored, elements), on the current stream.

`stored` are the job's inputs as they are stored, the base last, [n * BLOCK] with zeros from `elements` on.
`first_element`, of the first value in the whole tensor, is a multiple of BLOCK.
"""


class GpuWorkspace:
    """A core.kernels.interface.Workspace whose buffers are the host's, pinned where they may be.

    What there is no kernel for the fallback computes, on the same stream.
    """

    def __init__(self, device: str, maps: Mapping[str, MapKernel], fallback: Fallback) -> None:
        """Nothing is allocated yet.

        Args:
            device: as torch calls it.
            maps: kernels by the method's name.
            fallback: for all other methods, and for more sub-models than the kernels take.
        """
        self._maps, self._fallback = maps, fallback
        self._device = torch.device(device)
        self._stream = _stream_of(self._device)
        self._on_stream = (
            contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        )
        self._dtypes: tuple[DType, ...] = ()
        self._elements = 0
        self._inputs = _host_buffer(0, pinned=False)
        self._outputs: list[Tensor] = []
        self._used_outputs = 0
        self._totals: list[Tensor] = []
        """The host's memory for counts, of each piece that was begun since the last filling."""
        self._begun = 0
        self._piece_blocks: int | None = None
        """Draw blocks that fitted into the device's memory after more did not; None as long as all fit."""

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        self._dtypes, self._elements = tuple(dtypes), elements
        self._used_outputs = self._begun = 0
        self._inputs = self._at_least(self._inputs, _layout(dtypes, _padded(elements))[1])
        return [row.data for row in self._rows()]

    def fold(self, job: MapJob, number: int, first_element: int) -> Array:
        with self._on_stream:
            return self._fallback.fold(job, number, first_element, self._rows())

    def run(self, job: MapJob, first_element: int, inner: slice | None = None) -> Merged:
        kernel = self._maps.get(job.method)
        if kernel is None or inner is not None or job.models > _MOST_MODELS:
            with self._on_stream:
                words, counts = self._fallback.merge(job, first_element, self._rows(), inner)
            return Merged(words.view(np.uint8).data, counts)
        merged, counts = self._output(self._elements * job.out_dtype.itemsize), Counts.zeros(job)
        pieces: list[Callable[[], Counts]] = []
        with self._on_stream:
            start = 0
            while start < self._elements:
                size = self._elements - start
                if self._piece_blocks is not None:
                    size = min(size, self._piece_blocks * BLOCK)
                begun = None
                with contextlib.suppress(torch.OutOfMemoryError):
                    begun = self._begin_piece(kernel, job, first_element, start, size, merged)
                if begun is None:  # outside of the exception, which would keep the piece's tensors alive
                    self._halve(size)
                else:
                    pieces.append(begun)
                    start += size
        done = None
        if self._stream is not None:
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            done.record(self._stream)

        def wait() -> None:
            if done is not None:
                done.synchronize()
            for counted in pieces:
                counts.add(counted())

        return Merged(merged.numpy().data, counts, wait)

    def _begin_piece(
        self, kernel: MapKernel, job: MapJob, first_element: int, start: int, size: int, merged: Tensor
    ) -> Callable[[], Counts]:
        """Set the device to `size` elements of the chunk from `start`, a multiple of BLOCK.

        They are in their place, and what this returns says what was counted, when the stream has come so far.
        """
        values, on_device, counted = kernel(
            job, first_element + start, self._upload(job.input_dtypes, start, size), size
        )
        width = job.out_dtype.itemsize
        place = merged[start * width : (start + size) * width]
        place.copy_(values.view(torch.uint8)[: size * width], non_blocking=True)
        totals = self._host_totals(on_device.numel())
        totals.copy_(on_device, non_blocking=True)
        return lambda: counted(totals.numpy())

    def _host_totals(self, size: int) -> Tensor:
        """Memory for so many int64 counts; of its own for every piece of one filling."""
        if self._begun == len(self._totals):
            self._totals.append(_host_buffer(0, pinned=False))
        at = self._begun
        self._totals[at] = self._at_least(self._totals[at], 8 * size)
        self._begun += 1
        return self._totals[at][: 8 * size].view(torch.int64)

    def _upload(self, dtypes: Sequence[DType], start: int, size: int) -> list[Tensor]:
        """The first inputs on the device, each with zeros up to whole blocks. [padded size] of its dtype."""
        stride = _padded(size)
        offsets, total = _layout(dtypes, stride)
        stored = torch.empty(total, dtype=torch.uint8, device=self._device)
        rows = [
            stored[offset : offset + stride * dtype.itemsize].view(torch_dtype(dtype))
            for offset, dtype in zip(offsets, dtypes, strict=True)
        ]
        if size == self._elements:
            stored.copy_(self._inputs[:total], non_blocking=True)
        else:
            host_offsets, _ = _layout(dtypes, _padded(self._elements))
            for row, offset, dtype in zip(rows, host_offsets, dtypes, strict=True):
                first = offset + start * dtype.itemsize
                row.view(torch.uint8)[: size * dtype.itemsize].copy_(
                    self._inputs[first : first + size * dtype.itemsize], non_blocking=True
                )
        if size < stride:
            for row in rows:
                words_of(row)[size:].zero_()
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

    def _rows(self) -> list[Array]:
        """The bytes of each input, the base last, in the host's memory."""
        memory = self._inputs.numpy()
        offsets, _ = _layout(self._dtypes, _padded(self._elements))
        return [
            memory[offset : offset + self._elements * dtype.itemsize]
            for offset, dtype in zip(offsets, self._dtypes, strict=True)
        ]

    def _output(self, size: int) -> Tensor:
        """Memory for so many merged bytes; of its own for every output of one filling."""
        if self._used_outputs == len(self._outputs):
            self._outputs.append(_host_buffer(0, pinned=False))
        at = self._used_outputs
        self._outputs[at] = self._at_least(self._outputs[at], size)
        self._used_outputs += 1
        return self._outputs[at][:size]

    def _at_least(self, buffer: Tensor, size: int) -> Tensor:
        return buffer if buffer.numel() >= size else _host_buffer(size, pinned=self._stream is not None)


def _padded(elements: int) -> int:
    return -(-elements // BLOCK) * BLOCK


def _layout(dtypes: Sequence[DType], stride: int) -> tuple[list[int], int]:
    """Where rows of `stride` elements of each type begin, one behind the other, and their size; bytes."""
    sizes = [stride * dtype.itemsize for dtype in dtypes]
    ends = np.cumsum(sizes).tolist()
    return [end - size for end, size in zip(ends, sizes, strict=True)], ends[-1]


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
