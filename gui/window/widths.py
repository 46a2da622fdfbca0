"""How wide the docks at the sides are, whatever becomes of the window."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow

__all__ = ["Widths"]

_SIDES = (Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea)


class Widths(QObject):
    """Gives `docks` back what a narrower window took from them, as soon as it is wider again: Qt would leave
    them narrow."""

    def __init__(self, window: QMainWindow, docks: Sequence[QDockWidget]) -> None:
        super().__init__(window)
        self._window, self._docks = window, docks
        self._wanted: dict[QDockWidget, int] = {}
        self._width = window.width()
        for watched in (window, *docks):
            watched.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            if watched is self._window:
                self._give_back()  # its layout has heard of it before
            elif isinstance(watched, QDockWidget) and self._window.width() == self._width:
                self._wanted[watched] = watched.width()  # by the user, or at the beginning
        return False

    def _give_back(self) -> None:
        window, layout = self._window, self._window.layout()
        assert layout is not None
        if window.width() > self._width:
            narrow = [
                dock
                for dock in self._docks
                if dock.width() < self._wanted.get(dock, 0)
                and not (dock.isHidden() or dock.isFloating())
                and window.dockWidgetArea(dock) in _SIDES
            ]
            if narrow:
                window.resizeDocks(narrow, [self._wanted[dock] for dock in narrow], Qt.Orientation.Horizontal)
                layout.activate()  # now, while what the docks get is not counted as what they were made
        self._width = window.width()
