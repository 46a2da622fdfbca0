"""The fields that say what sub-models are made of, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.errors import MergeError
from core.train.presets import DEFAULT_PRESET, PRESETS
from gui.document.output_names import free_name
from gui.failure import Failure
from gui.numbers import NumberKind
from gui.training.path_edit import PathEdit
from gui.training.request import Asked, Request
from gui.widgets.choosing import choose_folder
from gui.widgets.fields import NumberField, defer_to_window, form_layout, name_field, show_focus, side_by_side
from gui.widgets.messages import ElidedLabel
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, quiet_label, secondary

__all__ = ["MakeForm", "Start"]

_DATA_FILES = "Data (*.jsonl *.json *.csv *.txt *.md);;All files (*)"
_KEEPS = (("Every epoch", "all"), ("The last epoch", "last"), ("The best epoch", "best"))
_LINES = 4
"""Of what is said of steps, disk and memory."""

_DATA_TIP = (
    "JSONL or CSV with a column text, with prompt and response, with messages, or with text and label; "
    "or plain text."
)


@dataclass(frozen=True)
class Start:
    """What the fields begin with.

    Attributes:
        base: None for none.
        out: the folder of the runs; None for none.
        data_folder: where the dialogs for data begin.
    """

    base: Path | None
    out: Path | None
    data_folder: Path


class MakeForm(QWidget):
    """The fields of a Request.

    Attributes:
        fields: by name: "base", "data", "validation", "orders", "epochs", "preset", "learning_rate", "batch",
            "max_length", "keep", "same_batches", "skip_bad_rows", "out".
        texts: what is said below "base", "data" and "validation".
        out_text: how many steps that are, and what they take of the disk.

    Signals:
        changed(): a field changed.
    """

    changed = Signal()

    def __init__(self, start: Start, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data_folder = start.data_folder
        self.fields: dict[str, QWidget] = {}
        texts = ("base", "data", "validation")
        self.texts = {name: ElidedLabel(elide=Qt.TextElideMode.ElideRight) for name in texts}
        for label in self.texts.values():
            secondary(label)
            label.set_full_text(" ")
        self.out_text = quiet_label()
        self.out_text.setMinimumHeight(_LINES * self.fontMetrics().lineSpacing())
        self.out_text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._form = form_layout(self)
        self._fill_form(start)
        self._choose_preset()

    def path(self, name: str) -> Path | None:
        """What is typed into the field of that name, absolute; None for nothing."""
        field = self.fields[name]
        assert isinstance(field, QLineEdit)
        text = field.text().strip()
        return Path(os.path.abspath(os.path.expanduser(text))) if text else None

    def asked(self) -> Asked:
        """What is filled in so far."""
        request = self._request(Path(), Path(), Path())
        try:
            settings = None if self._unread() else request.settings
        except MergeError:
            settings = None
        base, data, validation, out = map(self.path, ("base", "data", "validation", "out"))
        return Asked(base, data, validation, out, settings, request.skip_bad_rows)

    def request(self) -> Request | Failure:
        """What is asked for, or what is missing."""
        base, data, out = (self.path(name) for name in ("base", "data", "out"))
        if base is None:
            return Failure("Choose the base model.")
        if data is None:
            return Failure("Choose the data to train on.")
        if out is None:
            return Failure("Choose the folder that the sub-models go into.")
        if unread := self._unread():
            return Failure(unread)
        request = self._request(base, data, out)
        try:
            settings = request.settings
        except MergeError as error:
            return Failure.of(error)
        if settings.keep == "best" and request.validation is None:
            return Failure(
                "The best epoch is the one with the lowest loss on validation data.", "Choose some."
            )
        return request

    def show_texts(self, texts: dict[str, str], problems: dict[str, Failure]) -> None:
        """Say below the fields what was found out, by their names."""
        said = {name: f"! {problem.message}" for name, problem in problems.items()}
        for name, label in self.texts.items():
            label.set_full_text(said.get(name) or texts.get(name) or " ")
        self.out_text.setText(said.get("out") or texts.get("out", ""))

    # -- inside

    def _fill_form(self, start: Start) -> None:
        self._add_path("base", "&Base", str(start.base or ""), "The model that every order begins with")
        self._add_path("data", "&Data", "", _DATA_TIP)
        self._add_path(
            "validation",
            "&Validation data",
            "",
            "What the losses are measured on after each epoch; it is not trained on. May be left empty.",
        )
        self._validation.setPlaceholderText("None: no losses are measured")
        numbers = (
            ("orders", "&Orders, K", NumberKind("K", whole=True, minimum=1, maximum=1000), 4,
             "How many sub-models: each sees the same data in an order of its own"),
            ("epochs", "&Epochs", NumberKind("Epochs", whole=True, minimum=1, maximum=1000), 3,
             "How often each goes through the data"),
        )  # fmt: skip
        for name, title, kind, number, tip in numbers:
            self._add_number(name, title, kind, number, tip)
        preset = self.fields["preset"] = QComboBox()
        for name, values in PRESETS.items():
            preset.addItem(f"{name} – {values.about}" if values.about else name, name)
        preset.setCurrentIndex(preset.findData(DEFAULT_PRESET))
        preset.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._add("&Preset", preset, preset, "Preset", "Fills in the three fields below")
        preset.activated.connect(self._choose_preset)
        rate = NumberKind("The learning rate", minimum=0, maximum=1)
        self._add_number("learning_rate", "&Learning rate", rate, 2e-5, "The highest one, after the warm-up")
        batch = NumberKind("The batch", whole=True, minimum=1, maximum=1 << 20)
        self._add_number("batch", "Ba&tch", batch, 8, "Samples of one step")
        length = NumberKind("The length", whole=True, minimum=2, maximum=1 << 24)
        self._add_number(
            "max_length", "Le&ngth", length, 512, "The most tokens of a sample; the rest is cut off"
        )
        keep = self.fields["keep"] = QComboBox()
        for text, value in _KEEPS:
            keep.addItem(text, value)
        self._add("&Keep", keep, keep, "What is kept", "Which models of each order stay on the disk")
        keep.currentIndexChanged.connect(self.changed)
        self._same_batches = self._add_check(
            "same_batches",
            "The same sa&mples in a batch, in other places",
            "All orders have the batches of the first one, in another order, as in the paper's Table 4.",
        )
        self._skip = self._add_check(
            "skip_bad_rows",
            "Skip bad &rows",
            "Leave out rows that cannot be used, and say which; without it they stop it",
        )
        checks = QHBoxLayout()  # in one line, so that all has room on a low screen
        checks.setSpacing(2 * GRID)
        checks.addWidget(self._same_batches)
        checks.addWidget(self._skip)
        checks.addStretch(1)
        self._form.addRow("", checks)
        self._add_path("out", "O&utput folder", str(start.out or ""), "A folder for every order goes into it")

    def _add_path(self, name: str, title: str, value: str, tip: str) -> None:
        edit = self.fields[name] = PathEdit(value)
        if name == "validation":
            self._validation = edit
        button = QPushButton("Choose…")
        button.setAccessibleName(f"Choose the {title.replace('&', '').lower()}")
        button.setAutoDefault(False)
        button.clicked.connect(lambda _=False: self._on_choose(name))
        inner = QVBoxLayout()
        inner.setSpacing(GRID // 2)
        inner.addLayout(side_by_side(edit, button))
        inner.addWidget(self.texts.get(name, self.out_text))
        self._add(title, inner, edit, title.replace("&", ""), tip)
        edit.setAcceptDrops(True)
        edit.textChanged.connect(self.changed)

    def _add_number(self, name: str, title: str, kind: NumberKind, value: float, tip: str) -> None:
        field = self.fields[name] = NumberField(kind, value)
        self._add(title, field, field, title.replace("&", ""), tip)
        field.changed.connect(self.changed)

    def _add_check(self, name: str, text: str, tip: str) -> QCheckBox:
        box = self.fields[name] = QCheckBox(text)
        name_field(box, text.replace("&", ""), tip)
        box.toggled.connect(self.changed)
        return box

    def _add(self, title: str, row: Any, field: QWidget, name: str, tip: str) -> None:
        defer_to_window(field)
        name_field(field, name, tip)
        label = PlainLabel(title)
        label.setBuddy(field)
        self._form.addRow(label, row)

    def _request(self, base: Path, data: Path, out: Path) -> Request:
        return Request(
            base=base,
            data=data,
            validation=self.path("validation"),
            out=out,
            preset=str(self._chosen("preset")),
            orders=self._whole("orders"),
            epochs=self._whole("epochs"),
            learning_rate=float(self._number("learning_rate").value or 0.0),
            batch=self._whole("batch"),
            max_length=self._whole("max_length"),
            keep=str(self._chosen("keep")),
            same_batches=self._same_batches.isChecked(),
            skip_bad_rows=self._skip.isChecked(),
        )

    def _unread(self) -> str:
        """Why a number that was typed cannot be taken, in a sentence; "" where all can."""
        fields = [field for field in self.fields.values() if isinstance(field, NumberField)]
        return next((field.unread.sentence for field in fields if field.unread is not None), "")

    def _number(self, name: str) -> NumberField:
        field = self.fields[name]
        assert isinstance(field, NumberField)
        return field

    def _whole(self, name: str) -> int:
        return int(self._number(name).value or 0)

    def _chosen(self, name: str) -> Any:
        field = self.fields[name]
        assert isinstance(field, QComboBox)
        return field.currentData()

    @Slot()
    def _choose_preset(self) -> None:
        preset = PRESETS[str(self._chosen("preset"))]
        self._number("learning_rate").show_number(preset.learning_rate)
        self._number("batch").show_number(preset.batch)
        self._number("max_length").show_number(preset.max_length)

    def _on_choose(self, name: str) -> None:
        field, now = self.fields[name], self.path(name)
        assert isinstance(field, QLineEdit)
        if name in {"data", "validation"}:
            start = now.parent if now is not None else self._data_folder
            title = "Choose the data" if name == "data" else "Choose the validation data"
            chosen, _ = QFileDialog.getOpenFileName(self, title, str(start), _DATA_FILES)
            path = Path(chosen) if chosen else None
            if path is not None:
                self._data_folder = path.parent
        elif name == "base":
            path = choose_folder(self, "Choose the base model", now.parent if now else Path.home())
        else:
            above = choose_folder(
                self, "Choose where the folder of the sub-models goes", now.parent if now else Path.home()
            )
            path = free_name(above / (now.name if now is not None else "sub-models")) if above else None
        if path is not None:
            field.setText(str(path))
            show_focus(field)
