"""Whether there is a display. Found out without Qt, which ends the process where there is none."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["has_display"]


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
