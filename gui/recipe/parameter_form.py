"""The form of a merge method, built from what the method says of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLabel, QSpinBox, QWidget

from core.methods import MethodSpec, ParameterSpec, ParameterValue
from gui.document.merge_setup import form_parameters
from gui.widgets.fields import ExactSpinBox, defer_to_window, form_layout, name_field
from gui.words import weight_text

__all__ = ["ParameterForm"]

Field = QSpinBox | ExactSpinBox | QCheckBox


class ParameterForm(QWidget):
    """A field for each parameter of a method that has something to choose.

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

    def set_method(self, method: MethodSpec) -> None:
        """Ask for the parameters of `method`, with their defaults."""
        while self.form.rowCount():
            self.form.removeRow(0)
        self.fields = {}
        self._specs = form_parameters(method)
        for spec in self._specs:
            field = _field(spec)
            if isinstance(field, QCheckBox):
                field.toggled.connect(self.changed)
                self.form.addRow("", field)
            else:
                field.valueChanged.connect(self.changed)
                label = QLabel(spec.title)
                label.setBuddy(field)
                self.form.addRow(label, field)
            self.fields[spec.name] = field
        self.set_values({})
        self.setVisible(bool(self.fields))

    def set_values(self, values: Mapping[str, ParameterValue]) -> None:
        """Fill in `values` by name; what is not among them takes its default."""
        for spec in self._specs:
            field, value = self.fields[spec.name], values.get(spec.name, spec.default)
            if isinstance(field, QCheckBox):
                field.setChecked(bool(value))
            elif isinstance(field, QSpinBox):
                field.setValue(int(value))
            else:
                field.setValue(float(value))

    def values(self) -> dict[str, ParameterValue]:
        return {
            name: field.isChecked() if isinstance(field, QCheckBox) else field.value()
            for name, field in self.fields.items()
        }


def _field(spec: ParameterSpec) -> Field:
    field: Field
    if spec.kind == "flag":
        field = QCheckBox(spec.title)
    elif spec.kind == "int":
        field = QSpinBox()
        field.setRange(
            -(2**31) if spec.minimum is None else int(spec.minimum),
            2**31 - 1 if spec.maximum is None else int(spec.maximum),
        )
    else:
        field = ExactSpinBox()
        field.setRange(
            -1e9 if spec.minimum is None else spec.minimum, 1e9 if spec.maximum is None else spec.maximum
        )
    defer_to_window(field)
    name_field(field, spec.title, f"{spec.help} {_range_text(spec)}")
    return field


def _range_text(spec: ParameterSpec) -> str:
    if spec.kind == "flag":
        return "On by default." if spec.default else "Off by default."
    default = f"default {weight_text(float(spec.default))}"
    if spec.minimum is not None and spec.maximum is not None:
        return f"From {weight_text(spec.minimum)} to {weight_text(spec.maximum)}, {default}."
    if spec.minimum is not None:
        return f"At least {weight_text(spec.minimum)}, {default}."
    if spec.maximum is not None:
        return f"At most {weight_text(spec.maximum)}, {default}."
    return f"{default.capitalize()}."
