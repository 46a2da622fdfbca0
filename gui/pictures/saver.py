"""Saving pictures: one as it is shown, or all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from core import MergeError
from gui.failure import Failure
from gui.pictures.export import FORMATS, save_picture
from gui.pictures.headless import write_pictures
from gui.pictures.picture import Picture
from gui.pictures.shown import Shown
from gui.widgets.choosing import choose_folder, choose_picture_to_save
from gui.widgets.places import Places
from gui.words import plural

__all__ = ["PictureSaver"]


class PictureSaver(QObject):
    """Asks where pictures go, and writes them there.

    Signals:
        saved(str): what was written, in words.
        failed(object): a Failure.
    """

    saved = Signal(str)
    failed = Signal(object)

    def __init__(self, places: Places, window: QWidget) -> None:
        """Args:
        places: where the dialogs begin.
        window: they are before it.
        """
        super().__init__(window)
        self._places, self._window = places, window

    def ask_for_one(self, picture: Picture, folder: Path | None) -> None:
        """Save `picture` where the user wants it; at first a file in `folder` is suggested."""
        start = self._places.start("pictures", folder)
        path = choose_picture_to_save(self._window, start / f"{picture.file_name}.png")
        if path is None:
            return
        self._places.remember("pictures", path.parent)
        with self._telling():
            names = " and ".join(file.name for file in save_picture(picture, path))
            self.saved.emit(f"Saved {names or 'nothing: there are no numbers'}")

    def ask_for_all(self, shown: Shown, folder: Path | None) -> None:
        """Save every picture of `shown` where the user wants them; at first the search begins in `folder`."""
        start = self._places.start("pictures", folder)
        chosen = choose_folder(self._window, "Choose a folder for the pictures", start)
        if chosen is None:
            return
        self._places.remember("pictures", chosen)
        with self._telling():
            written = write_pictures(shown, chosen, FORMATS)
            self.saved.emit(f"Saved {plural(len(written), 'file')} to {chosen}")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Show that the window is busy, and tell what goes wrong."""
        QGuiApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            yield
        except MergeError as error:
            self.failed.emit(Failure.of(error))
        finally:
            QGuiApplication.restoreOverrideCursor()
