"""What an evaluation has finished while it goes on, kept for another process."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np

from core.errors import MergeError
from core.evaluate.scores import RowLosses
from core.evaluate.store.score_store import PartialScores, ScoreStore

__all__ = ["PartialScoresWriter", "joined"]

KEEP_EVERY_S = 10.0
"""Seconds of work that a process that is killed may lose."""

_log = logging.getLogger(__name__)


class PartialScoresWriter:
    """What is finished of one model, and written down every now and then."""

    def __init__(self, store: ScoreStore | None, key: str, begun: PartialScores | None) -> None:
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
        begun = PartialScores(self._parts[0] if self._parts else None, self.answers, self.seconds)
        try:
            self._store.put_partial(self._key, begun)
        except MergeError as error:
            _log.warning("what is finished is not kept: %s", error)
        self._last, self._is_new = time.monotonic(), False

    def forget(self) -> None:
        """Leave nothing that a later evaluation would go on from: what was added is not of this model."""
        if self._store is not None and self._parts:
            with contextlib.suppress(MergeError):
                self._store.put_partial(self._key, PartialScores(None, {}, 0.0))
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
