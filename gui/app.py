"""The application around the window."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from types import TracebackType

from PySide6.QtCore import QCoreApplication, QSocketNotifier, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from core.runs.history import History, default_history_folder
from gui.failure import Failure
from gui.settings import Settings
from gui.widgets.messages import DetailsDialog
from gui.widgets.theme_choice import ThemeChoice
from gui.window.window import MainWindow
from resources import ICONS_FOLDER

__all__ = ["make_application", "make_window", "run_window"]

_log = logging.getLogger(__name__)

_INTERRUPTED = 130
"""What a shell says of a command that a signal ended."""

_ICON = ICONS_FOLDER / "paramosaic.svg"


def run_window(demo: bool) -> int:
    """Show the window, which can be shown, and return when it is closed; 130 after a signal.

    Args:
        demo: whether to begin with the demo models.
    """
    application = make_application()
    window = make_window()
    if demo:
        window.recipes.open_demo()
    window.show()
    _show_faults(window)
    interrupts = _Interrupts(window)
    QTimer.singleShot(0, window.warm_up)  # once the window is shown
    try:
        status = application.exec()
    finally:
        interrupts.stop()
    return _INTERRUPTED if interrupts.came else status


def make_application() -> QApplication:
    """The application, with its name, icon and theme."""
    QCoreApplication.setApplicationName("Paramosaic")
    QCoreApplication.setOrganizationName("Paramosaic")
    running = QApplication.instance()
    application = running if isinstance(running, QApplication) else QApplication(sys.argv[:1])
    application.setDesktopFileName("paramosaic")
    application.setWindowIcon(QIcon(str(_ICON)))
    ThemeChoice.of(application).choose("")
    return application


def make_window() -> MainWindow:
    """A window with the user's settings and history."""
    settings = Settings()
    if settings.theme:
        ThemeChoice.of(QApplication.instance()).choose(settings.theme)  # before anything is shown
    return MainWindow(settings, History(default_history_folder()))


def _show_faults(window: MainWindow) -> None:
    """Show exceptions that were not caught, besides printing them."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, trace)
        if issubclass(kind, KeyboardInterrupt):
            return
        _log.error("not caught", exc_info=(kind, error, trace))
        if window.isVisible():
            DetailsDialog(Failure.of(error), window).open()

    sys.excepthook = show


class _Interrupts:
    """Closes the window on SIGINT, SIGTERM and SIGHUP, which arrive as a byte that wakes Qt's event loop.

    Attributes:
        came: whether one has arrived.
    """

    _NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self, window: MainWindow) -> None:
        self.came = False
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(self._on_woken)
        self._window = window
        self._old_descriptor = signal.set_wakeup_fd(self._writer.fileno())
        self._old_handlers = {
            number: signal.signal(number, lambda *_: None)
            for number in (getattr(signal, name) for name in self._NAMES if hasattr(signal, name))
            if signal.getsignal(number) is not signal.SIG_IGN  # as nohup does: it stays ignored
        }

    def stop(self) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_descriptor)
        self._notifier.setEnabled(False)
        self._reader.close()
        self._writer.close()

    def _on_woken(self) -> None:
        try:
            received = self._reader.recv(64)
        except BlockingIOError:
            return
        if any(number in received for number in self._old_handlers):
            self.came = True
            self._window.close_at_once()
