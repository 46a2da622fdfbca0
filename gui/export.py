"""The pictures of a run as PNG files, with or without a display."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QSize
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import QApplication

from core import RunRecord
from core.errors import OutputError
from gui.display import has_display
from gui.pictures.data import Pictures, pictures_of_record
from gui.theme import apply_theme, palette

__all__ = ["write_pictures"]

_SIZE = QSize(1120, 720)
_SCALE = 2.5
"""Together 2800×1800 pixels, with letters that can still be read when that is made smaller."""


def write_pictures(record: RunRecord, folder: str | Path) -> list[Path]:
    """Write both pictures of `record` into `folder`, which is made where it does not exist.

    Returns what was written: `zero-delta-map.png` and `resampling.png`, or nothing where the method
    looked at no deltas.

    Raises:
        OutputError: the folder cannot be written.
    """
    pictures = pictures_of_record(record)
    if pictures is None:
        return []
    application = _application()  # alive until the pictures are written
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}", path=folder) from error
    written = _write(pictures, folder)
    del application
    return written


def _write(pictures: Pictures, folder: Path) -> list[Path]:
    from gui.pictures.resampling import ResamplingPicture
    from gui.pictures.zero_delta_map import ZeroDeltaMapPicture

    written = []
    for kind, name in ((ZeroDeltaMapPicture, "zero-delta-map.png"), (ResamplingPicture, "resampling.png")):
        picture = kind()
        picture.setPalette(palette(dark=False))  # on paper and in model cards the ground is white
        picture.resize(_SIZE)
        picture.show_pictures(pictures)
        path = folder / name
        pixmap = QPixmap(_SIZE * _SCALE)
        pixmap.setDevicePixelRatio(_SCALE)
        # Axes learn how large their labels are when they are painted, and move on the next occasion.
        for _ in range(2):
            QCoreApplication.sendPostedEvents()
            picture.render(pixmap)
        saved = pixmap.save(str(path))
        picture.deleteLater()
        QCoreApplication.sendPostedEvents(picture, QEvent.Type.DeferredDelete)
        if not saved:
            raise OutputError(f"cannot write {path}", path=path)
        written.append(path)
    return written


def _application() -> QGuiApplication:
    """The running application, or one that needs no display."""
    running = QGuiApplication.instance()
    if isinstance(running, QGuiApplication):
        return running
    if not has_display():
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QApplication(sys.argv[:1])
    apply_theme(application)
    return application
