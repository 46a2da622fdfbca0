"""The form of a merge method, built from what the method says of its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QSizePolicy, QWidget

from core.errors import RecipeError
from core.methods import MethodSpec, ParameterSpec, ParameterValue
from gui.document.merge_setup import form_parameters
from gui.document.parameter_texts import help_text, number_kind
from gui.numbers import Unread
from gui.recipe.choices_line import ChoicesLine
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.fields import NumberField, defer_to_window, name_field
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID

__all__ = ["ParameterForm"]

Field = NumberField | QCheckBox | QComboBox

_COLUMNS = 4
"""Of the form: a label and a field, twice."""

_OWN = "A rule by layer can give one sub-model its own."
_RULED = "The rules by layer say it for all tensors and sub-models."

_FEW = 3
"""So many parameters have a line each."""


class ParameterForm(QWidget):
    """A field for each parameter of a method that has something to choose.

    Those that have no effect beside what else is chosen are not in sight, and keep their values. Of a method
    with many, two short ones stand side by side where there is room. What was set for a parameter comes back
    with the next method that has one of that name and takes the value.

    Attributes:
        fields: the fields by the parameters' names.
        form: their layout.
        choices: the line on what a preset chooses.
        lines: how many lines of fields there are.
        left_labels: those that stand below one another with the labels of other forms.

    Signals:
        changed(): a value changed.
        reshaped(): there are more lines, or fewer.
        method_wanted(str, object): as that of a ChoicesLine.
    """

    changed = Signal()
    reshaped = Signal()
    method_wanted = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, Field] = {}
        self.choices = ChoicesLine(self)
        self.choices.wanted.connect(self.method_wanted)
        self.form = QGridLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setHorizontalSpacing(GRID)
        self.form.setVerticalSpacing(GRID)
        self.form.setColumnStretch(1, 1)
        self._method: MethodSpec | None = None
        self._specs: tuple[ParameterSpec, ...] = ()
        self.lines = 0
        self.left_labels: list[PlainLabel] = []
        self._labels: dict[str, PlainLabel] = {}
        self._shown: list[str] | None = None
        self._paired: bool | None = None
        self._room = 0
        self._ruled: frozenset[str] = frozenset()
        self._remembered: dict[str, ParameterValue] = {}

    def set_method(self, method: MethodSpec) -> None:
        """Ask for the parameters of `method`."""
        self._remember()
        for widget in (*self.fields.values(), *self._labels.values()):
            self.form.removeWidget(widget)
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()
        self.fields, self._labels, self._shown, self._paired = {}, {}, None, None
        self._method, self._specs = method, form_parameters(method)
        for spec in self._specs:
            field = _field(spec)
            field.setParent(self)
            field.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
            if isinstance(field, QCheckBox):
                field.toggled.connect(self._on_changed)
            else:
                signal = field.currentIndexChanged if isinstance(field, QComboBox) else field.changed
                signal.connect(self._on_changed)
                label = PlainLabel(spec.title, self)
                label.setBuddy(field)
                self._labels[spec.name] = label
            self.fields[spec.name] = field
        known = [spec for spec in self._specs if spec.name in self._remembered]
        self.set_values({spec.name: self._remembered[spec.name] for spec in known if self._takes(spec)})
        self._arrange()
        self._mark_ruled()
        self.setVisible(bool(self.fields))

    @property
    def least_width(self) -> int:
        """What it takes with one parameter in a line, in pixels."""
        fields = [self.fields[name].minimumSizeHint().width() for name in self._shown or ()]
        return self._label_width + self.form.horizontalSpacing() + max(fields, default=0)

    def set_room(self, width: int) -> None:
        """Have at most so many pixels of width."""
        if width != self._room:
            self._room = width
            self._arrange()

    def show_ruled(self, names: Iterable[str]) -> None:
        """Of which parameters rules say the value for every tensor and sub-model."""
        ruled = frozenset(names)
        if ruled != self._ruled:
            self._ruled = ruled
            self._mark_ruled()

    def _mark_ruled(self) -> None:
        for spec in self._specs:
            field, tip = self.fields[spec.name], help_text(spec)
            if spec.scope == "model" and spec.is_number:
                tip = f"{tip} {_OWN}"
            ruled = spec.name in self._ruled
            field.setEnabled(not ruled)
            name_field(field, spec.title, f"{_RULED} {tip}" if ruled else tip)

    def forget(self) -> None:
        """What was set until now is for another recipe."""
        self._remembered.clear()

    def set_values(
        self, values: Mapping[str, ParameterValue], unread: Mapping[str, Unread] | None = None
    ) -> None:
        """Fill in `values` by name; what is not among them takes its default.

        Args:
            values: what the parameters are.
            unread: what was typed in place of some, and could not be taken.
        """
        for spec in self._specs:
            field, value = self.fields[spec.name], values.get(spec.name, spec.default)
            if isinstance(field, QCheckBox):
                field.setChecked(bool(value))
            elif isinstance(field, QComboBox):
                field.setCurrentIndex(field.findData(value))
            else:
                assert not isinstance(value, str)
                number = int(value) if spec.kind == "int" else float(value)
                field.show_number(number, (unread or {}).get(spec.name))
        self._arrange()

    def set_value(self, name: str, value: ParameterValue) -> None:
        """Fill in one of them."""
        unread = {other: typed for other, typed in self.unread().items() if other != name}
        self.set_values({**self.values(), name: value}, unread)

    def values(self) -> dict[str, ParameterValue]:
        """What the fields say by name; of one that holds no number, what it said before."""
        return {name: _value(field) for name, field in self.fields.items()}

    def unread(self) -> dict[str, Unread]:
        """What was typed and cannot be taken, by name; what has no effect is in nobody's way."""
        fields = ((name, self.fields[name]) for name in self._shown or ())
        return {
            name: field.unread
            for name, field in fields
            if isinstance(field, NumberField) and field.unread is not None
        }

    @Slot()
    def _on_changed(self) -> None:
        self._arrange()
        self.changed.emit()

    def _arrange(self) -> None:
        """Show what has an effect now, in as few lines as are calm."""
        if self._method is None:
            return
        values = self.values()
        self.choices.show_choices(self._method, values)
        specs = [spec for spec in self._specs if spec.has_effect(values)]
        shown = [spec.name for spec in specs]
        paired = len(specs) > _FEW and self._width_of_pairs(specs) <= self._room
        if (shown, paired) == (self._shown, self._paired):
            return
        self._shown, self._paired = shown, paired
        for widget in (*self.fields.values(), *self._labels.values(), self.choices):
            self.form.removeWidget(widget)
        for spec in self._specs:
            self.fields[spec.name].setVisible(spec in specs)
            if spec.name in self._labels:
                self._labels[spec.name].setVisible(spec in specs)
        lines = _lines_of(specs, paired=paired)
        self.lines, self.left_labels = len(lines), []
        self.form.setColumnStretch(_COLUMNS - 1, int(paired))
        for row, line in enumerate(lines):
            for side, spec in enumerate(line):
                self._place(spec, row, side, across=not paired or _is_wide(spec))
        self.form.addWidget(self.choices, len(lines), 0, 1, _COLUMNS)
        self.reshaped.emit()

    @property
    def _label_width(self) -> int:
        widest = max((label.sizeHint().width() for label in self._labels.values()), default=0)
        return max(widest, self.form.columnMinimumWidth(0))

    def _width_of_pairs(self, specs: Sequence[ParameterSpec]) -> int:
        """What two columns of fields and their labels take at least."""
        sides: tuple[list[str], list[str]] = ([], [])
        for line in _lines_of(specs, paired=True):
            for side, spec in enumerate(line):
                if spec.name in self._labels and not _is_wide(spec):
                    sides[side].append(spec.name)
        fields = [self.fields[name].minimumSizeHint().width() for side in sides for name in side]
        right = [self._labels[name].sizeHint().width() for name in sides[1]]
        labels = self._label_width + max(right, default=0)
        return labels + 2 * (max(fields, default=0) + GRID) + 3 * self.form.horizontalSpacing()

    def _place(self, spec: ParameterSpec, row: int, side: int, *, across: bool) -> None:
        """Put a parameter into a row: on the left (side 0) or the right (1) of it, or across."""
        field, label = self.fields[spec.name], self._labels.get(spec.name)
        first = 2 * side
        if label is not None:
            label.setMinimumWidth(0)
            self.form.addWidget(label, row, first)
            if not side:
                self.left_labels.append(label)
        if label is None and self._paired:  # the place of its label is empty
            self.form.addWidget(field, row, first, 1, 2)
        else:
            self.form.addWidget(field, row, first + 1, 1, _COLUMNS - 1 if across else 1)

    def _remember(self) -> None:
        """Keep what is not as it is by default: of the rest, each method has its own idea."""
        values = self.values()
        for spec in self._specs:
            if values[spec.name] != spec.default:
                self._remembered[spec.name] = values[spec.name]
            else:
                self._remembered.pop(spec.name, None)

    def _takes(self, spec: ParameterSpec) -> bool:
        """Whether what is remembered can be a value of `spec`."""
        try:
            spec.check(self._remembered[spec.name], spec.name)
        except RecipeError:
            return False
        return True


def _is_wide(spec: ParameterSpec) -> bool:
    """Whether its field has a line of its own: the words of its choices are long."""
    return bool(spec.words)


def _lines_of(specs: Sequence[ParameterSpec], *, paired: bool) -> list[list[ParameterSpec]]:
    """What stands side by side: one in a line, or up to two where they are `paired`."""
    lines: list[list[ParameterSpec]] = []
    for spec in specs:
        beside = bool(lines) and len(lines[-1]) == 1 and not _is_wide(lines[-1][0])
        if paired and beside and not _is_wide(spec):
            lines[-1].append(spec)
        else:
            lines.append([spec])
    return lines


def _field(spec: ParameterSpec) -> Field:
    field: Field
    if spec.kind == "flag":
        field = QCheckBox(spec.title)
    elif spec.kind == "choice":
        field = ChoiceBox()
        for number, choice in enumerate(spec.choices):
            field.addItem(f"{choice}: {spec.words[number]}" if spec.words else choice, choice)
    else:
        assert not isinstance(spec.default, str)
        field = NumberField(number_kind(spec), spec.default)
    defer_to_window(field)
    name_field(field, spec.title, help_text(spec))
    return field


def _value(field: Field) -> ParameterValue:
    if isinstance(field, QCheckBox):
        return field.isChecked()
    if isinstance(field, QComboBox):
        return str(field.currentData())
    assert field.value is not None  # no parameter may be left empty
    return field.value
