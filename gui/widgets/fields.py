"""Fields for forms that scroll, in a window that has its own undo."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QValidator
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QWidget,
)

from gui.widgets.theme import GRID
from gui.words import number_from_text, weight_text

__all__ = [
    "ExactSpinBox",
    "NumberOrNothing",
    "align_labels",
    "defer_to_window",
    "form_layout",
    "name_field",
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


"""The earlier name, which the pictures use."""


def name_field(field: QWidget, name: str, tip: str) -> None:
    """Say what `field` is, to screen readers and in its tool tip."""
    field.setAccessibleName(name)
    field.setAccessibleDescription(tip)
    field.setToolTip(f"<p>{escape(tip)}</p>")  # rich text wraps


def form_layout(parent: QWidget) -> QFormLayout:
    """Labels on the left, fields on the right."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(2 * GRID)
    form.setVerticalSpacing(GRID)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form


def align_labels(forms: Iterable[QFormLayout]) -> None:
    """Give the labels of all `forms` the width of the widest."""
    labels = []
    for form in forms:
        for row in range(form.rowCount()):
            item = form.itemAt(row, QFormLayout.ItemRole.LabelRole)
            label = item.widget() if item is not None else None
            if isinstance(label, QLabel):
                labels.append(label)
    widest = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(widest)


def side_by_side(field: QWidget, *buttons: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(GRID // 2)
    layout.addWidget(field, 1)
    for button in buttons:
        layout.addWidget(button)
    return layout


class ExactSpinBox(QDoubleSpinBox):
    """A spin box that keeps every digit of its number and shows no more of them than that takes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(323)  # the most that Qt takes
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)

    def textFromValue(self, value: float) -> str:
        return weight_text(value)

    def valueFromText(self, text: str) -> float:
        number = number_from_text(text.removesuffix(self.suffix()))
        return self.value() if number is None else number

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        number = number_from_text(text.removesuffix(self.suffix()))
        if number is None:
            return QValidator.State.Intermediate, text, position
        inside = self.minimum() <= number <= self.maximum()
        return QValidator.State.Acceptable if inside else QValidator.State.Intermediate, text, position

    def stepBy(self, steps: int) -> None:
        if self.value() == 0:  # by the last decimal, if it went by Qt
            self.setValue(0.1 * steps)
        else:
            super().stepBy(steps)
        self.setValue(float(f"{self.value():.12g}"))  # 0.1 + 0.2 is not 0.3


class NumberOrNothing(QLineEdit):
    """A number that is not negative, or nothing. Unfinished text gives way to the last number on leaving."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value: float | None = None
        self.textChanged.connect(self._on_text_changed)
        self.editingFinished.connect(self._show)

    @property
    def value(self) -> float | None:
        return self._value

    def set_value(self, value: float | None) -> None:
        if value != self._value:
            self._value = value
            self._show()

    def _on_text_changed(self, text: str) -> None:
        number = number_from_text(text)
        if not text.strip():
            self._value = None
        elif number is not None and number >= 0:
            self._value = number

    def _show(self) -> None:
        self.setText("" if self._value is None else weight_text(self._value))


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
