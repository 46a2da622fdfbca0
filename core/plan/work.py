"""What a merge has to do on a device, by the constants of a machine that was measured.

On the CPU each worker reads, computes and writes its chunks. For a card, threads of the host read and write,
and one thread submits the chunks: reading and writing, the bus, and the kernels overlap. Where the numbers
come from: tests/bench/README.md.
"""

from __future__ import annotations

from core.checkpoint import page_cache
from core.cores import begin_with
from core.devices import CPU, Device, least_workers
from core.plan.chunking import (
    CHUNK_BYTES,
    DEVICE_CHUNK_BYTES,
    chunk_elements,
    default_threads,
    usable_threads,
)
from core.plan.cold_files import ColdFiles, cold_files
from core.plan.estimate import Work
from core.plan.merge_plan import MergePlan, TensorPlan
from core.plan.pace import kind_of
from core.plan.start_up import start_s
from core.table import device_s, element_s, has_triton

__all__ = ["pass_s", "work_of"]

_TERM_S = 0.026e-9
"""A product that is added up to an element, by one thread: a term of a low-rank matrix."""

_CHUNK_S = 0.1e-3
"""The interpreter's share of a chunk, during which no other thread gets on."""

_SUBMITTED_S = 0.3e-3
"""What the thread that submits a card's chunks takes for one of them, at most."""

_MOVED_S_PER_BYTE = 0.05e-9
"""A byte copied out of the page cache, by one thread."""

_OUTPUT_MOVES = 4
"""A byte of output is digested and written: as much as so many bytes copied."""

_BUS_BYTES_PER_S = 55e9
"""Between the host and a card of whose bus nothing is known: measured with PCI Express 5, 16 lanes. Where it
is slower the first merge shows it; of a card that is never tried nothing is learned."""

_PAGEABLE_BYTES_PER_S = 6e9
"""The same of memory that is not pinned, which nothing overlaps with; not measured."""

_DIRTY_SHARE = 0.1
"""Of the memory: what the system lets wait in its cache before it begins to write."""


def work_of(
    plan: MergePlan,
    device: Device = CPU,
    threads: int | None = None,
    *,
    files: ColdFiles | None = None,
    warms_up: bool = False,
) -> Work:
    """What merging as `plan` says has to do now; files that are in memory are not read from the disk.

    Args:
        plan: the merge.
        device: what does the arithmetic.
        threads: so many work on the CPU at most, or read and write for a device; None for one a core.
        files: what is to be read from the disk; None to look, and to measure nothing.
        warms_up: whether this process makes the CPU's kernels ready in any case.
    """
    files = files or cold_files(plan)
    best = begin_with()
    on_host = device.kind == "cpu"
    method = plan.recipe.method.name
    workers = usable_threads(plan, threads or default_threads() if on_host else least_workers([device]))
    chunks = _chunks(plan, workers, CHUNK_BYTES if on_host else DEVICE_CHUNK_BYTES)
    moved_s = _MOVED_S_PER_BYTE * (plan.bytes_to_read + _OUTPUT_MOVES * plan.bytes_to_write)
    moved_s += _TERM_S * sum(tensor.terms for tensor in plan.tensors)
    memory = page_cache.physical_memory_bytes()
    waiting = plan.bytes_to_write if memory is None else int(_DIRTY_SHARE * memory)
    return Work(
        kind=kind_of(method, device.kind),
        thread_s=moved_s + (_computing_s(plan) if on_host else 0.0),
        serial_s=_CHUNK_S * chunks,
        threads=min(workers if on_host else threads or best, best),
        cold_bytes=files.bytes_to_read,
        written_bytes=plan.bytes_to_write,
        dirty_bytes=min(plan.bytes_to_write, waiting),
        disk_read_bytes_per_s=files.disk_read_bytes_per_s,
        device_s=0.0 if on_host else _device_s(plan, device, chunks),
        start_s=start_s(
            device, {tensor.job.method for tensor in plan.tensors if tensor.job}, warms_up=warms_up
        ),
    )


def pass_s(tensor: TensorPlan) -> float:
    """Seconds of one thread an element and pass on the CPU: reading, computing, digesting and writing."""
    passes = tensor.passes
    read = sum(source.dtype.itemsize for source in tensor.inputs)
    moved_s = _MOVED_S_PER_BYTE * (read + _OUTPUT_MOVES * tensor.output.dtype.itemsize / passes)
    moved_s += _TERM_S * sum(source.terms for source in tensor.inputs)
    return moved_s + (element_s(tensor.job) / passes if tensor.job else 0.0)


def _computing_s(plan: MergePlan) -> float:
    return sum(tensor.elements * element_s(tensor.job) for tensor in plan.tensors if tensor.job)


def _device_s(plan: MergePlan, device: Device, chunks: int) -> float:
    """Of what overlaps, the slowest: the bus, the kernels, and submitting."""
    kernels_s = sum(tensor.elements * device_s(tensor.job) for tensor in plan.tensors if tensor.job)
    crossing = sum(map(_crossing_bytes, plan.tensors))
    if device.kind != "cuda" or not has_triton():  # chunk by chunk, from memory that is not pinned
        return crossing / _PAGEABLE_BYTES_PER_S + kernels_s
    bus_s = crossing / (device.bus_bytes_per_s or _BUS_BYTES_PER_S)
    return max(bus_s, kernels_s, _SUBMITTED_S * chunks)


def _crossing_bytes(tensor: TensorPlan) -> int:
    """To the card, once a pass, and back."""
    inputs = sum(source.dtype.itemsize for source in tensor.inputs)
    return tensor.elements * (tensor.passes * inputs + tensor.output.dtype.itemsize)


def _chunks(plan: MergePlan, workers: int, chunk_bytes: int) -> int:
    sizes = ((tensor, chunk_elements(tensor, workers, chunk_bytes=chunk_bytes)) for tensor in plan.tensors)
    return sum(tensor.passes * -(-tensor.elements // size) for tensor, size in sizes)
