"""How many of the machine's cores this process may keep busy, and how many of them are whole ones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["begin_with", "control_groups", "usable_cores"]

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_ALL_AT_ONCE = 8
"""So many cores that the system calls whole ones are taken for such; of more, half may not be."""


def usable_cores() -> int:
    """Cores, hyper-threads among them, that this process may use: what it was bound to, what a container
    was given."""
    cores = len(_bound_to())
    quota = _quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def begin_with() -> int:
    """How many threads that read and compute are likely to get the most done.

    One for each whole core: two hyper-threads of a core share its memory ports and its caches, which is what
    such a thread waits for. Where the system tells of none, all of up to eight cores, and half of more, but
    at least eight: a virtual machine may hide which of them share one. A merge finds out whether more are
    better.
    """
    usable = usable_cores()
    whole = _whole_cores(_bound_to())
    if whole is not None and whole < len(_bound_to()):
        return max(1, min(whole, usable))
    return usable if usable <= _ALL_AT_ONCE else max(_ALL_AT_ONCE, usable // 2)


def _bound_to() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _whole_cores(numbers: Iterable[int]) -> int | None:
    """Cores of which the processors of these numbers are threads; None where the system does not say."""
    try:
        return len({(_CPUS / f"cpu{number}/topology/thread_siblings_list").read_text() for number in numbers})
    except OSError:
        return None


def _quota() -> float | None:
    """Cores that the quotas of its control groups let this process use; None where there is none."""
    quotas = [quota for folder in control_groups("cpu") if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def control_groups(controller: str) -> list[Path]:
    """The folders of the control groups of this process that may limit "cpu" or "memory": its own and those
    around it, of either version."""
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:
        lines = []
    folders = [_CGROUP, _CGROUP / controller]
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUP / controller if controllers else _CGROUP
        parts = [part for part in place.split("/") if part]
        if ".." not in parts:  # of another name space
            folders += [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return folders


def _quota_of(group: Path) -> float | None:
    try:
        limit, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return int(limit) / int(period) if int(limit) > 0 and int(period) > 0 else None
    except ValueError:  # "max"
        return None
