"""A part of a form that scrolls where there is less room than it takes."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Slot
from PySide6.QtWidgets import QApplication, QFrame, QScrollArea, QWidget

from gui.widgets.theme import GRID

__all__ = ["Rest"]


class Rest(QScrollArea):
    """What scrolls; as high as what is in it, where there is room. What gets the focus by a key is in sight.

    Attributes:
        content: what is in it.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what is in it takes the focus
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.content = content
        self.setWidget(content)
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._on_focus_changed)

    def least_height(self) -> int:
        """Of two lines that are folded."""
        return 2 * (self.fontMetrics().height() + GRID) + GRID // 2

    def show_from_top(self, part: QWidget) -> None:
        """Scroll as little as shows all of `part`, or else to its beginning; but not past the focus."""
        if part.height() > self.viewport().height():
            self.verticalScrollBar().setValue(part.y())
        else:
            self.ensureWidgetVisible(part, 0, 0)
        focus = QApplication.focusWidget()
        if focus is not None and part.isAncestorOf(focus):
            self._show_whole(focus)

    @Slot(QWidget, QWidget)
    def _on_focus_changed(self, before: QWidget | None, now: QWidget | None) -> None:
        # A press must not move what is pressed.
        pressed = QApplication.mouseButtons() != Qt.MouseButton.NoButton
        if now is not None and self.content.isAncestorOf(now) and not pressed:
            self._show_whole(now)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """As Qt does it, but without its margins, which are higher than this may be."""
        return QWidget.focusNextPrevChild(self, forward)

    def _show_whole(self, widget: QWidget) -> None:
        """Scroll to `widget`; not where it is higher than there is room for, and partly in sight already."""
        shown = QRect(self.content.mapFrom(self.viewport(), QPoint()), self.viewport().size())
        place = QRect(widget.mapTo(self.content, QPoint()), widget.size())
        if place.height() <= shown.height():
            # Of fields with text, ensureWidgetVisible() shows the cursor, and not the whole.
            middle = place.center()
            self.ensureVisible(middle.x(), middle.y(), 0, (place.height() + GRID) // 2)
        elif not shown.intersects(place):
            self.verticalScrollBar().setValue(place.top())

    def sizeHint(self) -> QSize:
        content = self.content
        hint = content.sizeHint()
        width = self.viewport().width()
        return QSize(
            hint.width(), content.heightForWidth(width) if content.hasHeightForWidth() else hint.height()
        )

    def minimumSizeHint(self) -> QSize:
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.content.minimumSizeHint().width() + bar, self.least_height())
