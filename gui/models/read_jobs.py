"""Jobs that read model folders: which models are there, and what their headers say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal

from core import CancelToken
from gui.jobs import Job
from gui.models.finding import find_models
from gui.models.summary import ModelSummary, read_summary

__all__ = ["FindModelsJob", "ReadModelsJob"]

_BATCH_S = 0.1


class FindModelsJob(Job):
    """Finds the models in some places.

    Signals:
        found(object): a FoundModels, once.
    """

    found = Signal(object)

    def __init__(self, places: Sequence[Path], *, runs: bool, listed: Sequence[Path]) -> None:
        """Args:
        places, runs, listed: as for `find_models`.
        """
        super().__init__()
        self._places, self._runs, self._listed = tuple(places), runs, tuple(listed)

    def run(self) -> None:
        self.found.emit(find_models(self._places, runs=self._runs, listed=self._listed))


class ReadModelsJob(Job):
    """Reads the headers of model folders.

    Signals:
        read(object): a tuple of ModelSummary, about ten times a second; each folder comes once, in order.
    """

    read = Signal(object)

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self._folders = tuple(folders)
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        batch: list[ModelSummary] = []
        due = time.monotonic() + _BATCH_S
        for folder in self._folders:
            if self._token.cancelled:
                return
            batch.append(read_summary(folder))
            if time.monotonic() >= due:
                self.read.emit(tuple(batch))
                batch = []
                due = time.monotonic() + _BATCH_S
        if batch:
            self.read.emit(tuple(batch))
