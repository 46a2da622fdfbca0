"""Messages: inside the window where they can be, a dialog only for faults of the program."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QRect, Qt, Signal, Slot
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.text import message_text, one_line
from gui.failure import Failure
from gui.widgets.plain import PlainLabel, plain_lines, tool_tip
from gui.widgets.theme import ERROR, GRID, SUCCESS, accent_of

__all__ = ["DetailsDialog", "ElidedLabel", "MessagePanel", "without_icons"]


_ACTIONS_SHARE = 0.4
"""How much of a message's width its buttons may take."""

_LEFT = 5 * GRID + GRID // 2
"""Pixels that stay of what a message takes its room from."""

_LEAST = 5 * GRID
"""Pixels that it takes in any case."""

_STEPS = 3
"""From saying all to saying one line."""


class MessagePanel(QFrame):
    """A message with a hint and perhaps buttons, marked by a coloured edge; hidden while it has none.

    Args:
        closable: whether it can be dismissed.
        takes_from: the widget above it, which gives it the room that it needs, so that nothing else moves;
            None where the layout around it gives it.

    Signals:
        action_requested(str): the button with these words was pressed.
    """

    action_requested = Signal(str)

    def __init__(
        self, parent: QWidget | None = None, *, closable: bool = True, takes_from: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._takes_from = takes_from
        self._least = self._left = -1
        if takes_from is not None:
            takes_from.installEventFilter(self)
            self.setMinimumWidth(1)  # its buttons rather have narrow edges than make all around it wider
        self._colour = ERROR
        self._words = self._more = ""
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self._message = _text_label()
        self._hint = _text_label()
        self._hint.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._actions = QHBoxLayout()
        self._actions.setSpacing(GRID)
        self._actions.addStretch(1)
        self._buttons: list[QPushButton] = []
        self._close = QToolButton()
        self._close.setText("×")
        self._close.setAutoRaise(True)
        self._close.setAccessibleName("Dismiss the message")
        self._close.setToolTip("Dismiss")
        self._close.clicked.connect(self.clear)
        self._close.setVisible(closable)
        texts = QVBoxLayout()
        texts.setSpacing(GRID // 2)
        texts.addWidget(self._message)
        texts.addWidget(self._hint)
        self._content = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._content.setSpacing(GRID)
        self._content.addLayout(texts, 1)
        self._content.addLayout(self._actions)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID, GRID, GRID)
        layout.setSpacing(GRID)
        layout.addLayout(self._content, 1)
        layout.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    @property
    def text(self) -> str:
        """The message and the hint; "" while there is none."""
        return "" if self.isHidden() else f"{self._words} {self._more}".strip()

    def show_failure(self, failure: Failure, actions: Sequence[str] = ()) -> None:
        self._show(ERROR, failure.message, failure.hint, actions)

    def show_success(self, message: str, details: str | None = None, actions: Sequence[str] = ()) -> None:
        self._show(SUCCESS, message, details, actions)

    def show_note(self, message: str, details: str | None = None, actions: Sequence[str] = ()) -> None:
        self._show(accent_of(self.palette()), message, details, actions)

    def height_of_success(self, message: str, details: str, actions: Sequence[str], width: int) -> int:
        """The pixels that `show_success` of the same would take; nothing is shown."""
        self._fill(SUCCESS, message, details, actions)
        self._place_actions(width)
        self._leave_out(0)
        return self._height_for(width)

    def clear(self) -> None:
        self.hide()
        self._take(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_actions(self.width())
        self._reserve()

    def _reserve(self) -> None:
        above, around = self._takes_from, self.parentWidget()
        layout = around.layout() if around is not None else None
        if above is None or around is None or layout is None or self.isHidden():
            return
        layout.invalidate()
        own = self.minimumHeight() or self.minimumSizeHint().height()
        others = layout.totalMinimumSize().height() - own - above.minimumHeight()
        room = max(around.height() - others - _LEFT, _LEAST)
        for step in range(_STEPS):
            self._leave_out(step)
            if (needed := self._height_for(self.width())) <= room:
                break
        height = min(needed, room)
        if height != self.minimumHeight():
            self.setFixedHeight(height)
        self._take(height + layout.spacing())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and not self.isHidden():
            self._reserve()
        return False

    def _take(self, height: int) -> None:
        """Let the widget above be smaller by `height` pixels than it may be without this."""
        above = self._takes_from
        if above is None:
            return
        if above.minimumHeight() != self._left:  # it was set since, as for another font
            self._least = above.minimumHeight()
        self._left = max(self._least - height, 1) if height else self._least
        above.setMinimumHeight(self._left)

    def _leave_out(self, step: int) -> None:
        """Say less where there is no room for all, which the tool tip says: no hint from step 1 on, and
        closer together; one line of the message in the last."""
        layout = self.layout()
        assert layout is not None
        edge = GRID // 2 if step else GRID
        layout.setContentsMargins(2 * GRID, edge, GRID, edge)
        self._content.setSpacing(edge)
        self._hint.setVisible(bool(self._more) and not step)
        words = self._words
        if step == _STEPS - 1:
            width = self.width() - 3 * GRID - (0 if self._close.isHidden() else self._close.width() + GRID)
            if self._content.direction() == QBoxLayout.Direction.LeftToRight:
                width -= self._actions.sizeHint().width() + edge
            words = self.fontMetrics().elidedText(one_line(words), Qt.TextElideMode.ElideRight, width)
        if self._message.text() != words:
            self._message.setText(words)

    def _height_for(self, width: int) -> int:
        """What the text and the buttons take; none is counted for one that wraps no line."""
        layout = self.layout()
        assert layout is not None
        layout.invalidate()
        layout.activate()  # or else the layouts in it go by what was said before
        return max(layout.totalHeightForWidth(width), layout.totalMinimumSize().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(QRect(0, 0, GRID // 2, self.height()), self._colour)

    def _show(self, colour: QColor, message: str, hint: str | None, actions: Sequence[str]) -> None:
        self._fill(colour, message, hint, actions)
        self.show()
        self._reserve()
        self.update()

    def _fill(self, colour: QColor, message: str, hint: str | None, actions: Sequence[str]) -> None:
        self._colour = colour
        message, hint = plain_lines(message), plain_lines(hint or "")
        self._words, self._more = message, hint
        self._message.setText(message)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self._offer(actions)
        self.setAccessibleName(f"{message} {hint}")
        self.setToolTip(tool_tip(f"{message}\n{hint}".strip()) if self._takes_from is not None else "")

    def _offer(self, actions: Sequence[str]) -> None:
        for button in self._buttons:
            button.hide()
            button.deleteLater()  # it may be the one whose click led here
        self._content.setDirection(
            QBoxLayout.Direction.TopToBottom
        )  # or else it would be too wide for a moment
        self._buttons = [QPushButton(words) for words in actions]
        for button in self._buttons:
            button.clicked.connect(self._on_clicked)
            self._actions.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
            button.show()  # by itself it would only later, and take no room until then
        above = self.parentWidget()
        hidden = self.isHidden() and above is not None  # its own width does not matter then
        self._place_actions(above.width() if hidden and above is not None else self.width())

    def _place_actions(self, width: int) -> None:
        """Beside the text, or below it where they would leave it too little room."""
        beside = self._actions.sizeHint().width() < _ACTIONS_SHARE * width
        directions = QBoxLayout.Direction
        self._content.setDirection(directions.LeftToRight if beside else directions.TopToBottom)

    @Slot()
    def _on_clicked(self) -> None:
        button = self.sender()
        assert isinstance(button, QPushButton)
        self.action_requested.emit(button.text())


class DetailsDialog(QDialog):
    """A fault of the program, with details that can be copied.

    Attributes:
        details: the traceback.
    """

    def __init__(self, failure: Failure, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Paramosaic")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.details = "\n".join(map(one_line, (failure.details or "").splitlines()))
        details = QPlainTextEdit(self.details)
        details.setReadOnly(True)
        details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        details.setAccessibleName("Details")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy the details", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(details.toPlainText()))
        buttons.rejected.connect(self.reject)
        without_icons(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        layout.addWidget(_text_label(failure.message))
        if failure.hint:
            layout.addWidget(_text_label(failure.hint))
        layout.addWidget(details, 1)
        layout.addWidget(buttons)
        self.resize(80 * GRID, 50 * GRID)


class ElidedLabel(PlainLabel):
    """One line that is shortened where there is no room for it, in the middle or where `elide` says."""

    def __init__(
        self, parent: QWidget | None = None, *, elide: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle
    ) -> None:
        super().__init__("", parent)
        self._elision = elide
        self._full = ""
        self._tip = ""
        self.setMinimumWidth(8 * GRID)

    def set_full_text(self, text: str, tip: str = "") -> None:
        """Show `text`; `tip` is what the tool tip says besides what is not in sight."""
        self._full, self._tip = message_text(text), tip
        self.setAccessibleName(self._full)  # who hears it has room for all of it
        self._elide()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._elide()
        return super().event(event)

    def _elide(self) -> None:
        shown = self.fontMetrics().elidedText(self._full, self._elision, self.width())
        self.setText(shown)
        parts = [self._full if shown != self._full else "", self._tip]
        self.setToolTip(tool_tip("\n".join(filter(None, parts))))


def without_icons(dialog: QWidget) -> None:
    """Take the icons off the buttons in `dialog`: words are enough."""
    for button in dialog.findChildren(QPushButton):
        button.setIcon(QIcon())


def _text_label(text: str = "") -> PlainLabel:
    label = PlainLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
