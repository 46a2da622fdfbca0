"""The pictures of a run as files, with or without a display."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QSize
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from core.deltas.findings import Findings
from core.errors import OutputError, os_error_text
from gui.display import has_display
from gui.pictures.shown import Shown
from gui.widgets.theme import apply_theme, palette

__all__ = ["write_pictures"]

_SIZE = QSize(1120, 720)
"""Files have 2800×1800 pixels, with letters that can still be read when that is made smaller."""


def write_pictures(
    findings: Findings | Shown, folder: str | Path, suffixes: Iterable[str] = ("png",)
) -> list[Path]:
    """Write every picture of which something is known into `folder`, which is made where it does not exist.

    Args:
        findings: what is known, or what is shown of it; below each picture it says where that comes from.
        folder: where the files go: `zero-deltas.png`, `resampling.png`, …
        suffixes: of gui.pictures.export.FORMATS.

    Returns what was written.

    Raises:
        OutputError: the folder cannot be written.
    """
    application = _application()  # alive until the pictures are written
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {os_error_text(error)}", path=folder) from error
    shown = findings if isinstance(findings, Shown) else Shown(findings)
    written = _write(shown, folder, list(suffixes))
    del application
    return written


def _write(shown: Shown, folder: Path, suffixes: list[str]) -> list[Path]:
    from gui.pictures.agreement import AgreementPicture
    from gui.pictures.export import save_picture
    from gui.pictures.magnitude import MagnitudePicture
    from gui.pictures.provenance import ProvenancePicture
    from gui.pictures.resampling import ResamplingPicture
    from gui.pictures.selection import Selection
    from gui.pictures.zero_deltas import ZeroDeltasPicture

    selection = Selection()
    written = []
    for kind in (
        ZeroDeltasPicture,
        ResamplingPicture,
        ProvenancePicture,
        AgreementPicture,
        MagnitudePicture,
    ):
        picture = kind(selection)
        picture.setPalette(palette(dark=False))  # on paper and in model cards the ground is white
        picture.resize(_SIZE)
        picture.show_numbers(shown)
        picture.draw_now()
        if not picture.sentence:
            for suffix in suffixes:
                written += save_picture(picture, folder / f"{picture.file_name}.{suffix}")
        picture.deleteLater()
        QCoreApplication.sendPostedEvents(picture, QEvent.Type.DeferredDelete)
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
