"""Threads among which another one shares out what it does, where that is few and large things."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Helpers"]

T = TypeVar("T")
S = TypeVar("S")


class Helpers:
    """Threads that work for whoever asks, until they are closed.

    Attributes:
        count: their number.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="helper")

    def each(self, call: Callable[[T], S], parts: Iterable[T]) -> list[S]:
        """What `call` returns of each part, when all are done; raises what one of them raised."""
        return list(self._pool.map(call, parts))

    def close(self) -> None:
        self._pool.shutdown()
