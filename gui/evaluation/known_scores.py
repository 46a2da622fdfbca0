"""What is known of the models of an evaluation, looked for once nothing has changed for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core.evaluate.store.score_store import ScoreStore
from gui.evaluation.look_job import Known, LookJob
from gui.evaluation.request import Choices
from gui.failure import Failure
from gui.jobs import JobKeeper

__all__ = ["KnownScores"]

_PAUSE_MS = 150
"""A pause in changes, after which is looked what is known."""


class KnownScores(QObject):
    """Looks for the scores that are kept; the last look counts.

    Attributes:
        known: what was found; None for nothing yet.
        unusable: why the data cannot be used; None where they can.

    Signals:
        wanted(): nothing has changed for a moment, and it is to be looked.
        found(): `known` is another one.
        refused(): the data cannot be used.
    """

    wanted = Signal()
    found = Signal()
    refused = Signal()

    def __init__(self, store: ScoreStore, jobs: JobKeeper, parent: QObject | None = None) -> None:
        """Args:
        store: where scores are kept.
        jobs: keeps the job.
        """
        super().__init__(parent)
        self.known: Known | None = None
        self.unusable: Failure | None = None
        self._store, self._jobs = store, jobs
        self._job: LookJob | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.wanted)

    @property
    def waiting(self) -> bool:
        """Whether it will be looked in a moment."""
        return self._timer.isActive()

    def forget(self) -> None:
        """What was known is about something else."""
        self.known = self.unusable = None

    def look_soon(self) -> None:
        """Once nothing has changed for a moment; not any more once the window is closed."""
        if not self._jobs.stopped:
            self._timer.start()

    def look(
        self,
        data: Path | None,
        models: Sequence[Path],
        reference: Path | None,
        choices: Choices,
        compared: Sequence[Path] | None = None,
    ) -> None:
        """Look now.

        Args:
            data: the file; None to look for nothing.
            models: of which scores are looked for.
            reference: the one with which the others are compared; None for no comparison.
            choices: how they are evaluated.
        compared: those of `models` that take part in the comparison; None for all.
        """
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
            self._job = None
        if data is None:
            return
        job = LookJob(self._store, data, models, reference, choices, compared)
        self._job = job
        job.found.connect(self._on_found)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self._jobs.start(job)

    @Slot(object)
    def _on_found(self, known: Known) -> None:
        if self.sender() is not self._job:
            return
        before, self.unusable = self.known, None
        if not known.whole and before is not None:
            known = replace(known, comparisons=before.comparisons)  # until there are those of now
        self.known = known
        self.found.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.sender() is self._job:
            self.known, self.unusable = None, failure
            self.refused.emit()

    @Slot()
    def _on_ended(self) -> None:
        if self.sender() is self._job:
            self._job = None
