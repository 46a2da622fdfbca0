"""Whether Qt can show a window here. Found out without Qt, which ends the process where it cannot.

`packaging/system_libraries.py` reads the lists in here too, before there is a .venv: the standard library
only, and Python 3.8 or newer.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["ALWAYS", "X11", "has_display", "missing_libraries", "why_no_window"]

# The file that the dynamic linker looks for, and the Debian package that holds it. Newer releases call
# libglib2.0-0 libglib2.0-0t64; apt-get knows the old name.
ALWAYS = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}
"""What Qt takes from the system whatever it draws on."""

X11 = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""What its plugin for X11 takes besides."""


def has_display() -> bool:
    """Whether there is something to show a window on."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return _has_wayland() or (bool(os.environ.get("DISPLAY")) and _x11_answers())


def why_no_window() -> tuple[str, str] | None:
    """What is in the way of a window and what to do about it, each without a full stop; None for nothing."""
    if not has_display():
        return "there is no display", "on a machine without a screen, use `paramosaic merge RECIPE --out DIR`"
    if not sys.platform.startswith("linux"):
        return None
    lacking = missing_libraries({**ALWAYS, **X11} if _on_x11() else ALWAYS)
    if not lacking:
        return None
    packages = " ".join(sorted(set(lacking.values())))
    return (
        f"Qt cannot show a window: this system lacks {', '.join(sorted(lacking))}",
        f"on Debian or Ubuntu, `sudo apt-get install {packages}`; elsewhere, the packages with these files",
    )


def missing_libraries(wanted: dict[str, str]) -> dict[str, str]:
    """Return the part of `wanted` (library to package) that does not load."""
    return {library: package for library, package in wanted.items() if not _loads(library)}


def _loads(library: str) -> bool:
    """Tell whether the dynamic linker finds `library` and everything that it needs in turn."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _on_x11() -> bool:
    """Whether it is X11 that Qt will draw on."""
    chosen = os.environ.get("QT_QPA_PLATFORM")
    return chosen.split(":")[0] == "xcb" if chosen else not _has_wayland()


def _has_wayland() -> bool:
    name = os.environ.get("WAYLAND_DISPLAY")
    return bool(name) and Path(os.environ.get("XDG_RUNTIME_DIR", "/"), str(name)).exists()


def _x11_answers() -> bool:
    """Whether the X server that DISPLAY names answers, as far as that can be asked."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:  # Qt lacks it too, which is what is to be said
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    refused = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not refused
