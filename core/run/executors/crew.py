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
_LONGEST_WINDOW_S = 0.15
"""Windows grow with the time between the rounds of trying: long ones even out what alternates."""

_SETTLE_S = 0.01
"""After a change: those that begin touch memory for the first time."""

_CHUNKS_EACH = 3
"""That each worker has done, on average, before its crew is judged."""

_BETTER = 1.05
_TURNS = 2
"""How often a size has to be better than the one before it, each in turn: what is easier to do for a
while, or another program's load, would otherwise be taken for what the size does."""

_AGAIN_S = 1.0
_AT_MOST_S = 10.0
"""How long what was found is taken to hold: each time that it is found again, twice as long."""


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
        self._best = first
        self._best_rates: list[float] = []
        """Of the best size, since the last change of it or the beginning of a round; the last few."""
        self._tried_rates: list[float] = []
        """Of the size that is tried."""
        self._untried: list[int] = []
        """What is tried now, last, and what is after it."""
        self._window_s = _BEFORE_TRYING_S
        self._again_s = _AGAIN_S
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
        if self._untried:
            self._not_before = now + _SETTLE_S
        else:
            self._not_before = now + self._again_s
            self._again_s = min(2 * self._again_s, _AT_MOST_S)
        return self.size != before

    def _judge(self, rate: float) -> None:
        """Of the present size, this is the rate: go on with another one."""
        if not self._untried:  # a new round begins
            self._window_s = min(_WINDOW_S * self._again_s / _AGAIN_S, _LONGEST_WINDOW_S)
            self._best_rates, self._tried_rates = [], []
            self._untried = [size for size in (self._less(self.size), self._more(self.size)) if size]
        if self.size == self._best:
            self._best_rates = [*self._best_rates, rate][-_TURNS:]
        else:
            self._tried_rates.append(rate)
        if self._tried_rates:
            if min(self._tried_rates) <= _BETTER * max(self._best_rates):
                self._untried.pop()
                self._tried_rates = []
            elif len(self._tried_rates) == _TURNS:
                self._move()
        trying = self._untried and (self.size == self._best or not self._tried_rates)
        self.size = self._untried[-1] if trying else self._best

    def _move(self) -> None:
        """What was tried is the best so far, and what lies beyond it is tried next."""
        tried = self._untried[-1]
        further = self._more(tried) if tried > self._best else self._less(tried)
        self._best, self._best_rates, self._tried_rates = tried, self._tried_rates[-1:], []
        self._again_s = _AGAIN_S
        self._untried = [further] if further else []

    def _more(self, size: int) -> int | None:
        return min(2 * size, self._most) if size < self._most else None

    def _less(self, size: int) -> int | None:
        return max(size // 2, self._least) if size > self._least else None
