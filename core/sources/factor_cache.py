"""The factors of adapters that were read last, kept for the next chunk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

__all__ = ["FactorCache", "cached_bytes"]

Array = NDArray[Any]

_LEAST_CACHED_BYTES, _MOST_CACHED_BYTES = 16 * 1024**2, 128 * 1024**2
"""Of factors, for all workers together."""


def cached_bytes(needed: int) -> int:
    """How much of the factors is kept where the largest tensor needs so much: the next one needs it, too."""
    return min(max(_LEAST_CACHED_BYTES, 2 * needed), _MOST_CACHED_BYTES)


class FactorCache:
    """The right factors that were read last, shared by all threads that work on one plan.

    Each chunk of a tensor needs all of its right factor, and only some rows of its left one.
    """

    def __init__(self) -> None:
        self._most, self._held = cached_bytes(0), 0
        self._needed: dict[str, int] = {}
        self._lock = threading.Lock()
        self._known: OrderedDict[Any, Array] = OrderedDict()

    def expect(self, tensor: str, size_bytes: int) -> None:
        """Make room for the right factors of one more model's `tensor`.

        A chunk needs those of all models, one after the other: were there less room, none would still be
        there for the next chunk.
        """
        self._needed[tensor] = self._needed.get(tensor, 0) + size_bytes
        self._most = max(self._most, cached_bytes(self._needed[tensor]))

    def get(self, key: Any, make: Callable[[], Array]) -> Array:
        """What `make` gave for `key`, not to be written to. It may be made twice, by two threads."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = make()
        with self._lock:
            if key not in self._known and made.nbytes <= self._most:
                self._known[key] = made
                self._held += made.nbytes
                while self._held > self._most:
                    _, oldest = self._known.popitem(last=False)
                    self._held -= oldest.nbytes
        return made
