"""How much memory this process may still take."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from core.cores import control_groups

__all__ = ["available_bytes"]

_MEMINFO = Path("/proc/meminfo")
_AVAILABLE = re.compile(rb"^MemAvailable:\s+([0-9]+) kB$", re.MULTILINE)


def available_bytes() -> int | None:
    """Memory that can be had without pushing other programs out, and that the control groups around this
    process leave it; None where the system does not say."""
    known = [
        found for found in (_of_the_machine(), *map(_left_in, control_groups("memory"))) if found is not None
    ]
    return max(0, min(known)) if known else None


def _of_the_machine() -> int | None:
    try:
        found = _AVAILABLE.search(_MEMINFO.read_bytes())
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024
    if sys.platform == "win32":
        return _of_windows()
    try:  # what macOS has: all of it, of which a part is taken
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError, AttributeError):
        return None


def _of_windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page_total", "page_free")),
            *((name, ctypes.c_ulonglong) for name in ("virtual_total", "virtual_free", "extended")),
        ]

    status = Status(length=ctypes.sizeof(Status))
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.free)


def _left_in(group: Path) -> int | None:
    """What a control group of either version still gives; None where it sets no limit.

    Its cached files count as taken there, and would be given up: they are added again.
    """
    for limit, taken, cached in (
        ("memory.max", "memory.current", rb"^inactive_file ([0-9]+)$"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", rb"^total_inactive_file ([0-9]+)$"),
    ):
        try:
            most = int((group / limit).read_text())
            used = int((group / taken).read_text())
            found = re.search(cached, (group / "memory.stat").read_bytes(), re.MULTILINE)
        except (OSError, ValueError):  # "max"
            continue
        return most - used + (int(found[1]) if found else 0)
    return None
