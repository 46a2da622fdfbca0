"""How many workers are at work at one time: found out while they work.

More threads than a machine has room for are slower, not as fast: their buffers push each other out of the
processor's cache, and they queue for the interpreter's lock. How many that are depends on cores and
hyper-threads, caches, disks, and on whom else the machine serves, so it is measured.
"""

from __future__ import annotations

__all__ = ["Crew"]

_BEFORE_TRYING_S = 0.25
"""A merge that is over sooner is not worth an experiment."""

_WINDOW_S = 0.03
_SETTLE_S = 0.01
"""After a change: those that begin touch memory for the first time."""

_CHUNKS_EACH = 3
"""That each worker has done, on average, before its crew is judged."""

_BETTER = 1.05
_AGAIN_S = 10.0
"""How long what was found is taken to hold."""


class Crew:
    """Climbs from the number that is likely to the one that gets the most done, by doubling and halving.

    Used by one thread at a time.

    Attributes:
        size: how many are to work now.
    """

    def __init__(self, first: int, least: int, most: int) -> None:
        """Args:
        first: how many begin; 1 <= least <= first <= most.
        least, most: how few and how many may be tried.
        """
        self.size, self._least, self._most = first, least, most
        self._best, self._best_rate = first, 0.0
        self._untried: list[int] = []
        self._is_settled = False
        self._window_s = _BEFORE_TRYING_S
        self._not_before = 0.0
        self._since: float | None = None
        self._amount = 0.0
        self._chunks = 0

    def done(self, amount: float, now: float) -> bool:
        """Take that a worker has done so much; returns whether `size` changed.

        Args:
            amount: in units of the work's own.
            now: seconds of a clock that does not go back.
        """
        if self._least == self._most or now < self._not_before:
            return False
        if self._since is None:
            self._since, self._amount, self._chunks = now, 0.0, 0
            return False
        self._amount += amount
        self._chunks += 1
        seconds = now - self._since
        if seconds < self._window_s or self._chunks < _CHUNKS_EACH * self.size:
            return False
        before = self.size
        self._judge(self._amount / seconds)
        self._since = None
        self._not_before = now + (_AGAIN_S if self._is_settled else _SETTLE_S)
        return self.size != before

    def _judge(self, rate: float) -> None:
        """Of the present size, this is the rate: go on with another one."""
        if self._window_s != _WINDOW_S or self._is_settled:  # a new round begins
            self._window_s, self._is_settled = _WINDOW_S, False
            self._best, self._best_rate = self.size, rate
            self._untried = [size for size in (self._less(self.size), self._more(self.size)) if size]
        elif rate > _BETTER * self._best_rate:
            further = self._more(self.size) if self.size > self._best else self._less(self.size)
            self._best, self._best_rate = self.size, rate
            self._untried = [further] if further else []
        self.size = self._untried.pop() if self._untried else self._best
        self._is_settled = self.size == self._best

    def _more(self, size: int) -> int | None:
        return min(2 * size, self._most) if size < self._most else None

    def _less(self, size: int) -> int | None:
        return max(size // 2, self._least) if size > self._least else None
