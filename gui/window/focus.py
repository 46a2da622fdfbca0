"""Where the focus goes in the window, how one jumps from part to part, and that it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QRegion
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QApplication,
    QDockWidget,
    QMainWindow,
    QPushButton,
    QWidget,
)
from shiboken6 import isValid

from gui.widgets.fields import show_focus
from gui.widgets.theme import GRID

__all__ = ["FocusKeeper", "FocusMarks", "Regions", "is_covered", "keep_together"]

_LINE = 2
"""Pixels of the frame around what has the focus."""


def is_covered(widget: QWidget | None) -> bool:
    """Whether `widget` is in a dock that is behind the front tab of some, which Qt counts as visible."""
    while widget is not None:
        if isinstance(widget, QDockWidget):
            return not widget.isFloating() and widget.visibleRegion().isEmpty()
        widget = widget.parentWidget()
    return False


class Regions:
    """The parts of a window between which one key jumps, there and back.

    Args:
        regions: for each of them the widgets that make it up, in order.
    """

    def __init__(self, regions: Sequence[Sequence[QWidget]]) -> None:
        self._regions = regions
        self._left_at: dict[int, QWidget] = {}

    def go(self, *, forward: bool) -> None:
        """Put the focus into the next region that is in sight: where it was there last, or else at its
        beginning."""
        focus = QApplication.focusWidget()
        here = self._number_of(focus)
        step = 1 if forward else -1
        if here is None or focus is None:
            here = -1 if forward else len(self._regions)
        else:
            self._left_at[here] = focus
        for far in range(1, len(self._regions) + 1):
            number = (here + step * far) % len(self._regions)
            stops = [stop for part in self._regions[number] for stop in _stops(part)]
            if stops:
                last = self._left_at.get(number)
                (last if last in stops else stops[0]).setFocus(Qt.FocusReason.TabFocusReason)
                return

    def _number_of(self, widget: QWidget | None) -> int | None:
        for number, region in enumerate(self._regions):
            if widget is not None and any(part is widget or part.isAncestorOf(widget) for part in region):
                return number
        return None


def keep_together(*parts: QWidget) -> None:
    """Have Tab go through `parts` in this order, also through what has come into them late."""
    stops = list(dict.fromkeys(stop for part in parts for stop in _takers(part)))
    for before, after in pairwise(stops):
        QWidget.setTabOrder(before, after)


def _takers(part: QWidget) -> list[QWidget]:
    """What takes the focus from Tab in `part`, in sight or not."""
    return [
        widget
        for widget in (part, *part.findChildren(QWidget))
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and widget.focusProxy() is None
        and widget.window() is part.window()  # the menus of plots have fields, too
    ]


def _stops(part: QWidget) -> list[QWidget]:
    """What Tab goes to in `part` as it is now, in its order, which need not be that of the children."""
    takers = set(_takers(part))
    stops: list[QWidget] = []
    start = part.window()
    at: QWidget | None = start
    while at is not None:
        if at in takers and at.isVisible() and at.isEnabled() and not is_covered(at):
            stops.append(at)
        at = _next(at)
        if at is start:
            break
    return stops


def _next(widget: QWidget) -> QWidget | None:
    """What is after `widget` in the order of Tab, in sight or not."""
    after = widget.nextInFocusChain()
    # PySide takes it for a child of `widget` from now on: once that is deleted, the window's menus and tabs
    # would be as good as gone for Python. Qt does nothing where the parent stays the same; PySide notes it.
    if after is not None:
        after.setParent(after.parentWidget())
    return after


class FocusKeeper:
    """Gives the focus back to a field that was locked for a while. It waits at `waiting`, and goes back from
    there or from where `waiting` passed it on to, but from nowhere else: the user may have gone on."""

    def __init__(self, waiting: QWidget, passed_on: QWidget) -> None:
        self._ends = (None, waiting, passed_on)
        self._waiting = waiting
        self._kept: QWidget | None = None

    def locked(self, focus: QWidget | None) -> None:
        """`focus`, which had it, may have been locked."""
        if self._kept is None and focus is not None and not focus.isEnabled():
            self._kept = focus
            show_focus(self._waiting)

    def unlocked(self) -> None:
        """What was locked is so no more."""
        kept, self._kept = self._kept, None
        if (
            kept is not None
            and isValid(kept)
            and kept.isVisible()
            and QApplication.focusWidget() in self._ends
        ):
            show_focus(kept)


class FocusMarks(QObject):
    """Draws a frame where the focus is, for what shows it by none itself: lists, tables and pictures; and in
    the button in the accent colour, the colour of whose own is too near."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._frame: _Frame | None = None
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._on_focus_changed)

    @Slot(QWidget, QWidget)
    def _on_focus_changed(self, before: QWidget | None, now: QWidget | None) -> None:
        if self._frame is not None:
            if now is self._frame.marked:
                return
            self._frame.deleteLater()
            self._frame.hide()
            self._frame = None
        if now is None or not self._window.isAncestorOf(now):
            return
        if isinstance(now, QAbstractScrollArea):
            self._frame = _Frame(now, QPalette.ColorRole.Accent)
        elif isinstance(now, QPushButton) and now.testAttribute(Qt.WidgetAttribute.WA_SetPalette):
            self._frame = _Frame(now, QPalette.ColorRole.ButtonText, inside=GRID // 2)


class _Frame(QWidget):
    """A line along the edges of `marked`, as many pixels `inside` of them, in a colour of its palette."""

    def __init__(self, marked: QWidget, role: QPalette.ColorRole, inside: int = 0) -> None:
        super().__init__(marked)
        self.marked = marked
        self._role, self._inside = role, inside
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        marked.installEventFilter(self)
        self._fit()
        self.raise_()
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._fit()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), self.palette().color(self._role))

    def _fit(self) -> None:
        edge = self._inside
        self.setGeometry(self.marked.rect().adjusted(edge, edge, -edge, -edge))
        inside = self.rect().adjusted(_LINE, _LINE, -_LINE, -_LINE)
        self.setMask(QRegion(self.rect()).subtracted(QRegion(inside)))
