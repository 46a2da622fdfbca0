"""How models are evaluated: the part of the panel that is folded away."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from core.evaluate.settings import DTYPES, MOST_POSITIONS
from gui.evaluation.request import DEVICES, Choices
from gui.numbers import Number, NumberKind
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.fields import NumberEdit, defer_to_window, name_field
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID
from gui.words import grouped

__all__ = ["SettingsForm"]

_LENGTH = NumberKind("The longest sample", whole=True, minimum=2, maximum=2**20, optional=True)
_NEW_TOKENS = NumberKind("The length of an answer", whole=True, minimum=1, maximum=2**16)
_LIMIT = NumberKind("The number of rows", whole=True, minimum=1, maximum=2**31, optional=True)


class SettingsForm(QWidget):
    """Fields in two lines.

    Attributes:
        length, limit: numbers, or nothing.
        dtype, device: in which type and where is computed.
        exact_match, skip_bad_rows: to be ticked.
        new_tokens: of an answer.

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
        self.dtype.setMinimumContentsLength(8)
        name_field(
            self.dtype,
            "Computed in",
            "float32 gives the same numbers on every machine, whatever the type of the weights. bfloat16 is "
            "faster where the device has it; how much it differs is measured and said.",
        )
        self.device = ChoiceBox()
        self.device.addItems(list(DEVICES))
        self.device.setMinimumContentsLength(5)
        name_field(self.device, "On", "auto takes the first graphics card that is there, or else the CPU.")
        self.exact_match = _box(
            "Exact match in",
            "Have each model answer the prompts, without chance, and count the answers that are those of the "
            "data but for case, articles and ordinary punctuation. For short answers; slower.",
        )
        self.new_tokens = _number(_NEW_TOKENS, "Tokens of an answer", "", "An answer has no more tokens.")
        self.skip_bad_rows = _box(
            "Skip bad rows", "Leave out rows that cannot be used, and say which; without it they stop it."
        )
        self.new_tokens.setMaximumWidth(2 * self.new_tokens.minimumWidth())
        first, second = _line(), _line()
        for text, field in (("Longest sample", self.length), ("Rows", self.limit)):
            first.addWidget(_label(text, field))
            first.addWidget(field, 1)
        first.addWidget(self.skip_bad_rows)
        for text, box in (("Computed in", self.dtype), ("on", self.device)):
            second.addWidget(_label(text, box))
            second.addWidget(box)
        second.addSpacing(GRID)
        second.addWidget(self.exact_match)
        second.addWidget(self.new_tokens)
        second.addWidget(PlainLabel("tokens"))
        second.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID // 2)
        layout.addLayout(first)
        layout.addLayout(second)
        for number in self._numbers():
            defer_to_window(number)
            number.changed.connect(self._on_changed)
        for choice in (self.dtype, self.device):
            defer_to_window(choice)
            choice.currentIndexChanged.connect(self._on_changed)
        for check in (self.exact_match, self.skip_bad_rows):
            check.toggled.connect(self._on_changed)
        self.show_choices(Choices())

    def choices(self) -> Choices:
        """What the fields say; a number that cannot be taken is as it was before."""
        return Choices(
            _whole(self.length.value),
            _whole(self.limit.value),
            self.dtype.currentText(),
            self.exact_match.isChecked(),
            self.skip_bad_rows.isChecked(),
            self.device.currentText(),
            _whole(self.new_tokens.value) or Choices.max_new_tokens,
        )

    def show_choices(self, choices: Choices) -> None:
        self.length.show_number(choices.max_length)
        self.limit.show_number(choices.limit)
        self.dtype.setCurrentText(choices.dtype)
        self.exact_match.setChecked(choices.exact_match)
        self.skip_bad_rows.setChecked(choices.skip_bad_rows)
        if self.device.findText(choices.device) < 0:
            self.device.addItem(choices.device)  # of an evaluation that another started
        self.device.setCurrentText(choices.device)
        self.new_tokens.show_number(choices.max_new_tokens)

    @property
    def problem(self) -> str:
        """Why what is in a field cannot be taken; "" where all is well."""
        unread = (field.unread for field in self._numbers())
        return next((one.sentence for one in unread if one is not None), "")

    def _numbers(self) -> tuple[NumberEdit, ...]:
        return self.length, self.limit, self.new_tokens

    @Slot()
    def _on_changed(self) -> None:
        self.new_tokens.setEnabled(self.exact_match.isChecked())
        self.changed.emit()


def _number(kind: NumberKind, name: str, empty: str, tip: str) -> NumberEdit:
    field = NumberEdit(kind)
    field.setPlaceholderText(empty)
    field.setMinimumWidth(field.fontMetrics().horizontalAdvance("0" * 5))
    name_field(field, name, tip)
    return field


def _line() -> QHBoxLayout:
    line = QHBoxLayout()
    line.setSpacing(GRID)
    return line


def _label(text: str, field: QWidget) -> PlainLabel:
    label = PlainLabel(text)
    label.setBuddy(field)
    return label


def _box(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(f"<p>{tip}</p>")
    box.setAccessibleDescription(tip)
    return box


def _whole(value: Number | None) -> int | None:
    return None if value is None else int(value)
