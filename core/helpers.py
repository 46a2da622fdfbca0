"""Threads among which another one shares out what it does, where that is few and large things."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["Helpers"]

T = TypeVar("T")
S = TypeVar("S")

_POLL_S = 0.1


class _Shared(Generic[T, S]):
    """What is called of several parts, and what came of it."""

    def __init__(self, call: Callable[[T], S], parts: list[T]) -> None:
        self.parts = parts
        self._call = call
        self._results: dict[int, S] = {}
        self._errors: dict[int, BaseException] = {}
        self._left = len(parts)
        self._lock = threading.Lock()
        self._done = threading.Event()
        if not parts:
            self._done.set()

    def do(self, number: int) -> None:
        """Call it of one part; raises nothing."""
        try:
            self._results[number] = self._call(self.parts[number])
        except BaseException as error:
            self._errors[number] = error
        with self._lock:
            self._left -= 1
            if not self._left:
                self._done.set()

    def results(self) -> list[S]:
        """In the order of the parts, when all are done."""
        self._done.wait()
        for number in sorted(self._errors):
            raise self._errors[number]
        return [self._results[number] for number in range(len(self.parts))]


class Helpers:
    """Threads that work for whoever asks, until they are closed.

    They begin at once: where the system refuses more, those that have begun do it all, and where it refuses
    every one, whoever asks does. Nothing waits for them at the end of the process, unlike for a pool's of
    the standard library: one may hang in a step of the system's.

    Attributes:
        count: their number; 1 where there is none and the caller works alone.
    """

    def __init__(self, count: int) -> None:
        self._calls: queue.SimpleQueue[tuple[_Shared[Any, Any], int] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        for number in range(count):
            thread = threading.Thread(target=self._loop, name=f"helper-{number}", daemon=True)
            try:
                thread.start()
            except (RuntimeError, MemoryError):
                break
            self._threads.append(thread)
        self.count = max(1, len(self._threads))

    def each(self, call: Callable[[T], S], parts: Iterable[T]) -> list[S]:
        """What `call` returns of each part, when all are done; raises what the first of them raised."""
        if not self._threads:
            return [call(part) for part in parts]
        shared = _Shared(call, list(parts))
        for number in range(len(shared.parts)):
            self._calls.put((shared, number))
        return shared.results()

    def close(self, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Let them go when what was asked for is done.

        Args:
            is_hurried: whether not to wait for one that hangs; asked while it is waited for.
        """
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            while thread.is_alive() and not is_hurried():
                thread.join(_POLL_S)

    def _loop(self) -> None:
        while (call := self._calls.get()) is not None:
            shared, number = call
            shared.do(number)
            del call, shared  # what was worked on is not kept until there is more
