"""Reading and changing the history of runs, in a job."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, Leftover, MergeError, leftover_of
from core.evaluate.store.score_store import ScoreStore
from core.runs.history import History
from gui.failure import Failure
from gui.history.table_model import HistoryRow, RunScore
from gui.jobs import Job

__all__ = ["HistoryJob", "HistoryRows"]

_BROKEN_OFF = ("cancelled", "failed", "interrupted")


@dataclass(frozen=True)
class HistoryRows:
    """What the history holds.

    Attributes:
        rows: newest first.
        damaged: files that are no entries; they are left alone.
        newer: runs that a newer version wrote down.
        failure: why a change could not be made, or nothing could be read; None where all went well.
    """

    rows: tuple[HistoryRow, ...] = ()
    damaged: int = 0
    newer: int = 0
    failure: Failure | None = None


class HistoryJob(Job):
    """Makes changes, reads everything, and looks which output folders are still there, and what was left.

    Signals:
        loaded(object): the HistoryRows; once, unless it is cancelled.
    """

    loaded = Signal(object)

    def __init__(
        self, history: History, changes: deque[Callable[[], None]], scores: ScoreStore | None = None
    ) -> None:
        """Args:
        history: what is read.
        changes: made first, in order, and taken out; more may come in while the job runs.
        scores: what evaluations have found; None for nothing.
        """
        super().__init__()
        self._scores = scores
        self._history = history
        self._changes = changes
        self._token = CancelToken()

    def cancel(self) -> None:
        """Make the changes that were asked for, and stop."""
        self._token.cancel()

    def run(self) -> None:
        failure = None
        rows = HistoryRows()
        while True:
            try:
                self._make_changes()
            except Exception as error:
                failure = Failure.of(error)
            try:
                rows = self._read()
            except Cancelled:
                if not self._changes:
                    return
            except Exception as error:
                failure = Failure.of(error)
            if not self._changes:
                break
        self.loaded.emit(replace(rows, failure=failure))

    def _make_changes(self) -> None:
        while self._changes:
            self._changes.popleft()()

    def _read(self) -> HistoryRows:
        self._token.raise_if_cancelled()
        contents = self._history.read()
        rows = []
        left: dict[Path, Leftover | None] = {}
        written: set[Path] = set()
        newest = {} if self._scores is None else _newest_scores(self._scores)
        for entry in contents.entries:
            self._token.raise_if_cancelled()  # a folder on a disk that does not answer can take long
            done = entry.status == "done"
            replaced = done and entry.out in written
            gone = replaced or (done and not os.path.lexists(entry.out))
            if done:
                written.add(entry.out)
            if entry.status in _BROKEN_OFF and entry.out not in left:
                left[entry.out] = _left_in(entry.out)
            kept = left.get(entry.out) if entry.status in _BROKEN_OFF else None
            score = self._score_of(entry.out, newest) if done and not gone else None
            rows.append(HistoryRow(entry, gone, kept, replaced, score))
        return HistoryRows(tuple(rows), contents.damaged, contents.newer)

    def _score_of(self, out: Path, newest: Mapping[str, RunScore]) -> RunScore | None:
        """What is known of an output as its files are now."""
        if not newest or self._scores is None:
            return None
        digest = self._scores.digest_of(out)
        return None if digest is None else newest.get(digest)


def _newest_scores(store: ScoreStore) -> dict[str, RunScore]:
    """What the newest evaluation of each model has found, by the model's digest."""
    found: dict[str, RunScore] = {}
    for known in store.all():
        scores = known.scores
        if isfinite(scores.mean_loss):
            score = RunScore(scores.mean_loss, scores.accuracy, len(scores.loss), known.data.name)
            found.setdefault(scores.model_digest, score)
    return found


def _left_in(out: Path) -> Leftover | None:
    """What can be gone on with of a merge into `out`; None for nothing."""
    try:
        left = leftover_of(out)
    except MergeError:
        return None
    return left if left is not None and not left.runs else None
