"""How large the window is, and that it is on a screen."""

from __future__ import annotations

from PySide6.QtCore import QMargins, QRect, QSize
from PySide6.QtWidgets import QWidget

from gui.widgets.theme import GRID

__all__ = ["available_size", "clamped", "first_size", "keep_on_screen"]

_FIRST = QSize(1280, 800)
_SHARE = 0.85
"""Of a screen that is larger than that."""

_FRAME = QMargins(GRID // 2, 4 * GRID, GRID // 2, GRID // 2)
"""What a window manager adds, before it has; more than most do."""


def available_size(window: QWidget) -> QSize:
    """What the screen of `window` has for windows."""
    return window.screen().availableSize()


def first_size(available: QSize) -> QSize:
    """The size of the window at a first start on a screen that has `available` for it."""
    return (
        QSize(int(_SHARE * available.width()), int(_SHARE * available.height()))
        .expandedTo(_FIRST)
        .boundedTo(available)
    )


def clamped(wanted: QRect, available: QRect, frame: QMargins) -> QRect:
    """`wanted`, a window without its frame, made smaller and moved as far as it has to be.

    Args:
        wanted, available: in pixels of the desktop.
        frame: what the window manager adds around it.
    """
    inside = available.marginsRemoved(frame)
    result = QRect(wanted.topLeft(), wanted.size().boundedTo(inside.size()))
    result.moveLeft(min(max(result.left(), inside.left()), inside.right() + 1 - result.width()))
    result.moveTop(min(max(result.top(), inside.top()), inside.bottom() + 1 - result.height()))
    return result


def keep_on_screen(window: QWidget) -> None:
    """Make `window` smaller, and move it, where a part of it or of its frame is off its screen."""
    if window.isMaximized() or window.isFullScreen():
        return
    handle = window.windowHandle()
    known = handle.frameMargins() if handle is not None and window.isVisible() else QMargins()
    place = clamped(
        window.geometry(), window.screen().availableGeometry(), _FRAME if known.isNull() else known
    )
    if place != window.geometry():
        window.setGeometry(place)
