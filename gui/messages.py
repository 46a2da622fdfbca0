"""Messages: inside the window where they can be, a dialog only for faults of the program."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.reports import Failure
from gui.theme import ERROR, GRID, SUCCESS, accent_of

__all__ = ["DetailsDialog", "ElidedLabel", "MessagePanel", "without_icons"]


class MessagePanel(QFrame):
    """A message with a hint and perhaps a button, marked by a coloured edge; hidden while it has none.

    Signals:
        action_requested(): its button was pressed.
    """

    action_requested = Signal()

    def __init__(self, parent: QWidget | None = None, *, closable: bool = True) -> None:
        super().__init__(parent)
        self._colour = ERROR
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self._message = _text_label()
        self._hint = _text_label()
        self._hint.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._action = QPushButton()
        self._action.clicked.connect(self.action_requested)
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
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID, GRID, GRID)
        layout.setSpacing(GRID)
        layout.addLayout(texts, 1)
        layout.addWidget(self._action, 0, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    @property
    def text(self) -> str:
        """The message and the hint; "" while there is none."""
        return "" if self.isHidden() else f"{self._message.text()} {self._hint.text()}".strip()

    def show_failure(self, failure: Failure) -> None:
        self._show(ERROR, failure.message, failure.hint)

    def show_success(self, message: str, details: str | None = None, action: str | None = None) -> None:
        self._show(SUCCESS, message, details, action)

    def show_note(self, message: str, details: str | None = None) -> None:
        self._show(accent_of(self.palette()), message, details)

    def clear(self) -> None:
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(QRect(0, 0, GRID // 2, self.height()), self._colour)

    def _show(self, colour: QColor, message: str, hint: str | None, action: str | None = None) -> None:
        self._colour = colour
        self._message.setText(message)
        self._hint.setText(hint or "")
        self._hint.setVisible(bool(hint))
        self._action.setText(action or "")
        self._action.setVisible(bool(action))
        self.setAccessibleName(f"{message} {hint or ''}")
        self.show()
        self.update()


class DetailsDialog(QDialog):
    """A fault of the program, with details that can be copied.

    Attributes:
        details: the traceback.
    """

    def __init__(self, failure: Failure, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Paramosaic")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.details = failure.details or ""
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


class ElidedLabel(QLabel):
    """One line that is shortened in the middle where there is no room for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full = ""
        self.setMinimumWidth(8 * GRID)

    def set_full_text(self, text: str) -> None:
        self._full = text
        self._elide()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._elide()
        return super().event(event)

    def _elide(self) -> None:
        shown = self.fontMetrics().elidedText(self._full, Qt.TextElideMode.ElideMiddle, self.width())
        self.setText(shown)
        self.setToolTip(self._full if shown != self._full else "")


def without_icons(dialog: QWidget) -> None:
    """Take the icons off the buttons in `dialog`: words are enough."""
    for button in dialog.findChildren(QPushButton):
        button.setIcon(QIcon())


def _text_label(text: str = "") -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
