"""The form of a merge method, built from what the method says of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QWidget

from core.errors import RecipeError
from core.methods import MethodSpec, ParameterSpec, ParameterValue
from gui.document.merge_setup import form_parameters
from gui.document.parameter_texts import help_text, number_kind
from gui.numbers import Unread
from gui.widgets.fields import NumberField, defer_to_window, form_layout, name_field
from gui.widgets.plain import PlainLabel

__all__ = ["ParameterForm"]

Field = NumberField | QCheckBox | QComboBox


class ParameterForm(QWidget):
    """A field for each parameter of a method that has something to choose.

    What was set for a parameter comes back with the next method that has one of that name and takes the
    value.

    Attributes:
        fields: the fields by the parameters' names.
        form: their layout.

    Signals:
        changed(): a value changed.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, Field] = {}
        self.form = form_layout(self)
        self._specs: tuple[ParameterSpec, ...] = ()
        self._remembered: dict[str, ParameterValue] = {}

    def set_method(self, method: MethodSpec) -> None:
        """Ask for the parameters of `method`."""
        self._remember()
        while self.form.rowCount():
            self.form.removeRow(0)
        self.fields = {}
        self._specs = form_parameters(method)
        for spec in self._specs:
            field = _field(spec)
            if isinstance(field, QCheckBox):
                field.toggled.connect(self.changed)
                self.form.addRow(PlainLabel(), field)  # a label that is aligned with the others
            else:
                signal = field.currentIndexChanged if isinstance(field, QComboBox) else field.changed
                signal.connect(self.changed)
                label = PlainLabel(spec.title)
                label.setBuddy(field)
                self.form.addRow(label, field)
            self.fields[spec.name] = field
        known = [spec for spec in self._specs if spec.name in self._remembered]
        self.set_values({spec.name: self._remembered[spec.name] for spec in known if self._takes(spec)})
        self.setVisible(bool(self.fields))

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

    def set_value(self, name: str, value: ParameterValue) -> None:
        """Fill in one of them."""
        unread = {other: typed for other, typed in self.unread().items() if other != name}
        self.set_values({**self.values(), name: value}, unread)

    def values(self) -> dict[str, ParameterValue]:
        """What the fields say by name; of one that holds no number, what it said before."""
        return {name: _value(field) for name, field in self.fields.items()}

    def unread(self) -> dict[str, Unread]:
        """What was typed and cannot be taken, by name."""
        fields = {name: field for name, field in self.fields.items() if isinstance(field, NumberField)}
        return {name: field.unread for name, field in fields.items() if field.unread is not None}

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


def _field(spec: ParameterSpec) -> Field:
    field: Field
    if spec.kind == "flag":
        field = QCheckBox(spec.title)
    elif spec.kind == "choice":
        field = QComboBox()
        field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for choice in spec.choices:
            field.addItem(choice, choice)
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
