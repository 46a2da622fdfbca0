"""The tabs of the pictures, all of which are seen in any window."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QStyle,
    QStyleOptionFocusRect,
    QStyleOptionTab,
    QStylePainter,
    QTabBar,
    QTabWidget,
    QToolButton,
    QWidget,
)

from gui.widgets.theme import GRID

__all__ = ["PictureTabs"]

_LEAST_BESIDE = GRID
"""Pixels beside the text of a tab, left and right of it together, where there is no more room."""


class PictureTabs(QTabWidget):
    """Every tab is seen. Where they need the room, what is beside them is in the menus only; where they need
    more, they have less room beside their texts, and then shorter texts."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = _Bar()
        self.setTabBar(self._bar)
        self._texts: list[tuple[str, str]] = []
        self._narrow = False

    def add(self, picture: QWidget, text: str, short: str) -> None:
        """A tab; `short` is its text in a narrow window."""
        self._texts.append((text, short))
        self.addTab(picture, text)

    def resizeEvent(self, event: QResizeEvent) -> None:
        room = event.size().width()
        less, narrow = self._bar.needed(room, self._texts)
        if (less, narrow) != (self._bar.less, self._narrow):
            self._bar.less, self._narrow = less, narrow
            for number, (text, short) in enumerate(self._texts):
                self.setTabText(number, short if narrow else text)
        corner = self.cornerWidget()
        if corner is not None:
            for button in corner.findChildren(QToolButton):
                needed = self._bar.sizeHint().width() + button.sizeHint().width() + GRID
                button.setVisible(not less and needed <= room)
        super().resizeEvent(event)  # which places all of them


class _Bar(QTabBar):
    """Tabs that are as narrow as they are told to be.

    Attributes:
        less: pixels by which each is narrower than it would be.
    """

    less = 0

    def __init__(self) -> None:
        super().__init__()
        self.setElideMode(Qt.TextElideMode.ElideNone)

    def needed(self, room: int, texts: Sequence[tuple[str, str]]) -> tuple[int, bool]:
        """What lets tabs with `texts`, long and short ones, be no wider than `room` together.

        Returns by how much each is narrower, and whether it takes the short texts.
        """
        if not texts:
            return 0, False
        beside = super().tabSizeHint(0).width() - self._width(self.tabText(0))
        for short in (False, True):
            words = sum(self._width(text[short]) for text in texts)
            left = (room - words) // len(texts)
            if left >= _LEAST_BESIDE or short:
                return max(0, beside - max(left, 0)), short
        raise AssertionError

    def tabSizeHint(self, index: int) -> QSize:
        size = super().tabSizeHint(index)
        return QSize(size.width() - self.less, size.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """The style cuts texts off that have less room beside them than it likes."""
        if not self.less:
            super().paintEvent(event)
            return
        painter = QStylePainter(self)
        others = [number for number in range(self.count()) if number != self.currentIndex()]
        for number in [*others, *([self.currentIndex()] if self.currentIndex() >= 0 else [])]:
            option = QStyleOptionTab()
            self.initStyleOption(option, number)
            painter.drawControl(QStyle.ControlElement.CE_TabBarTabShape, option)
            place = option.rect
            marks = self.style().styleHint(QStyle.StyleHint.SH_UnderlineShortcut, option, self)
            mnemonic = Qt.TextFlag.TextShowMnemonic if marks else Qt.TextFlag.TextHideMnemonic
            painter.drawItemText(
                place,
                Qt.AlignmentFlag.AlignCenter | mnemonic,
                option.palette,
                self.isTabEnabled(number),
                self.tabText(number),
                QPalette.ColorRole.WindowText,
            )
            if self.hasFocus() and number == self.currentIndex():
                focus = QStyleOptionFocusRect()
                focus.initFrom(self)
                focus.rect = place.adjusted(3, 4, -3, -3)
                painter.drawPrimitive(QStyle.PrimitiveElement.PE_FrameFocusRect, focus)

    def _width(self, text: str) -> int:
        return self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, text).width()
