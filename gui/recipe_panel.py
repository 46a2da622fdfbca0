"""The recipe: method, its parameters, the seed, and where the result goes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QValidator
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.draws import MAX_SEED
from core.methods import METHODS, MethodSpec, ParameterSpec, ParameterValue
from gui.choosing import choose_folder
from gui.dropped import dropped_paths, sort_dropped
from gui.merge_setup import free_name
from gui.theme import GRID, heading, secondary

__all__ = ["RecipePanel"]

_HELP_LINES = 3
"""Reserved below the method, so that choosing another moves nothing."""


class RecipePanel(QWidget):
    """Where a merge is described.

    Attributes:
        method_box, seed_field, output_field: the fields.
        parameter_boxes: the fields of the method's own parameters, by name.

    Signals:
        changed(): any field is another.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.method_box = QComboBox()
        self.method_box.setAccessibleName("Merge method")
        for spec in METHODS.values():
            self.method_box.addItem(spec.title, spec.name)
        self._help = QLabel()
        self._help.setWordWrap(True)
        self._help.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._help.setMinimumHeight(_HELP_LINES * self._help.fontMetrics().lineSpacing())
        secondary(self._help)
        self.parameter_boxes: dict[str, QSpinBox | QDoubleSpinBox] = {}
        self.seed_field = QLineEdit("0")
        self.seed_field.setValidator(_SeedValidator(self))
        self.seed_field.setAcceptDrops(False)  # they are for the window
        self.seed_field.setAccessibleName("Seed of the random draws")
        self.seed_field.setToolTip(f"The same seed gives the same bytes; 0 to {MAX_SEED}")
        dice = QToolButton()
        dice.setText("⚄")
        dice.setAccessibleName("Random seed")
        dice.setToolTip("Another seed, at random")
        dice.clicked.connect(self._on_dice)
        self.output_field = _OutputField()
        self.output_field.setAccessibleName("Output folder")
        self.output_field.setPlaceholderText("A folder that does not exist yet")
        browse = QPushButton("Choose…")
        browse.setAccessibleName("Choose where the output folder goes")
        browse.clicked.connect(self._on_browse)
        self._rest: dict[str, Any] = {}
        self._rest_label = QLabel()
        self._rest_label.setWordWrap(True)
        secondary(self._rest_label)
        self._forget = QPushButton("Forget")
        self._forget.setToolTip("Use the defaults in their place")
        self._forget.clicked.connect(lambda: self.set_rest({}))
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(2 * GRID)
        self._form.setVerticalSpacing(GRID)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        method = QVBoxLayout()
        method.setSpacing(GRID // 2)
        method.addWidget(self.method_box)
        method.addWidget(self._help)
        label = _label("Met&hod", self.method_box)
        label.setMinimumWidth(_widest_title(label))
        self._form.addRow(label, method)
        self._form.addRow(_label("&Seed", self.seed_field), _row(self.seed_field, dice))
        self._form.addRow(_label("&Output", self.output_field), _row(self.output_field, browse))
        self._form.addRow("Also", self._rest_row())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(heading("Recipe"))
        layout.addLayout(self._form)
        self._suggested = ""
        self.method_box.currentIndexChanged.connect(self._on_method_changed)
        self.seed_field.textChanged.connect(self.changed)
        self.output_field.textChanged.connect(self.changed)
        self._on_method_changed()
        self.set_rest({})

    # -- values

    @property
    def method(self) -> MethodSpec:
        return METHODS[self.method_box.currentData()]

    @property
    def parameters(self) -> dict[str, ParameterValue]:
        return {name: box.value() for name, box in self.parameter_boxes.items()}

    @property
    def seed(self) -> int | None:
        """None while the field holds no number."""
        return int(self.seed_field.text()) if self.seed_field.hasAcceptableInput() else None

    @property
    def output(self) -> str:
        """The output folder, absolute; "" for none."""
        text = self.output_field.text().strip()
        return str(Path(text).expanduser().absolute()) if text else ""

    @property
    def rest(self) -> Mapping[str, Any]:
        """What an opened recipe says beyond these fields."""
        return self._rest

    def set_method(self, spec: MethodSpec, parameters: Mapping[str, ParameterValue]) -> None:
        """Choose a method and fill in its parameters; those not given take their defaults."""
        self.method_box.setCurrentIndex(self.method_box.findData(spec.name))
        for name, box in self.parameter_boxes.items():
            parameter = spec.parameter(name)
            if parameter is not None:
                box.setValue(parameters.get(name, parameter.default))  # type: ignore[arg-type]

    def set_rest(self, rest: Mapping[str, Any]) -> None:
        self._rest = dict(rest)
        self._rest_label.setText(", ".join(f"{key}: {value}" for key, value in rest.items()))
        self._form.setRowVisible(self._form.rowCount() - 1, bool(rest))
        self.changed.emit()

    def suggest_output(self, out: Path, *, insist: bool = False) -> None:
        """Fill in an output folder, unless the user has typed one (`insist`: even then)."""
        if insist or self.output_field.text() in {"", self._suggested}:
            self._suggested = str(out)
            self.output_field.setText(self._suggested)
            self.output_field.setCursorPosition(len(self._suggested))

    # -- inside

    def _rest_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self._rest_label, 1)
        layout.addWidget(self._forget)
        return row

    @Slot()
    def _on_method_changed(self) -> None:
        for box in self.parameter_boxes.values():
            self._form.removeRow(box)
        self.parameter_boxes = {}
        for spec in self.method.parameters:
            if spec.scope == "merge" and spec.kind != "flag":
                box = _parameter_box(spec)
                box.valueChanged.connect(self.changed)
                self._form.insertRow(1 + len(self.parameter_boxes), spec.title, box)
                self.parameter_boxes[spec.name] = box
        for before, after in pairwise([self.method_box, *self.parameter_boxes.values(), self.seed_field]):
            QWidget.setTabOrder(before, after)
        self._help.setText(self.method.help)
        self.changed.emit()

    @Slot()
    def _on_dice(self) -> None:
        self.seed_field.setText(str(secrets.randbelow(2**32)))

    @Slot()
    def _on_browse(self) -> None:
        current = Path(self.output or Path.cwd() / "merged")
        start = current.parent if current.parent.is_dir() else Path.cwd()
        parent = choose_folder(self, "Choose the folder in which the output folder will be made", start)
        if parent is not None:
            name = current.name or "merged"
            self.output_field.setText(str(free_name(parent / name)))


class _SeedValidator(QValidator):
    """Whole numbers from 0 to 2^64 - 1, which no spin box holds."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        if not text:
            return QValidator.State.Intermediate, text, position
        if text.isascii() and text.isdigit() and int(text) <= MAX_SEED:
            return QValidator.State.Acceptable, text, position
        return QValidator.State.Invalid, text, position


class _OutputField(QLineEdit):
    """A path; a folder dropped onto it is where the output folder is to be made."""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if sort_dropped(dropped_paths(event.mimeData())).folders:
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        folders = sort_dropped(dropped_paths(event.mimeData())).folders
        if not folders:
            super().dropEvent(event)
            return
        event.acceptProposedAction()
        self.setText(str(free_name(folders[0] / (os.path.basename(self.text()) or "merged"))))


def _parameter_box(spec: ParameterSpec) -> QSpinBox | QDoubleSpinBox:
    box: QSpinBox | QDoubleSpinBox
    if spec.kind == "int":
        box = QSpinBox()
        box.setRange(int(spec.minimum or 0), int(spec.maximum if spec.maximum is not None else 2**31 - 1))
        box.setValue(int(spec.default))
    else:
        box = QDoubleSpinBox()
        box.setDecimals(6)
        box.setSingleStep(0.05)
        low, high = spec.minimum, spec.maximum
        box.setRange(-1e9 if low is None else low, 1e9 if high is None else high)
        box.setValue(float(spec.default))
    box.lineEdit().setAcceptDrops(False)
    box.setToolTip(spec.help)
    box.setAccessibleName(spec.title)
    box.setAccessibleDescription(spec.help)
    return box


def _row(field: QWidget, button: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(GRID)
    layout.addWidget(field, 1)
    layout.addWidget(button)
    return layout


def _widest_title(label: QLabel) -> int:
    """Pixels of the longest label that any method brings along."""
    titles = [
        spec.title for method in METHODS.values() for spec in method.parameters if spec.scope == "merge"
    ]
    return max((label.fontMetrics().horizontalAdvance(title) for title in titles), default=0)


def _label(text: str, field: QWidget) -> QLabel:
    label = QLabel(text)
    label.setBuddy(field)
    return label
