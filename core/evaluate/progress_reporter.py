"""How far an evaluation of several models is, all of them together."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.progress import Share, ShareCallback

__all__ = ["ProgressReporter"]

TELL_EVERY_S = 0.2


class ProgressReporter:
    """Tells how far all models together are; what is known already takes no time and counts for nothing."""

    def __init__(self, progress: ShareCallback | None) -> None:
        self._progress = progress
        self._models, self._done = 1, 0
        self._began = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """What is done before the first model is loaded."""
        if self._progress is not None:
            self._progress(Share(0.0, text))

    def begin(self, models: int) -> None:
        """Begin with so many models that are not known."""
        self._models, self._began = models, time.monotonic()

    def next(self, name: str) -> None:
        """The model is done."""
        self._done += 1
        self._last = 0.0
        self._tell(0.0, f"{name}: done")

    def end(self) -> None:
        if self._progress is not None:
            self._progress(Share(1.0, "done", 0.0))

    def part(self) -> Callable[[float, float], ShareCallback | None]:
        """Makes what to tell of a part of the model in hand, from `start` to `stop` of it."""

        def part(start: float, stop: float) -> ShareCallback | None:
            if self._progress is None:
                return None
            return lambda share: self._tell(start + (stop - start) * share.fraction, share.text)

        return part

    def _tell(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if self._progress is None or (now - self._last < TELL_EVERY_S and fraction < 1.0):
            return
        self._last = now
        whole = min(1.0, (self._done + fraction) / max(1, self._models))
        elapsed = now - self._began
        self._progress(Share(whole, text, elapsed * (1 - whole) / whole if whole > 0 else None))
