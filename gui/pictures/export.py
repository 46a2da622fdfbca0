"""Pictures and their numbers as files, and on the clipboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QBuffer, QCoreApplication, QEvent, QIODevice, QPoint, QRect, QSize
from PySide6.QtGui import QGuiApplication, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsWidget, QWidget

from core.errors import OutputError, os_error_text
from gui.pictures.picture import Picture
from gui.widgets.theme import is_dark, palette

__all__ = ["FORMATS", "copy_numbers", "copy_picture", "save_picture"]

FORMATS = {"png": "PNG picture", "svg": "SVG drawing", "csv": "CSV table"}
"""What a picture can be saved as."""

_LEAST_SIZE = QSize(640, 360)
"""Of a picture in a file; in a low window it is squeezed, and a file has room."""

_ROUNDS = 3
"""In which labels, axes and plots find their places."""

_SCALE = 2.5
"""Pixels of a file for one on the screen, so that letters can still be read when it is made smaller."""


def save_picture(picture: Picture, path: Path) -> list[Path]:
    """Write `picture` as it is on the screen but on white, or its numbers, as the suffix of `path` says.

    Returns what was written: numbers of several kinds go into files of their own.

    Raises:
        OutputError: a file cannot be written, or the suffix means nothing.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise OutputError(
            f"{path.name} is no kind of file for pictures", hint="end it in .png, .svg or .csv", path=path
        )
    return _WRITERS[kind](picture, path)


def copy_picture(picture: Picture) -> None:
    """Put `picture` on the clipboard."""
    QGuiApplication.clipboard().setPixmap(_pixmap(picture))


def copy_numbers(picture: Picture) -> None:
    """Put the numbers of `picture` on the clipboard, as spreadsheets take them; say so if there are none."""
    tables = picture.tables()
    if not tables:
        picture.read("There are no numbers to copy.")
        return
    QGuiApplication.clipboard().setText("\n".join(table.text("\t") for table in tables))


def _write_png(picture: Picture, path: Path) -> list[Path]:
    buffer = _buffer()
    _pixmap(picture).save(buffer, "PNG")
    return _write(path, buffer)


def _write_svg(picture: Picture, path: Path) -> list[Path]:
    buffer = _buffer()
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setTitle(picture.accessibleName())
    with _printed(picture) as printed:
        generator.setSize(printed.size())
        generator.setViewBox(QRect(QPoint(0, 0), printed.size()))
        painter = QPainter(generator)
        printed.render(painter, QPoint(0, 0))
        painter.end()
    return _write(path, buffer)


def _write_csv(picture: Picture, path: Path) -> list[Path]:
    written = []
    for number, table in enumerate(picture.tables()):
        rest = "" if number == 0 else _rest(picture, table.name)
        written += _write(path.with_name(f"{path.stem}{rest}{path.suffix}"), table.text().encode())
    return written


def _buffer() -> QBuffer:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    return buffer


def _write(path: Path, content: QBuffer | bytes) -> list[Path]:
    try:
        path.write_bytes(content if isinstance(content, bytes) else content.data().data())
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {os_error_text(error)}", hint="choose another folder", path=path
        ) from error
    return [path]


def _rest(picture: Picture, name: str) -> str:
    """What tells a second table from the first: "-histogram"."""
    return name.removeprefix(picture.file_name) or "-2"


def _pixmap(picture: Picture) -> QPixmap:
    with _printed(picture) as printed:
        pixmap = QPixmap(printed.size() * _SCALE)
        pixmap.setDevicePixelRatio(_SCALE)
        printed.render(pixmap)
    return pixmap


@contextmanager
def _printed(picture: Picture) -> Iterator[Picture]:
    """What to print of a picture, ready to be rendered: on a white ground, and not squeezed."""
    picture.draw_now()
    printed = picture.to_print()
    on_screen, dark = printed.size(), is_dark(printed.palette())
    if dark:
        _recolour(printed, palette(dark=False))
    printed.set_printing(True)
    size = on_screen.expandedTo(_LEAST_SIZE)
    for _ in range(_ROUNDS):
        printed.resize(size.width(), max(size.height(), printed.least_printed_height(size.width())))
        _settle(printed)
    try:
        yield printed
    finally:
        if dark:
            _recolour(printed, QPalette())
        printed.set_printing(False)
        for _ in range(_ROUNDS):
            _settle(printed)  # or the window would be made as high as what was printed
        printed.resize(on_screen)
        if printed is not picture:
            printed.deleteLater()


def _recolour(picture: Picture, colours: QPalette) -> None:
    picture.setPalette(colours)
    picture.recolour()  # by now its parts have the colours, too
    picture.refresh()
    picture.draw_now()


def _settle(picture: Picture) -> None:
    """Give each part its place, and leave the window alone, which would give the picture its room again.

    Axes learn how large their labels are when they are painted, and move on the next occasion.
    """
    from gui.pictures.plot import Plot

    picture.render(QPixmap(picture.size()))
    for part in (picture, *picture.findChildren(QWidget)):
        QCoreApplication.sendPostedEvents(part, QEvent.Type.LayoutRequest)
    for plot in picture.findChildren(Plot):
        for item in plot.scene().items():
            if isinstance(item, QGraphicsWidget):
                QCoreApplication.sendPostedEvents(item)


_WRITERS: dict[str, Callable[[Picture, Path], list[Path]]] = {
    "png": _write_png,
    "svg": _write_svg,
    "csv": _write_csv,
}
