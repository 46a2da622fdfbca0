"""What an evaluation has finished while it goes on: kept for another process, and told to whoever waits."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from core.errors import MergeError
from core.evaluate.scores import RowLosses
from core.evaluate.store.score_store import Begun, ScoreStore
from core.progress import Share, ShareCallback

__all__ = ["Kept", "Told", "joined"]

KEEP_EVERY_S = 10.0
"""Seconds of work that a process that is killed may lose."""

TELL_EVERY_S = 0.2

_log = logging.getLogger(__name__)


class Kept:
    """What is finished of one model, and written down every now and then."""

    def __init__(self, store: ScoreStore | None, key: str, begun: Begun | None) -> None:
        self._store, self._key = store, key
        self._parts: list[RowLosses] = [begun.losses] if begun and begun.losses is not None else []
        self.answers: dict[int, str] = dict(begun.answers or {}) if begun else {}
        self._before_s = begun.seconds if begun else 0.0
        self._began = self._last = time.monotonic()
        self._is_new = False

    @property
    def seconds(self) -> float:
        """Of all processes that worked at it."""
        return self._before_s + time.monotonic() - self._began

    def add_rows(self, rows: RowLosses) -> None:
        self._parts.append(rows)
        self._changed()

    def add_answers(self, answers: Mapping[int, str]) -> None:
        self.answers |= answers
        self._changed()

    def _changed(self) -> None:
        self._is_new = True
        if time.monotonic() - self._last >= KEEP_EVERY_S:
            self.keep()

    def keep(self) -> None:
        """Write it down. A disk that is full is no reason to stop the work."""
        if self._store is None or not self._is_new:
            return
        self._parts = [joined(self._parts)] if self._parts else []
        begun = Begun(self._parts[0] if self._parts else None, self.answers, self.seconds)
        try:
            self._store.put_begun(self._key, begun)
        except MergeError as error:
            _log.warning("what is finished is not kept: %s", error)
        self._last, self._is_new = time.monotonic(), False

    def forget(self) -> None:
        """Leave nothing that a later evaluation would go on from: what was added is not of this model."""
        if self._store is not None and self._parts:
            with contextlib.suppress(MergeError):
                self._store.put_begun(self._key, Begun(None, {}, 0.0))
        self._store = None


def joined(parts: Sequence[RowLosses]) -> RowLosses:
    """One value of several."""
    correct = None
    if all(part.correct is not None for part in parts):
        correct = np.concatenate([part.correct for part in parts if part.correct is not None])
    return RowLosses(
        rows=np.concatenate([part.rows for part in parts]),
        loss=np.concatenate([part.loss for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        text_bytes=np.concatenate([part.text_bytes for part in parts]),
        correct=correct,
    )


class Told:
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
