"""The buffers and the arithmetic of one chunk on a GPU: pinned memory, a stream, chunks that shrink to fit.

Several workspaces on one device, each in a thread of its own, keep reading, copying and computing busy at
once. They share nothing but a lock, under which one at a time gives the device work: so many small calls
from many threads would otherwise queue for the interpreter one by one. What a chunk takes is made once for
chunks like it, so that the next is a handful of calls. On the CPU, under Triton's interpreter, the same code
serves tests.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.draws import BLOCK
from core.dtypes import DType
from core.errors import DeviceError
from core.kernels.gpu.launch import MapKernel, Prepared
from core.kernels.gpu.memory import DeviceMemory, HostMemory
from core.kernels.interface import Counts, Fallback, MapJob, Merged
from core.torch_values import torch_dtype, words_of

__all__ = ["GpuWorkspace"]

Array = NDArray[Any]

_MOST_MODELS = 128
"""What the kernels were tried with; the fallback takes more."""

_KEPT = 64
"""Kinds of chunks whose launches are kept."""

_turns: dict[torch.device, threading.Lock] = {}
"""Held while a device is given work."""


@dataclass(frozen=True)
class _Filling:
    """What a workspace is filled with: one row of bytes an input, one behind the other.

    Attributes:
        dtypes, elements: of the inputs, and how many of each.
        rows: the bytes of each input, in the host's memory.
        buffers: the same, for whoever fills them.
    """

    dtypes: tuple[DType, ...]
    elements: int
    rows: list[Array]
    buffers: list[memoryview]


class _Piece(NamedTuple):
    """A part of a chunk that is computed at one time.

    Attributes:
        start: its first element in the chunk, a multiple of BLOCK.
        copies: where on the device what of the host's memory goes before it is computed.
        tails: the padding behind it, to be zeroed.
        prepared: the launch.
        results: where in the host's memory what of the device goes afterwards.
        totals: of the latter what was counted.
    """

    start: int
    copies: tuple[tuple[Tensor, Tensor], ...]
    tails: tuple[Tensor, ...]
    prepared: Prepared
    results: tuple[tuple[Tensor, Tensor], ...]
    totals: NDArray[np.int32]


class _Work(NamedTuple):
    """All that one job does with one kind of filling.

    Attributes:
        pieces: one after the other, the whole chunk where it fits.
        data: the bytes of the output, in the host's memory.
        done: when the device has come to the end; None for the CPU.
    """

    pieces: tuple[_Piece, ...]
    data: memoryview
    done: torch.cuda.Event | None


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
        self._turn = _turns.setdefault(self._device, threading.Lock())
        self._stream = _stream_of(self._device)
        self._on_stream = (
            contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        )
        pinned = self._stream is not None
        self._fillings: OrderedDict[tuple[tuple[DType, ...], int], _Filling] = OrderedDict()
        self._works: OrderedDict[tuple[MapJob, int, int], _Work] = OrderedDict()
        fillings, works = self._fillings, self._works

        def forget() -> None:
            """Let go of what looks into the inputs' buffer, without a reference to the workspace: a circle
            would keep its memory until somebody looks for circles."""
            fillings.clear()
            works.clear()

        self._memory = DeviceMemory(self._device, self._works.clear)
        self._inputs = HostMemory(forget, pinned=pinned)
        self._outputs = HostMemory(self._works.clear, pinned=pinned)
        self._totals = HostMemory(self._works.clear, pinned=pinned)
        self._filling = _Filling((), 0, [], [])
        self._jobs = 0
        """How many ran on this filling: each has an output of its own."""
        self._uploaded = 0
        """How many inputs of this filling are on the device already, all elements of them."""
        self._unkeyed: tuple[MapJob | None, MapJob | None] = (None, None)
        self._piece_blocks: int | None = None
        """Draw blocks that fitted into the device's memory after more did not; None as long as all fit."""

    def begin(self, dtypes: Sequence[DType], elements: int) -> list[memoryview]:
        key = (tuple(dtypes), elements)
        if key not in self._fillings:
            _keep(self._fillings, key, self._new_filling(*key))
        self._fillings.move_to_end(key)
        self._filling = self._fillings[key]
        self._jobs = self._uploaded = 0
        return self._filling.buffers

    def fold(self, job: MapJob, number: int, first_element: int, inner: slice | None = None) -> Array:
        with self._on_stream:
            return self._fallback.fold(job, number, first_element, self._filling.rows, inner)

    def run(self, job: MapJob, first_element: int, inner: slice | None = None) -> Merged:
        kernel = self._maps.get(job.method)
        if kernel is None or inner is not None or job.models > _MOST_MODELS:
            with self._on_stream:
                words, counts = self._fallback.merge(job, first_element, self._filling.rows, inner)
            return Merged(words.view(np.uint8).data, counts)
        while True:
            work = None
            with self._turn, self._on_stream:
                with contextlib.suppress(torch.OutOfMemoryError):
                    work = self._submit(kernel, job, first_element)
                if work is None:  # outside of the exception, which would keep tensors alive
                    self._halve()
            if work is not None:
                break
        self._jobs += 1
        pieces, done, counts = work.pieces, work.done, Counts.zeros(job)

        def wait() -> None:
            if done is not None:
                done.synchronize()
            for piece in pieces:
                counts.add(piece.prepared.counted(piece.totals))

        return Merged(work.data, counts, wait)

    def _submit(self, kernel: MapKernel, job: MapJob, first_element: int) -> _Work:
        """Set the device to the whole of the chunk, one piece after the other.

        Everything is in its place when the stream has come so far.
        """
        work = self._work(kernel, job)
        for piece in work.pieces:
            if self._uploaded < len(job.input_dtypes):
                for target, source in piece.copies:
                    target.copy_(source, non_blocking=True)
                for tail in piece.tails:
                    tail.zero_()
            piece.prepared.launch(first_element + piece.start, job.key)
            for target, source in piece.results:
                target.copy_(source, non_blocking=True)
        if len(work.pieces) == 1:
            self._uploaded = max(self._uploaded, len(job.input_dtypes))
        if work.done is not None:
            work.done.record(self._stream)
        return work

    def _work(self, kernel: MapKernel, job: MapJob) -> _Work:
        """What is kept of an earlier chunk like this one, or new."""
        if self._unkeyed[0] is not job:
            self._unkeyed = (job, replace(job, key=(0, 0)))
        unkeyed = self._unkeyed[1]
        assert unkeyed is not None
        key = (unkeyed, self._filling.elements, self._jobs)
        if key not in self._works:
            work = self._new_work(kernel, unkeyed)
            _keep(self._works, key, work)
        self._works.move_to_end(key)
        return self._works[key]

    def _new_work(self, kernel: MapKernel, job: MapJob) -> _Work:
        filling = self._filling
        elements, dtypes, width = filling.elements, job.input_dtypes, job.out_dtype.itemsize
        merged = self._outputs.take(self._jobs, elements * width)
        most = elements if self._piece_blocks is None else min(elements, self._piece_blocks * BLOCK)
        prepared: dict[int, tuple[list[Tensor], Prepared]] = {}
        pieces: list[_Piece] = []
        starts = range(0, elements, max(1, most))
        for start in starts:
            size = min(most, elements - start)
            if size not in prepared:
                rows = self._rows_on_device(dtypes, size)
                prepared[size] = (rows, kernel.prepare(job, rows, size, self._memory))
            rows, launch = prepared[size]
            number = self._jobs * len(starts) + len(
                pieces
            )  # until the next filling, each has counts of its own
            totals = self._totals.take(number, 4 * launch.totals.numel())
            totals = totals.view(torch.int32).view(launch.totals.shape)
            place = merged[start * width : (start + size) * width]
            pieces.append(
                _Piece(
                    start,
                    self._copies(rows, start, size),
                    tuple(words_of(row)[size:] for row in rows) if size < _padded(size) else (),
                    launch,
                    ((place, launch.values[: size * width]), (totals, launch.totals)),
                    totals.numpy(),
                )
            )
        done = None
        if self._stream is not None:
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        return _Work(tuple(pieces), merged.numpy().data, done)

    def _rows_on_device(self, dtypes: Sequence[DType], size: int) -> list[Tensor]:
        """Room for `size` elements of each input, one row behind the other. [padded size] of its dtype."""
        stride = _padded(size)
        offsets, total = _layout(dtypes, stride)
        stored = self._memory.take("stored", (total,), torch.uint8)
        return [
            stored[offset : offset + stride * dtype.itemsize].view(torch_dtype(dtype))
            for offset, dtype in zip(offsets, dtypes, strict=True)
        ]

    def _copies(self, rows: list[Tensor], start: int, size: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """From the host's memory to the device: one copy for a whole chunk, for a piece one a row."""
        elements = self._filling.elements
        dtypes = self._filling.dtypes[: len(rows)]
        offsets, total = _layout(dtypes, _padded(elements))
        inputs = self._inputs.take(0, total)
        if size == elements:
            return ((self._memory.take("stored", (total,), torch.uint8), inputs[:total]),)
        return tuple(
            (
                row.view(torch.uint8)[: size * dtype.itemsize],
                inputs[offset + start * dtype.itemsize : offset + (start + size) * dtype.itemsize],
            )
            for row, offset, dtype in zip(rows, offsets, dtypes, strict=True)
        )

    def _halve(self) -> None:
        """After a piece did not fit: remember to try half, and give back what is not in use."""
        size = self._filling.elements
        if self._piece_blocks is not None:
            size = min(size, self._piece_blocks * BLOCK)
        self._uploaded = 0
        self._memory.clear()
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

    def _new_filling(self, dtypes: tuple[DType, ...], elements: int) -> _Filling:
        offsets, total = _layout(dtypes, _padded(elements))
        memory = self._inputs.take(0, total).numpy()
        rows = [
            memory[offset : offset + elements * dtype.itemsize]
            for offset, dtype in zip(offsets, dtypes, strict=True)
        ]
        return _Filling(dtypes, elements, rows, [row.data for row in rows])


def _keep(kept: OrderedDict[Any, Any], key: object, value: object) -> None:
    """Add to what is kept; the oldest goes."""
    kept[key] = value
    if len(kept) > _KEPT:
        kept.popitem(last=False)


def _padded(elements: int) -> int:
    return -(-elements // BLOCK) * BLOCK


def _layout(dtypes: Sequence[DType], stride: int) -> tuple[list[int], int]:
    """Where rows of `stride` elements of each type begin, one behind the other, and their size; bytes."""
    sizes = [stride * dtype.itemsize for dtype in dtypes]
    ends = np.cumsum(sizes).tolist()
    return [end - size for end, size in zip(ends, sizes, strict=True)], ends[-1]


def _stream_of(device: torch.device) -> torch.cuda.Stream | None:
    """A new stream of a CUDA device; None for the CPU, which has none."""
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
