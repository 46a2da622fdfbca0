"""Showing a folder in the system's file manager, or saying why that is not possible."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic

from PySide6.QtCore import QObject, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices

from core.errors import os_error_text
from gui.failure import Failure

__all__ = ["FolderOpener"]

_PROGRAMS = (("xdg-open",), ("gio", "open"))
_POLL_MS = 100
_WATCHED_S = 10.0
"""What has not failed by then has a window of its own."""


class FolderOpener(QObject):
    """Takes what QDesktopServices is to open of this machine, from every panel.

    Qt says that a folder was opened as soon as a program was started for it, and nothing where that program
    finds no file manager.

    Signals:
        failed(object): a Failure.
    """

    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._begun_s = 0.0
        self._poll = QTimer(self)
        self._poll.setInterval(_POLL_MS)
        self._poll.timeout.connect(self._on_poll)
        self._take()

    def _take(self) -> None:
        """Be asked from now on; the name is a str, whatever PySide's stub says."""
        QDesktopServices.setUrlHandler("file", self, "open")  # type: ignore[arg-type]

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        """Show the folder that `url` names."""
        folder = self._folder = Path(url.toLocalFile())
        try:
            there = folder.is_dir()
        except OSError:
            there = False
        if not there:
            self.failed.emit(Failure(f"{folder} is not there any more.", "It was moved, renamed or removed."))
        elif sys.platform.startswith("linux"):
            self._start(folder)
        else:
            QDesktopServices.unsetUrlHandler("file")
            opened = QDesktopServices.openUrl(url)
            self._take()
            if not opened:
                self._fail()

    def _start(self, folder: Path) -> None:
        command = next((words for words in _PROGRAMS if shutil.which(words[0])), None)
        if command is None:
            self._fail()
            return
        nowhere = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(
                [*command, str(folder)], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
            )
        except OSError as error:
            self.failed.emit(Failure(f"{folder} cannot be shown: {os_error_text(error)}."))
            return
        self._begun_s = monotonic()
        self._poll.start()

    @Slot()
    def _on_poll(self) -> None:
        status = self._process.poll() if self._process is not None else 0
        if status is None and monotonic() - self._begun_s < _WATCHED_S:
            return
        self._poll.stop()
        if status:
            self._fail()

    def _fail(self) -> None:
        hint = "Install a file manager, or copy the path from here."
        self.failed.emit(Failure(f"There is no program here that shows {self._folder}.", hint))
