"""Being a good neighbour in the system's page cache, where the system lets one (Linux).

Pages that a very large merge brings into the cache push out those of the user's other programs. The
pages that were there before are left alone, though: somebody uses them.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys

__all__ = ["drop", "is_cold", "physical_memory_bytes", "will_need"]

_HINTS = hasattr(os, "posix_fadvise")
_LOOKS = 4
_LOOKED_AT = 16 * 1024
_CACHESTAT = 451  # the same on every architecture; Linux 6.5 and newer


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Pages(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    )


def will_need(fd: int, offset: int, size: int) -> None:
    """Tell the system to begin reading a range that is wanted soon; returns at once.

    Looking is cheaper than telling, and a look at some of it is enough: what is read and what is forgotten
    are long runs, and what is told too little is read all the same, if later.
    """
    if _HINTS and any(
        _cached_bytes(fd, offset + at * size // _LOOKS, _LOOKED_AT) < _LOOKED_AT for at in range(_LOOKS)
    ):
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, offset, size, os.POSIX_FADV_WILLNEED)


def drop(fd: int, offset: int, size: int) -> None:
    """Let go of the cached pages of a range (to the end of the file for size 0); dirty ones stay."""
    if _HINTS:
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, offset, size, os.POSIX_FADV_DONTNEED)


def is_cold(fd: int, offset: int, size: int) -> bool:
    """Whether hardly any page of a range is in the cache; False where the system does not say.

    A few pages are nobody's choice: the system reads on a little behind every read.
    """
    return 0 <= _cached_bytes(fd, offset, size) < size // 8


def physical_memory_bytes() -> int | None:
    """The machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _cached_bytes(fd: int, offset: int, size: int) -> int:
    """How much of a range is in the cache, in whole pages; -1 where the system does not say."""
    if _syscall is None:
        return -1
    pages = _Pages()
    wanted = _Range(offset, size)
    failed = _syscall(_CACHESTAT, fd, ctypes.byref(wanted), ctypes.byref(pages), 0)
    return -1 if failed else pages.cached * mmap.PAGESIZE


_syscall = ctypes.CDLL(None, use_errno=True).syscall if sys.platform.startswith("linux") else None
