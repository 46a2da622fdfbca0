"""How long a merge will take: what it has to do, and how fast this machine was seen to do such things.

A merge gets ready, copies bytes out of files, computes, writes, and syncs. All but the first and the last
overlaps, so that the slowest of them counts. What a machine does differently from the one that was measured
is learned from each merge that it finishes and that took long enough to say something.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from core.plan.pace import PACES, Pace, checked, is_of_cpu, same_method, within
from core.table import calibration_job, element_s, workspace

__all__ = ["Throughput", "TimeEstimate", "Work", "measured_core"]

_FIXED_S = 0.02

_RATES = (1e5, 1e13)
"""What is plausible of a disk, in bytes a second."""

_WORTH_LEARNING_S = 0.5
"""A merge that is over sooner, and was to be, says more of files and threads than of the machine's pace."""


@dataclass(frozen=True)
class Work:
    """What a merge has to do.

    Attributes:
        kind: what does the arithmetic and what it does, as "parameter_selection" or "linear on cuda".
        thread_s: copying and arithmetic, in seconds of one thread of the machine that was measured.
        serial_s: what of that cannot be shared among threads.
        threads: that share `thread_s`.
        cold_bytes: to be read from the disk, as they are not in memory.
        written_bytes: to be written.
        dirty_bytes: of these, what is still in memory when the last chunk is done, and then synced.
        disk_read_bytes_per_s: of the inputs' disk, as measured in this process; None where it was not.
        device_s: what a card does meanwhile, 0 without one.
        start_s: until it can begin: what is to be imported, compiled and woken in this process.
    """

    kind: str
    thread_s: float
    serial_s: float
    threads: int
    cold_bytes: float
    written_bytes: int
    dirty_bytes: int
    disk_read_bytes_per_s: float | None = None
    device_s: float = 0.0
    start_s: float = 0.0


@dataclass(frozen=True)
class TimeEstimate:
    """How long a merge will take.

    Attributes:
        compute_s, read_s, write_s: seconds of the arithmetic, of the disk's reads, and of its writes up to
            the last chunk, which overlap.
        sync_s: of the writes after it.
        learned: whether a merge by the same method has been seen on this machine.
        start_s: seconds until it can begin.
        before_s: of the merges that come before it, whose results it reads.
    """

    compute_s: float
    read_s: float
    write_s: float
    sync_s: float
    learned: bool
    start_s: float = 0.0
    before_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.start_s + self.before_s + self.merge_s

    @property
    def merge_s(self) -> float:
        """Once it can begin: what a run record says."""
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
        core: how long one of its threads takes, relative to the machine that was measured; None until that
            was found out, and then it is taken to be as fast.
        disk_read_bytes_per_s, disk_write_bytes_per_s: of its disk, writes with their sync.
        kinds: how long each kind of Work takes, relative to what `core` says; those seen so far.
    """

    core: float | None = None
    disk_read_bytes_per_s: float = 1.5e9
    disk_write_bytes_per_s: float = 2e9
    kinds: Mapping[str, Pace] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str | None) -> Throughput:
        """What `to_json` wrote; the defaults for anything else."""
        try:
            data = json.loads(text or "")
            core = data["core"]
            return cls(
                # Earlier versions wrote 1 where they had not measured it.
                core=None if core is None or core == 1 else checked(core, PACES),
                disk_read_bytes_per_s=checked(data["disk_read_bytes_per_s"], _RATES),
                disk_write_bytes_per_s=checked(data["disk_write_bytes_per_s"], _RATES),
                kinds={str(kind): Pace.from_data(pace) for kind, pace in data["kinds"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def estimate(self, work: Work) -> TimeEstimate:
        """How long `work` takes."""
        return self._estimate(work, self.kinds.get(work.kind, Pace()).now)

    def _estimate(self, work: Work, pace: float) -> TimeEstimate:
        on_host_s = (self.core or 1.0) * (work.thread_s / work.threads + work.serial_s)
        early = work.written_bytes - work.dirty_bytes
        return TimeEstimate(
            compute_s=pace * max(on_host_s, work.device_s),
            read_s=work.cold_bytes / (work.disk_read_bytes_per_s or self.disk_read_bytes_per_s),
            write_s=early / self.disk_write_bytes_per_s,
            sync_s=work.dirty_bytes / self.disk_write_bytes_per_s,
            learned=work.kind in self.kinds,
            start_s=work.start_s,
        )

    def updated(self, seconds: float, work: Work) -> Throughput:
        """With what a finished merge, which was to do `work` and took so many seconds once it began, shows.

        The parts that most of the expected time went into take most of the difference.
        """
        known = self.kinds.get(work.kind, Pace())
        before = self._estimate(work, known.measured)
        if max(seconds, before.merge_s) < _WORTH_LEARNING_S:
            return self
        parts = {"compute": before.compute_s, "read": before.read_s, "write": before.write_s}
        slowest = max(parts, key=lambda part: parts[part])
        blamed = {"compute": 0.0, "read": 0.0, "write": before.sync_s}
        blamed[slowest] += parts[slowest]
        most = max(_FIXED_S, *blamed.values())
        ratio = seconds / before.merge_s
        believed, step = known.believed(ratio)
        step *= min(1.0, before.merge_s / _WORTH_LEARNING_S)

        def factor(part: str) -> float:
            return float(believed ** (step * blamed[part] / most))

        read = 1.0 if work.disk_read_bytes_per_s else factor("read")
        kinds = {
            kind: pace.passed_over() if same_method(kind, work.kind) else pace
            for kind, pace in self.kinds.items()
        }
        return replace(
            self,
            disk_read_bytes_per_s=within(self.disk_read_bytes_per_s / read, _RATES),
            disk_write_bytes_per_s=within(self.disk_write_bytes_per_s / factor("write"), _RATES),
            kinds={**kinds, work.kind: known.after(ratio, factor("compute"))},
        )

    def with_core(self, core: float) -> Throughput:
        """With `core` measured; what merges on the CPU take stays what they have shown."""
        slower = core / (self.core or 1.0)
        kinds = {
            kind: pace
            if not is_of_cpu(kind)
            else replace(pace, measured=within(pace.measured / slower, PACES))
            for kind, pace in self.kinds.items()
        }
        return replace(self, core=core, kinds=kinds)


def measured_core() -> float:
    """Throughput.core, by some 50 ms of a method's kernel, once it is imported and compiled."""
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
    return within(min(seconds[1:] or seconds) / (elements * element_s(job)), PACES)
