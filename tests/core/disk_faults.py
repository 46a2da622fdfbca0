"""Disks that go wrong: what is put in the place of core.disk.system.

Each counts the calls that change something. One call fails, is torn, or is the process's last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core import disk

__all__ = ["CALLS", "FAILURES", "KILLS", "Faulty", "Slow", "Watched", "in_place"]

CALLS = tuple(name for name, value in vars(disk.System).items() if callable(value))
"""The names of all calls that change something on a disk."""

WRITES = ("write", "write_at")
_WANT_ROOM = (*WRITES, "create", "make_folder", "reserve")

FAILURES = ("EIO", "ENOSPC", "torn", "full", "gone")
KILLS = ("kill-before", "kill-torn", "kill-after")


class Watched(disk.System):
    """Every call goes through `around`."""

    def around(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        """Make the call `name`; here, as it is."""
        return do(*given, **named)


def _watched(name: str) -> Callable[..., Any]:
    plain = getattr(disk.System, name)

    def call(self: Watched, *given: Any, **named: Any) -> Any:
        return self.around(name, lambda *a, **k: plain(self, *a, **k), given, named)

    return call


for _name in CALLS:
    setattr(Watched, _name, _watched(_name))


class Faulty(Watched):
    """Something happens at one call.

    Attributes:
        calls: the names of those that came, in their order.
        hit: whether it happened.
    """

    def __init__(self, at: int, kind: str) -> None:
        """Args:
        at: the number of the call, from 0; -1 for none.
        kind: what happens at that call.
            An errno's name: it fails with that, and does nothing.
            "torn": half of a write is done and it fails; any other call is done, and said to have failed.
            "short": half of a write is done, and it says so; any other call is as always.
            "full": from there on there is no room; removing a file makes room for one write.
            "gone": from there on every call fails.
            "kill-before", "kill-after": the process kills itself. "kill-torn": the same in the middle of a
            write; before any other call. "stop": it stops before the call, until it is told to go on.
        """
        self.at, self.kind = at, kind
        self.calls: list[str] = []
        self.hit = False
        self._turn = threading.Lock()
        self._room = 0

    def around(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        with self._turn:
            number = len(self.calls)
            self.calls.append(name)
            lasting = self.kind in ("full", "gone")
            if self.at < 0 or number < self.at or (number > self.at and not lasting):
                return do(*given, **named)
            self.hit = True
            return getattr(self, f"_{self.kind.replace('-', '_')}", self._fail)(name, do, given, named)

    def _fail(self, *call: Any) -> Any:
        raise _error(getattr(errno, self.kind))

    def _torn(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        _half(name, do, given, named)
        raise _error(errno.EIO)

    def _short(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        return _half(name, do, given, named)

    def _full(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        if name == "remove":
            self._room = 8
        elif name in _WANT_ROOM:
            self._room -= 1
            if self._room < 0:
                raise _error(errno.ENOSPC)
        return do(*given, **named)

    def _gone(self, *call: Any) -> Any:
        raise _error(errno.EROFS)

    def _kill_before(self, *call: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        os.kill(os.getpid(), signal.SIGSTOP)
        return do(*given, **named)

    def _kill_torn(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        if name in WRITES:
            _half(name, do, given, named)
        os.kill(os.getpid(), signal.SIGKILL)

    def _kill_after(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        with contextlib.suppress(OSError):  # there was nothing to remove
            do(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)


class Slow(Watched):
    """Calls that take a while, as on a bad network."""

    def __init__(self, seconds: float, names: tuple[str, ...] = CALLS) -> None:
        self._seconds, self._names = seconds, names

    def around(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        if name in self._names:
            time.sleep(self._seconds)
        return do(*given, **named)


@contextlib.contextmanager
def in_place(system: disk.System) -> Iterator[None]:
    """All changes to the disk go through `system` meanwhile."""
    before, disk.system = disk.system, system
    try:
        yield
    finally:
        disk.system = before


def _half(name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if name not in WRITES:
        return do(*given, **named)
    descriptor, data, *rest = given
    return do(descriptor, memoryview(data)[: max(1, len(data) // 2)], *rest, **named)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
