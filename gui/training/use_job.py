"""Reading, in a job, which sub-models a training has made so far."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal

from gui.document.made_models import made_models
from gui.failure import Failure
from gui.jobs import Job

__all__ = ["UseJob"]


class UseJob(Job):
    """Reads a folder of runs.

    Signals:
        succeeded(object): its MadeModels.
        failed(object): a Failure: it has no two models that belong together, or cannot be read.
    """

    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def run(self) -> None:
        try:
            made = made_models(self._folder)
        except Exception as error:
            self.failed.emit(Failure.of(error))
        else:
            self.succeeded.emit(made)
