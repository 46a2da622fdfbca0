"""The console script: the engine's commands, with the window at hand. Qt is imported when it is needed."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from core.cli import Desktop
from core.cli import main as run_command
from core.record import RunRecord

__all__ = ["desktop", "main"]


def main() -> int:
    """Run the command line of this process and return its exit status."""
    return run_command(desktop())


def desktop() -> Desktop:
    """The window as the commands know it."""
    return Desktop(has_display, _open_window, _write_pictures)


def has_display() -> bool:
    """Whether Qt can show a window here. Asked before Qt is, which ends the process where it cannot."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return _has_wayland() or (bool(os.environ.get("DISPLAY")) and _has_x11())


def _has_wayland() -> bool:
    name = os.environ.get("WAYLAND_DISPLAY")
    return bool(name) and Path(os.environ.get("XDG_RUNTIME_DIR", "/"), str(name)).exists()


def _has_x11() -> bool:
    """Whether the X server that DISPLAY names answers."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:  # then Qt lacks it too
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    refused = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not refused


def _open_window(demo: bool) -> int:
    from gui.app import run_window

    return run_window(demo)


def _write_pictures(record: RunRecord, folder: Path) -> list[Path]:
    from gui.export import write_pictures

    return write_pictures(record, folder)


if __name__ == "__main__":
    sys.exit(main())
