"""Studies that `paramosaic study` wrote, opened in the window."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from core.errors import MergeError
from core.study.document import read_study
from core.study.values import Study
from gui.failure import Failure
from gui.jobs import Job, JobKeeper
from gui.pictures.figures import FIGURES
from gui.pictures.panel import PicturesPanel
from gui.pictures.scored import of_study
from gui.widgets.choosing import choose_study
from gui.widgets.places import Places

__all__ = ["Studies"]


class Studies(QObject):
    """Asks which study is to be opened, reads it beside the window, and shows its pictures.

    Signals:
        opened(object): the path of a study that is shown.
        failed(object): a Failure.
    """

    opened = Signal(object)
    failed = Signal(object)

    def __init__(self, pictures: PicturesPanel, places: Places, jobs: JobKeeper, window: QWidget) -> None:
        """Args:
        pictures: show it.
        places: where the dialog begins.
        jobs: keeps the job.
        window: the dialog is before it.
        """
        super().__init__(window)
        self._pictures, self._places, self._jobs, self._window = pictures, places, jobs, window
        self._reading: _ReadJob | None = None

    @Slot()
    def ask_what_to_open(self) -> None:
        path = choose_study(self._window, self._places.start("study"))
        if path is not None:
            self._places.remember("study", path.parent)
            self.open(path)

    def open(self, path: Path) -> None:
        """Show the study in a file or in a folder; one that is opened next takes its place."""
        self._reading = _ReadJob(path)
        self._reading.read.connect(self._on_read)
        self._reading.failed.connect(self._on_failed)
        self._jobs.start(self._reading)

    @Slot(object)
    def _on_read(self, study: Study) -> None:
        job = self._reading
        if job is not None and self.sender() is job:
            self._reading = None
            folder = job.path if job.path.is_dir() else job.path.parent
            self._pictures.show_study(study, folder.name)
            self.opened.emit(job.path)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.sender() is self._reading:
            self._reading = None
            self.failed.emit(failure)


class _ReadJob(Job):
    """Reads one study.

    Signals:
        read(object): a Study.
        failed(object): a Failure; exactly one of the two is emitted.
    """

    read = Signal(object)
    failed = Signal(object)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def run(self) -> None:
        try:
            study = read_study(self.path)
            self._check(study)
        except BaseException as error:
            self.failed.emit(Failure.of(error))
        else:
            self.read.emit(study)

    def _check(self, study: Study) -> None:
        """Raises MergeError where no pictures can be made of what is in it, as of words for numbers."""
        try:
            of_study(study)
            for figure in FIGURES:
                figure.curves(study)
        except (TypeError, ValueError, AttributeError) as error:
            raise MergeError(f"{self.path}: this study is damaged: {error}", path=self.path) from error
