"""Fields for forms that scroll, in a window that has its own undo."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from html import escape
from math import floor, log10

from PySide6.QtCore import QEvent, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPalette,
    QValidator,
)
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolTip,
    QWidget,
)

from gui.numbers import Number, NumberKind, Unread, number_text, read_number
from gui.widgets.plain import tool_tip
from gui.widgets.theme import ERROR, GRID

__all__ = [
    "NumberEdit",
    "NumberField",
    "align_labels",
    "defer_to_window",
    "form_layout",
    "name_field",
    "show_focus",
    "side_by_side",
]


def defer_to_window(field: QWidget) -> None:
    """Leave the wheel to the form unless `field` has the focus, and undo, redo and drops to the window."""
    field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    event_filter = _FieldFilter(field)
    field.installEventFilter(event_filter)
    inner = field.lineEdit() if isinstance(field, QAbstractSpinBox) else field
    if isinstance(inner, QLineEdit):
        inner.setAcceptDrops(False)
        inner.installEventFilter(event_filter)


def name_field(field: QWidget, name: str, tip: str) -> None:
    """Say what `field` is, to screen readers and in its tool tip."""
    field.setAccessibleName(name)
    field.setAccessibleDescription(tip)
    field.setToolTip(f"<p>{escape(tip)}</p>")  # rich text wraps


def show_focus(widget: QWidget) -> None:
    """Put the focus on `widget`, and have it seen there: buttons do not mark what does not come by Tab."""
    widget.setFocus(Qt.FocusReason.OtherFocusReason)
    widget.window().setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
    widget.update()


def form_layout(parent: QWidget) -> QFormLayout:
    """Labels on the left, fields on the right."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(2 * GRID)
    form.setVerticalSpacing(GRID)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form


def align_labels(forms: Iterable[QFormLayout], others: Iterable[QLabel] = ()) -> int:
    """Give the labels of all `forms`, and `others` beside them, the width of the widest; returns it."""
    labels = list(others)
    for form in forms:
        for row in range(form.rowCount()):
            item = form.itemAt(row, QFormLayout.ItemRole.LabelRole)
            label = item.widget() if item is not None else None
            if isinstance(label, QLabel):
                labels.append(label)
    widest = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(widest)
    return widest


def side_by_side(field: QWidget, *buttons: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(GRID // 2)
    layout.addWidget(field, 1)
    for button in buttons:
        layout.addWidget(button)
    return layout


class NumberEdit(QLineEdit):
    """A number, or nothing where that is allowed. What cannot be taken stays as it was typed, and is marked.

    The mark and its words are within the field, so that nothing around it moves. Text that may yet become a
    number is marked when the field is left.

    Attributes:
        kind: what it takes.
        value: what was typed last that could be taken; None for nothing.
        unread: what is in it and cannot be taken; None where all is well.

    Signals:
        changed(): `value` or `unread` changed.
    """

    changed = Signal()

    def __init__(self, kind: NumberKind, value: Number | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self.value = value
        self.unread: Unread | None = None
        self._tip = ""
        self._showing = False
        self._show_value()
        self.textChanged.connect(self._on_text_changed)
        self.editingFinished.connect(self._on_finished)

    def show_number(self, value: Number | None, unread: Unread | None = None) -> None:
        """Show `value`, or what was typed in its place and could not be taken."""
        before = self.value, self.unread
        self.value = value
        self._showing = True
        if unread is not None:
            self.setText(unread.text)
        elif before != (value, None):
            self._show_value()
        self._showing = False
        if (self.value, self.unread) != before:
            self.changed.emit()

    @property
    def problem(self) -> str:
        """Why what is in it cannot be taken, in a sentence, as soon as that is shown; "" otherwise."""
        if self.unread is None or (self.unread.unfinished and self.hasFocus()):
            return ""
        return self.unread.sentence

    def _show_value(self) -> None:
        self.setText("" if self.value is None else number_text(self.value, self.kind))

    @Slot(str)
    def _on_text_changed(self, text: str) -> None:
        before = self.value, self.unread
        read = read_number(text, self.kind)
        if isinstance(read, Unread):
            self.unread = read
        else:
            self.value, self.unread = read, None
        self._mark()
        if (self.value, self.unread) != before and not self._showing:
            self.changed.emit()

    @Slot()
    def _on_finished(self) -> None:
        if self.unread is None:
            self._show_value()
        self._mark()

    def _mark(self) -> None:
        field = self.parentWidget() if isinstance(self.parentWidget(), NumberField) else self
        if field is not None:
            before, self._tip = self._tip, f"{self.problem} " if self.problem else ""
            field.setAccessibleDescription(self._tip + field.accessibleDescription().removeprefix(before))
        self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and self.problem and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), tool_tip(self.problem), self)
            return True
        return super().event(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._mark()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._mark()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.problem or self.unread is None:
            return
        painter = QPainter(self)
        painter.fillRect(QRect(0, self.height() - GRID // 4, self.width(), GRID // 4), ERROR)
        metrics = self.fontMetrics()
        room = self.width() - metrics.horizontalAdvance(self.text()) - 3 * GRID
        words = next((w for w in (f"! {self.unread.short}", "!") if metrics.horizontalAdvance(w) <= room), "")
        painter.setPen(self.palette().color(QPalette.ColorRole.Text))
        area = self.rect().adjusted(0, 0, -GRID, 0)
        painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)


class NumberField(QAbstractSpinBox):
    """A NumberEdit with arrows. A step from what cannot be taken leads to what can.

    Attributes:
        edit: the text.

    Signals:
        changed(): as that of a NumberEdit.
    """

    changed = Signal()

    def __init__(self, kind: NumberKind, value: Number | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = NumberEdit(kind, value)
        self.edit.setObjectName("qt_spinbox_lineedit")  # as Qt calls its own, which has no name of its own
        self.setLineEdit(self.edit)
        self.edit.changed.connect(self.changed)

    @property
    def value(self) -> Number | None:
        return self.edit.value

    @property
    def unread(self) -> Unread | None:
        return self.edit.unread

    def show_number(self, value: Number | None, unread: Unread | None = None) -> None:
        """As that of a NumberEdit."""
        self.edit.show_number(value, unread)

    # -- called by Qt

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        return QValidator.State.Acceptable, text, position

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        hint.setWidth(max(hint.width(), self.fontMetrics().horizontalAdvance("0" * 12)))
        return hint

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance("0" * 6), super().minimumSizeHint().height())

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        kind, value = self.edit.kind, self.value
        flags = QAbstractSpinBox.StepEnabledFlag.StepNone
        if self.unread is not None or value is None or kind.maximum is None or value < kind.maximum:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
        lowest = value is None or (kind.minimum is not None and value <= kind.minimum and not kind.optional)
        if self.unread is not None or not lowest:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        return flags

    def stepBy(self, steps: int) -> None:
        kind, unread = self.edit.kind, self.unread
        value = self.value if unread is None or unread.number is None else unread.number
        least = -sys.float_info.max if kind.minimum is None else kind.minimum
        most = sys.float_info.max if kind.maximum is None else kind.maximum
        if value is None:
            self.show_number(least if steps > 0 else None)
        elif kind.optional and value <= least and steps < 0:
            self.show_number(None)
        else:
            stepped = value + steps if kind.whole else _stepped(value, steps)
            self.show_number(min(max(stepped, least), most))
        self.selectAll()


def _stepped(value: float, steps: int) -> float:
    """`value` after steps of about a tenth of it, in decimals: 0.2, 0.21, …; 1, 0.99, … ."""
    if value == 0:
        return 0.1 * steps
    power = floor(log10(abs(value)))
    if (value > 0) != (steps > 0) and abs(value) == float(f"1e{power}"):
        power -= 1
    return float(f"{value + steps * 10.0 ** (power - 1):.12g}")  # 0.1 + 0.2 is not 0.3


class _FieldFilter(QObject):
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        if kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            undoing = event.matches(QKeySequence.StandardKey.Undo) or event.matches(
                QKeySequence.StandardKey.Redo
            )
            if undoing:
                event.ignore()
                return True
        return False
