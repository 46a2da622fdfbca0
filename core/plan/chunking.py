"""How a plan is cut into chunks: so many workers, each with so much memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.cores import usable_cores
from core.devices import CPU, Device, least_workers
from core.digest import PIECE_BYTES
from core.plan.merge_plan import MergePlan, TensorPlan
from core.sources.factor_cache import cached_bytes
from core.table import scratch_bytes

__all__ = [
    "CHUNK_BYTES",
    "DEVICE_CHUNK_BYTES",
    "MEMORY_BUDGET_BYTES",
    "chunk_elements",
    "default_threads",
    "peak_memory_bytes",
    "usable_threads",
]

MEMORY_BUDGET_BYTES = 256 * 1024**2
"""For the buffers of all workers together."""

CHUNK_BYTES = 6 * 1024**2
"""Input bytes of one chunk that are worth aiming at: large enough for the disk, small for the cache."""

DEVICE_CHUNK_BYTES = 64 * 1024**2
"""The same of one chunk of a device: large, since each costs it round trips to the host."""


def default_threads() -> int:
    """Workers where nobody says how many: one a core, of which as many work as get the most done."""
    return usable_cores()


def usable_threads(plan: MergePlan, wanted: int, budget_bytes: int = MEMORY_BUDGET_BYTES) -> int:
    """How many workers fit in the memory budget, each with the smallest chunk; at least one."""
    smallest = max(
        (_held_elements(t, _piece_elements(t)) * _working_bytes(t) for t in plan.tensors), default=1
    )
    return max(1, min(wanted, budget_bytes // max(1, smallest)))


def chunk_elements(
    tensor: TensorPlan,
    threads: int,
    budget_bytes: int = MEMORY_BUDGET_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
) -> int:
    """Elements of one chunk: whole pieces, of about `chunk_bytes` of input, within the budget."""
    piece = _piece_elements(tensor)
    input_bytes = piece * sum(source.dtype.itemsize for source in tensor.inputs)
    room = budget_bytes // (threads * _working_bytes(tensor)) - _held_elements(tensor, 0)
    pieces = max(1, min(chunk_bytes // input_bytes, room // piece))
    return min(pieces * piece, max(1, tensor.elements))


def peak_memory_bytes(plan: MergePlan, devices: Sequence[Device] = (CPU,), threads: int | None = None) -> int:
    """What the buffers of all workers take of the host's memory at most, beyond what the imports take.

    Args:
        plan: what is merged.
        devices: on what.
        threads: that work on the CPU; None for as many as get the most done.

    Of several merges, which come one after the other, that of the largest.
    """
    if plan.stages:
        return max(peak_memory_bytes(replace(one, stages=()), devices, threads) for one in plan.merges)
    if all(device.kind == "cpu" for device in devices):
        workers = usable_threads(plan, threads or default_threads())
        largest = (_held_elements(t, chunk_elements(t, workers)) * _working_bytes(t) for t in plan.tensors)
        return workers * max(largest, default=0) + _factor_bytes(plan)
    workers = usable_threads(plan, least_workers(devices))
    copies = inputs = outputs = 0
    for tensor in plan.tensors:
        elements = _held_elements(tensor, chunk_elements(tensor, workers, chunk_bytes=DEVICE_CHUNK_BYTES))
        size = elements * sum(source.dtype.itemsize for source in tensor.inputs)
        if tensor.job is None:
            copies = max(copies, size)
        else:
            inputs, outputs = max(inputs, size), max(outputs, elements * tensor.output.dtype.itemsize)
    return workers * (copies + _pinned_bytes(inputs) + _pinned_bytes(outputs)) + _factor_bytes(plan)


def _pinned_bytes(size: int) -> int:
    """What a buffer of a device takes: memory is pinned in powers of two."""
    return 1 << (size - 1).bit_length() if size else 0


def _factor_bytes(plan: MergePlan) -> int:
    """What the factors of adapters take, which are kept as long as they are read."""
    factors = [sum(source.kept_bytes for source in tensor.inputs) for tensor in plan.tensors]
    return min(sum(factors), cached_bytes(max(factors, default=0)))


def _piece_elements(tensor: TensorPlan) -> int:
    """Elements of the smallest chunk: a whole piece of the digest."""
    return PIECE_BYTES // tensor.output.dtype.itemsize


def _held_elements(tensor: TensorPlan, elements: int) -> int:
    """Elements that a worker holds of a chunk of so many: whole rows, where a method or source needs them."""
    row = max([tensor.job.row if tensor.job else 1, *(source.row for source in tensor.inputs)])
    return elements + 2 * (row - 1)


def _working_bytes(tensor: TensorPlan) -> int:
    """Bytes an element that a worker holds: inputs, conversions, masks, output and scratch."""
    itemsizes = [source.dtype.itemsize for source in tensor.inputs]
    itemsizes.append(max((source.scratch for source in tensor.inputs), default=0))  # one is filled at a time
    if tensor.job is None:
        return sum(itemsizes)
    converted = 0
    if any(dtype != tensor.job.merge_dtype for dtype in tensor.job.model_dtypes):
        converted = tensor.job.merge_dtype.itemsize * len(tensor.models)
    masks = max(2, len(tensor.models) // 8 + 8)
    scratch = scratch_bytes(tensor.job)
    return sum(itemsizes) + converted + masks + tensor.output.dtype.itemsize + scratch
