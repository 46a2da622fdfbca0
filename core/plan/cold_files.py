"""What of a merge's inputs is in memory, and how fast the disk with the rest is."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.errors import MergeError
from core.plan.merge_plan import MergePlan

__all__ = ["ColdFiles", "cold_files"]

_SAMPLES = 256
_SAMPLE_BYTES = 1024**2
_PROBE_BYTES = 32 * 1024**2
_PROBE_S = 0.1


@dataclass(frozen=True)
class ColdFiles:
    """What has to come from the disk.

    Attributes:
        bytes_to_read: so much; a second pass over a tensor finds it in memory.
        disk_read_bytes_per_s: of the disk, as measured in this process; None where it was not.
    """

    bytes_to_read: float
    disk_read_bytes_per_s: float | None


def cold_files(plan: MergePlan, *, measure: bool = False) -> ColdFiles:
    """What merging as `plan` says has to read from the disk now.

    Args:
        plan: the merge.
        measure: whether to find out how fast the disk is, where this process has not, by reading a little of
            a file that is not in memory. Nothing is read without.
    """
    share, speed = _cold(plan, measure)
    return ColdFiles(share * sum(stored.size_bytes for stored in _reads(plan)), speed)


def _cold(plan: MergePlan, measure: bool) -> tuple[float, float | None]:
    """The share of the bytes to be read that is not in memory, and how fast their disk is.

    Where the system does not say what is in memory, nothing is taken to be. What a merge before makes is: it
    was written a moment ago.
    """
    samples = Counter[Path]()
    cold: dict[Path, list[int]] = {}
    places: dict[Path, list[int]] = {}
    for path, offset in _places(plan):
        places.setdefault(path, []).append(offset)
    for path, offsets in places.items():
        if not os.path.lexists(path):
            samples[path] = len(offsets)
            continue
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
    return found / samples.total(), _disk_speed(coldest, cold[coldest][0], measure)


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


def _disk_speed(path: Path, offset: int, measure: bool) -> float | None:
    """How fast a cold range is read: measured once a disk, for a tenth of a second."""
    try:
        disk = path.stat().st_dev
        if disk not in _speeds:
            if not measure:
                return None
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
