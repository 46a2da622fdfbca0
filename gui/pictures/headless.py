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
from core.study.values import Study
from gui.display import has_display
from gui.pictures.picture import Picture
from gui.pictures.shown import Shown
from gui.widgets.theme import apply_theme, palette

__all__ = ["write_pictures", "write_study_pictures"]

_SIZE = QSize(1120, 720)
"""Files have 2800×1800 pixels, with letters that can still be read when that is made smaller."""

_SIZE_OF_A_STUDY = QSize(900, 640)
"""In pages of 900 pixels their letters are as large as on the screen."""


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
    folder = _made(folder)
    shown = findings if isinstance(findings, Shown) else Shown(findings)
    written = _write(shown, folder, list(suffixes))
    del application
    return written


def write_study_pictures(study: Study, folder: str | Path, suffixes: Iterable[str] = ("png",)) -> list[Path]:
    """Write the pictures of a study into `folder`, which is made where it does not exist.

    Args:
        study: what was found.
        folder: where the files go: `scores.png`; `scores-near-zero.png` where some rows lie so far away that
            others can hardly be told from zero; `positions.png`, `anchor.png` and `steps.png` (Figures 1, 3
            and 4 of arXiv:2410.03743), `positions-differences.png` and `anchor-differences.png` where the
            study has their curves.
        suffixes: of gui.pictures.export.FORMATS.

    Returns what was written.

    Raises:
        OutputError: the folder cannot be written.
    """
    application = _application()  # alive until the pictures are written
    written = _write_study(study, _made(folder), list(suffixes))
    del application
    return written


def _made(folder: str | Path) -> Path:
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {os_error_text(error)}", path=folder) from error
    return folder


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
        _on_paper(picture, _SIZE)
        picture.show_numbers(shown)
        picture.draw_now()
        if not picture.sentence:
            for suffix in suffixes:
                written += save_picture(picture, folder / f"{picture.file_name}.{suffix}")
        _delete(picture)
    return written


def _write_study(study: Study, folder: Path, suffixes: list[str]) -> list[Path]:
    from gui.pictures.export import save_picture
    from gui.pictures.figures import FIGURES
    from gui.pictures.named import Named
    from gui.pictures.scores import ScoresPicture
    from gui.pictures.selection import Selection
    from gui.pictures.training import TrainingPicture

    selection = Selection()
    named = Named(selection)
    written: list[Path] = []

    def save(picture: Picture, name: str, kinds: Iterable[str]) -> None:
        picture.draw_now()
        if not picture.sentence:
            for suffix in kinds:
                written.extend(save_picture(picture, folder / f"{name}.{suffix}"))

    scores = ScoresPicture(selection, named)
    _on_paper(scores, _SIZE_OF_A_STUDY)
    scores.show_study(study)
    scores.show_scale(whole=True)
    save(scores, scores.file_name, suffixes)
    if scores.has_far:
        scores.show_scale(whole=False)
        drawn = [suffix for suffix in suffixes if suffix != "csv"]  # the numbers are the same
        save(scores, f"{scores.file_name}-near-zero", drawn)
    _delete(scores)
    training = TrainingPicture(selection, named)
    _on_paper(training, _SIZE_OF_A_STUDY)
    training.show_study(study)
    for figure in FIGURES:
        if training.choose(figure.file_name):
            save(training, figure.file_name, suffixes)
    _delete(training)
    return written


def _on_paper(picture: Picture, size: QSize) -> None:
    picture.setPalette(palette(dark=False))  # on paper and in model cards the ground is white
    picture.resize(size)


def _delete(picture: Picture) -> None:
    picture.deleteLater()
    QCoreApplication.sendPostedEvents(picture, QEvent.Type.DeferredDelete)


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
