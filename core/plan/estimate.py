"""How long a merge will take: what it has to do, and how fast this machine was seen to do such things.

A merge copies bytes out of files, computes, writes, and syncs. All but the last sync overlaps, so that
the slowest of them counts. The constants are those of tests/bench/README.md; what a machine does
differently is learned from each merge that it finishes.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from core.checkpoint import page_cache
from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.devices import CPU, Device, least_workers
from core.errors import MergeError
from core.plan.chunking import (
    CHUNK_BYTES,
    DEVICE_CHUNK_BYTES,
    chunk_elements,
    default_threads,
    usable_threads,
)
from core.plan.merge_plan import MergePlan, TensorPlan
from core.table import calibration_job, element_s, workspace

__all__ = ["Throughput", "TimeEstimate", "Work", "calibrated", "work_of"]

_FIXED_S = 0.02
_CHUNK_S = 0.0001
"""The interpreter's share of a chunk, during which no other thread gets on."""

_MOVED_S_PER_BYTE = 0.05e-9
"""A byte copied out of the page cache, by one thread."""

_OUTPUT_MOVES = 4
"""A byte of output is digested and written: as much as so many bytes copied."""

_TERM_S = 0.045e-9
"""A product that is added up to an element, by one thread: a term of a low-rank matrix."""

_GPU_S_PER_BYTE = 0.1e-9
"""A byte on its way to a GPU, the arithmetic included."""

_DIRTY_SHARE = 0.1
"""Of the memory: what the system lets wait in its cache before it begins to write."""

_SAMPLES = 256
_SAMPLE_BYTES = 1024**2
_PROBE_BYTES = 32 * 1024**2
_PROBE_S = 0.1

_LEARNING = 0.4
"""How far a merge moves what is known already, on a logarithmic scale; the first one moves it all the way."""


@dataclass(frozen=True)
class Work:
    """What a merge has to do.

    Attributes:
        kind: what does the arithmetic and what it does, as "parameter_selection" or "linear on cuda".
        thread_s: copying and arithmetic, in seconds of one thread of the machine that was measured.
        serial_s: what cannot be shared among threads.
        threads: that share `thread_s`.
        cold_bytes: to be read from the disk, as they are not in memory.
        written_bytes: to be written.
        dirty_bytes: of these, what is still in memory when the last chunk is done, and then synced.
        disk_read_bytes_per_s: of the disk with the inputs, as just measured; None where it was not.
    """

    kind: str
    thread_s: float
    serial_s: float
    threads: int
    cold_bytes: float
    written_bytes: int
    dirty_bytes: int
    disk_read_bytes_per_s: float | None = None


@dataclass(frozen=True)
class TimeEstimate:
    """How long a merge will take.

    Attributes:
        compute_s, read_s, write_s: seconds of the arithmetic, of the disk's reads, and of its writes up to
            the last chunk, which overlap.
        sync_s: of the writes after it.
        learned: whether a merge by the same method has been seen on this machine.
    """

    compute_s: float
    read_s: float
    write_s: float
    sync_s: float
    learned: bool

    @property
    def seconds(self) -> float:
        return _FIXED_S + max(self.compute_s, self.read_s, self.write_s) + self.sync_s

    @property
    def bound_by(self) -> str:
        """What most of the time goes into: "computing", "reading" or "writing"."""
        overlapped = max(self.compute_s, self.read_s, self.write_s)
        if self.sync_s > overlapped or overlapped == self.write_s:
            return "writing"
        return "reading" if overlapped == self.read_s else "computing"


@dataclass(frozen=True)
class Throughput:
    """What this machine was seen to do.

    Attributes:
        core: how long one of its threads takes, relative to the machine that was measured.
        disk_read_bytes_per_s, disk_write_bytes_per_s: of its disk, writes with their sync.
        kinds: how long each kind of Work takes, relative to what `core` says; those seen so far.
    """

    core: float = 1.0
    disk_read_bytes_per_s: float = 1.5e9
    disk_write_bytes_per_s: float = 2e9
    kinds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str | None) -> Throughput:
        """What `to_json` wrote; the defaults for anything else."""
        try:
            data = json.loads(text or "")
            kinds = {str(kind): _positive(value) for kind, value in data["kinds"].items()}
            return cls(
                core=_positive(data["core"]),
                disk_read_bytes_per_s=_positive(data["disk_read_bytes_per_s"]),
                disk_write_bytes_per_s=_positive(data["disk_write_bytes_per_s"]),
                kinds=kinds,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def estimate(self, work: Work) -> TimeEstimate:
        """How long `work` takes."""
        pace = self.core * self.kinds.get(work.kind, 1.0)
        early = work.written_bytes - work.dirty_bytes
        return TimeEstimate(
            compute_s=pace * (work.thread_s / work.threads + work.serial_s),
            read_s=work.cold_bytes / (work.disk_read_bytes_per_s or self.disk_read_bytes_per_s),
            write_s=early / self.disk_write_bytes_per_s,
            sync_s=work.dirty_bytes / self.disk_write_bytes_per_s,
            learned=work.kind in self.kinds,
        )

    def updated(self, seconds: float, work: Work) -> Throughput:
        """With what a finished merge, which was to do `work` and took so many seconds, shows.

        The parts that most of the expected time went into take most of the difference.
        """
        before = self.estimate(work)
        parts = {"compute": before.compute_s, "read": before.read_s, "write": before.write_s}
        slowest = max(parts, key=lambda part: parts[part])
        blamed = {"compute": 0.0, "read": 0.0, "write": before.sync_s}
        blamed[slowest] += parts[slowest]
        most = max(_FIXED_S, *blamed.values())
        ratio = min(max(seconds / before.seconds, 0.1), 10.0)
        step = _LEARNING if before.learned else 1.0

        def factor(part: str) -> float:
            return float(ratio ** (step * blamed[part] / most))

        read = 1.0 if work.disk_read_bytes_per_s else factor("read")
        return replace(
            self,
            disk_read_bytes_per_s=self.disk_read_bytes_per_s / read,
            disk_write_bytes_per_s=self.disk_write_bytes_per_s / factor("write"),
            kinds={**self.kinds, work.kind: self.kinds.get(work.kind, 1.0) * factor("compute")},
        )


def work_of(plan: MergePlan, devices: Sequence[Device] = (CPU,), threads: int | None = None) -> Work:
    """What merging as `plan` says has to do now; files that are in memory are not read from the disk.

    Args:
        plan: the merge.
        devices: what does the arithmetic.
        threads: workers; None for one a core, up to eight.
    """
    cores = default_threads()
    on_host = devices[0].kind == "cpu"
    workers = usable_threads(plan, threads or cores if on_host else least_workers(devices))
    chunk_bytes = CHUNK_BYTES if on_host else DEVICE_CHUNK_BYTES
    kind = plan.recipe.method.name
    moved = plan.bytes_to_read + _OUTPUT_MOVES * plan.bytes_to_write
    thread_s = _MOVED_S_PER_BYTE * moved
    serial_s = _CHUNK_S * sum(_chunks(tensor, workers, chunk_bytes) for tensor in plan.tensors)
    thread_s += _TERM_S * sum(tensor.terms for tensor in plan.tensors)
    if on_host:
        thread_s += sum(tensor.elements * element_s(tensor.job) for tensor in plan.tensors if tensor.job)
    else:
        kind = f"{kind} on {devices[0].kind}"
        serial_s += _GPU_S_PER_BYTE * (plan.bytes_to_read + plan.bytes_to_write) / len(devices)
    share, speed = _cold(plan)
    memory = page_cache.physical_memory_bytes()
    waiting = plan.bytes_to_write if memory is None else int(_DIRTY_SHARE * memory)
    return Work(
        kind=kind,
        thread_s=thread_s,
        serial_s=serial_s,
        threads=min(workers if on_host else threads or cores, cores),
        cold_bytes=share * sum(stored.size_bytes for stored in _reads(plan)),  # a second pass finds it warm
        written_bytes=plan.bytes_to_write,
        dirty_bytes=min(plan.bytes_to_write, waiting),
        disk_read_bytes_per_s=speed,
    )


def calibrated(throughput: Throughput) -> Throughput:
    """With `core` measured by some 50 ms of a method's kernel, once it is imported and compiled."""
    elements = 1 << 18
    job = calibration_job()
    space = workspace()
    for at, buffer in enumerate(space.begin(job.input_dtypes, elements)):
        pattern = bytes((0x80 + (at if place % 3 == 0 else 0), 0x3C)[place % 2] for place in range(6 * 256))
        buffer[:] = (pattern * (len(buffer) // len(pattern) + 1))[: len(buffer)]
    seconds: list[float] = []
    started = time.perf_counter()
    while not seconds or time.perf_counter() - started < 0.05:
        before = time.perf_counter()
        space.run(job, 0)
        seconds.append(time.perf_counter() - before)
    return replace(throughput, core=min(seconds[1:] or seconds) / (elements * element_s(job)))


def _chunks(tensor: TensorPlan, slots: int, chunk_bytes: int) -> int:
    size = chunk_elements(tensor, slots, chunk_bytes=chunk_bytes)
    return (tensor.folds + 1) * -(-tensor.elements // size)


def _cold(plan: MergePlan) -> tuple[float, float | None]:
    """The share of the bytes to be read that is not in memory, and how fast their disk is.

    Where the system does not say what is in memory, nothing is taken to be.
    """
    samples = Counter[Path]()
    cold: dict[Path, list[int]] = {}
    places: dict[Path, list[int]] = {}
    for path, offset in _places(plan):
        places.setdefault(path, []).append(offset)
    for path, offsets in places.items():
        try:
            with ReadFile(path) as file:
                # Of what lies behind its end nothing can be in memory.
                if not file.is_cold(file.size_bytes + _SAMPLE_BYTES, _SAMPLE_BYTES):
                    return 1.0, None
                samples[path] = len(offsets)
                cold[path] = [offset for offset in offsets if file.is_cold(offset, _SAMPLE_BYTES)]
        except MergeError:
            return 1.0, None
    found = sum(map(len, cold.values()))
    if not found:
        return 0.0, None
    coldest = max(cold, key=lambda path: len(cold[path]))
    return found / samples.total(), _disk_speed(coldest, cold[coldest][0])


def _places(plan: MergePlan) -> Iterator[tuple[Path, int]]:
    """Files and offsets of up to _SAMPLES places, evenly spread over the bytes that are read."""
    step = max(sum(stored.size_bytes for stored in _reads(plan)) / _SAMPLES, 1.0)
    due, passed = step / 2, 0
    for stored in _reads(plan):
        while due < passed + stored.size_bytes:
            yield stored.path, stored.offset + int(due - passed)
            due += step
        passed += stored.size_bytes


def _reads(plan: MergePlan) -> Iterator[StoredTensor]:
    for tensor in plan.tensors:
        for source in tensor.inputs:
            yield from source.stored


_speeds: dict[int, float] = {}
"""Bytes a second of each disk that was measured, by the system's number for it."""


def _disk_speed(path: Path, offset: int) -> float | None:
    """How fast a cold range is read: measured once a disk, for a tenth of a second."""
    try:
        disk = path.stat().st_dev
        if disk not in _speeds:
            with ReadFile(path) as file:
                size = min(_PROBE_BYTES, file.size_bytes - offset)
                if size < _PROBE_BYTES // 4:
                    return None
                _speeds[disk] = _read_speed(file, offset, size)
                file.drop(offset, size)
        return _speeds[disk]
    except (OSError, MergeError):
        return None


def _read_speed(file: ReadFile, offset: int, size: int) -> float:
    buffer = memoryview(bytearray(_SAMPLE_BYTES))
    started = time.perf_counter()
    file.will_need(offset, size)
    done = 0
    while done < size and time.perf_counter() - started < _PROBE_S:
        part = buffer[: min(len(buffer), size - done)]
        file.read_into(part, offset + done)
        done += len(part)
    return done / (time.perf_counter() - started)


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is not a positive number")
    return float(value)
