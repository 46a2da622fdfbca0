"""How models are evaluated: the part of the panel that is folded away."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QWidget

from core.evaluate.settings import DTYPES, MOST_POSITIONS
from gui.evaluation.request import Choices
from gui.numbers import Number, NumberKind
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.fields import NumberEdit, defer_to_window, name_field
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID
from gui.words import grouped

__all__ = ["SettingsForm"]

_LENGTH = NumberKind("The longest sample", whole=True, minimum=2, maximum=2**20, optional=True)
_LIMIT = NumberKind("The number of rows", whole=True, minimum=1, maximum=2**31, optional=True)


class SettingsForm(QWidget):
    """Fields in two lines.

    Attributes:
        length, limit: numbers, or nothing.
        dtype: the type in which is computed.
        exact_match, skip_bad_rows: to be ticked.

    Signals:
        changed(): what they say together.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.length = _number(
            _LENGTH,
            "Longest sample",
            "model's",
            "In tokens. Texts that are longer are cut into windows, prompts from the left. Empty: what each "
            f"model takes, but no more than {grouped(MOST_POSITIONS)}.",
        )
        self.limit = _number(
            _LIMIT, "Rows", "all", "Only so many of the first rows of the data. Empty: all of them."
        )
        self.dtype = ChoiceBox()
        self.dtype.addItems(list(DTYPES))
        name_field(
            self.dtype,
            "Computed in",
            "float32 gives the same numbers on every machine, whatever the type of the weights. bfloat16 is "
            "faster where the device has it; how much it differs is measured and said.",
        )
        self.exact_match = _box(
            "Exact match",
            "Have each model answer the prompts, without chance, and count the answers that are those of the "
            "data but for case, punctuation and articles. For short answers; slower.",
        )
        self.skip_bad_rows = _box(
            "Skip bad rows",
            "Leave out rows that cannot be used, and say which; without it the first stops it.",
        )
        fields = QHBoxLayout()
        fields.setSpacing(GRID)
        for text, field in (
            ("Longest sample", self.length),
            ("Rows", self.limit),
            ("Computed in", self.dtype),
        ):
            defer_to_window(field)
            label = PlainLabel(text)
            label.setBuddy(field)
            fields.addWidget(label)
            fields.addWidget(field, 1)
        boxes = QHBoxLayout()
        boxes.setSpacing(2 * GRID)
        boxes.addWidget(self.exact_match)
        boxes.addWidget(self.skip_bad_rows)
        boxes.addStretch(1)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(GRID // 2)
        grid.addLayout(fields, 0, 0)
        grid.addLayout(boxes, 1, 0)
        for number in (self.length, self.limit):
            number.changed.connect(self._on_changed)
        self.dtype.currentIndexChanged.connect(self._on_changed)
        self.exact_match.toggled.connect(self._on_changed)
        self.skip_bad_rows.toggled.connect(self._on_changed)

    def choices(self) -> Choices:
        """What the fields say; a number that cannot be taken is as it was before."""
        return Choices(
            _whole(self.length.value),
            _whole(self.limit.value),
            self.dtype.currentText(),
            self.exact_match.isChecked(),
            self.skip_bad_rows.isChecked(),
        )

    def show_choices(self, choices: Choices) -> None:
        self.length.show_number(choices.max_length)
        self.limit.show_number(choices.limit)
        self.dtype.setCurrentText(choices.dtype)
        self.exact_match.setChecked(choices.exact_match)
        self.skip_bad_rows.setChecked(choices.skip_bad_rows)

    @property
    def problem(self) -> str:
        """Why what is in a field cannot be taken; "" where all is well."""
        unread = (field.unread for field in (self.length, self.limit))
        return next((one.sentence for one in unread if one is not None), "")

    @Slot()
    def _on_changed(self) -> None:
        self.changed.emit()


def _number(kind: NumberKind, name: str, empty: str, tip: str) -> NumberEdit:
    field = NumberEdit(kind)
    field.setPlaceholderText(empty)
    field.setMinimumWidth(field.fontMetrics().horizontalAdvance("0" * 6))
    name_field(field, name, tip)
    return field


def _box(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(f"<p>{tip}</p>")
    box.setAccessibleDescription(tip)
    return box


def _whole(value: Number | None) -> int | None:
    return None if value is None else int(value)
