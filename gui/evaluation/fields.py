"""The lines above the table of an evaluation: the data, the reference, and the button that starts it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QLineEdit, QMenu, QPushButton, QToolButton, QWidget

from core.text import one_line
from gui.evaluation.figures import ResultRow
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.fields import defer_to_window, name_field
from gui.widgets.messages import ElidedLabel
from gui.widgets.plain import PlainLabel, menu_text, tool_tip
from gui.widgets.theme import GRID, secondary

__all__ = ["EvaluationFields"]

_DATA_TIP = (
    "Samples that no model was trained on: JSONL or CSV with “text”, with “prompt” and “response”, with "
    "“messages” or with “text” and “label”; or plain text. A file can be dropped here."
)
_REFERENCE_TIP = (
    "The model with which all others are compared, row by row. A sub-model shows whether merging helps; the "
    "base shows whether fine-tuning does."
)
_MOST_RUNS = 15
_PAUSE_MS = 400
"""A pause in typing, after which what was typed counts."""
_ROOM_FOR_PATHS = 24 * GRID
"""Pixels of the data field and of what is said of the data, beyond the least."""


class EvaluationFields(QWidget):
    """One line where there is room for that, two where there is not.

    Attributes:
        data: the file, absolute; None for none.
        data_field, browse_button: for it.
        settings_button: unfolds the settings. facts: what the data are.
        reference_field: with which model the others are compared.
        add_button: adds models.
        start_button: starts, and stops what runs.

    Signals:
        data_chosen(object): another data file was typed, a Path; None for none.
        models_added(object): folders, a tuple of Paths.
        folder_requested(): a dialog is wanted for a model's folder.
        reference_chosen(object): a model's Path.
    """

    data_chosen = Signal(object)
    models_added = Signal(object)
    folder_requested = Signal()
    reference_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.data: Path | None = None
        self._runs: Mapping[Path, str] = {}
        self._listed: frozenset[Path] = frozenset()
        self.data_field = QLineEdit()
        self.data_field.setPlaceholderText("A file with held-out samples")
        self.data_field.setMinimumWidth(8 * GRID)
        name_field(self.data_field, "Data file", _DATA_TIP)
        defer_to_window(self.data_field)
        self.browse_button = QPushButton("Choose…")
        self.browse_button.setAccessibleName("Choose the data file")
        self.browse_button.setToolTip("Choose the data file")
        self.settings_button = _quiet_button("Settings")
        self.settings_button.setAutoRaise(True)
        self.settings_button.setCheckable(True)
        self.settings_button.setToolTip("Longest sample, rows, type, exact match, bad rows")
        self.facts = ElidedLabel(elide=Qt.TextElideMode.ElideRight)
        self.facts.setMinimumWidth(7 * GRID)
        secondary(self.facts)
        self.reference_field = ChoiceBox()
        self.reference_field.setMinimumContentsLength(6)
        name_field(self.reference_field, "Compared with", _REFERENCE_TIP)
        defer_to_window(self.reference_field)
        compared = PlainLabel("Compared with")
        compared.setBuddy(self.reference_field)
        self.add_button = _quiet_button("Add…")
        self.add_button.setAccessibleName("Add a model")
        self.add_button.setToolTip("Add the output of an earlier run, or any folder with a model")
        self.add_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.add_button.setMenu(self._menu)
        self.start_button = QPushButton("Start")
        metrics = self.start_button.fontMetrics()
        self.start_button.setMinimumWidth(metrics.horizontalAdvance("Stopping") + 4 * GRID)
        self._first, self._second = QHBoxLayout(), QHBoxLayout()
        self._first.addWidget(self.data_field, 1)
        self._first.addWidget(self.browse_button)
        self._second.addWidget(self.settings_button)
        self._second.addWidget(self.facts, 1)
        self._second.addWidget(compared)
        self._second.addWidget(self.reference_field, 1)
        self._second.addWidget(self.add_button)
        self._second.addWidget(self.start_button)
        self._lines = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.setSpacing(GRID // 2)
        for line, share in ((self._first, 2), (self._second, 3)):  # names of models need more than paths
            line.setSpacing(GRID)
            self._lines.addLayout(line, share)
        self._typing = QTimer(self)  # or Start would wait for Return
        self._typing.setSingleShot(True)
        self._typing.setInterval(_PAUSE_MS)
        self._typing.timeout.connect(self._take_file)
        self.data_field.textEdited.connect(lambda _: self._typing.start())
        self.data_field.editingFinished.connect(self.take_typed)
        self.reference_field.activated.connect(self._on_reference)

    def show_data(self, path: Path | None) -> None:
        """Show another data file; nothing is emitted."""
        self._typing.stop()
        self.data = path
        if self._typed() != path:  # who is still typing is not disturbed
            self.data_field.setText("" if path is None else str(path))

    def set_runs(self, runs: Mapping[Path, str]) -> None:
        """What can be added besides folders: outputs of runs, newest first, and what they are called."""
        self._runs = dict(runs)

    def show_rows(self, rows: Sequence[ResultRow]) -> None:
        """Offer the models of the table to be compared with."""
        self._listed = frozenset(row.candidate.path for row in rows)
        field = self.reference_field
        shown = [(field.itemText(at), field.itemData(at)) for at in range(field.count())]
        wanted = [(one_line(row.name), row.candidate.path) for row in rows]
        if shown != wanted:
            field.clear()
            for name, path in wanted:
                field.addItem(name, path)
        field.setCurrentIndex(next((at for at, row in enumerate(rows) if row.is_reference), -1))

    def set_running(self, running: bool) -> None:
        for widget in (self.data_field, self.browse_button, self.reference_field, self.add_button):
            widget.setEnabled(not running)
        self.start_button.setText("Stop" if running else "Start")

    @Slot()
    def take_typed(self) -> None:
        """Go by what stands in the data field."""
        self._typing.stop()
        path = self._typed()
        if path != self.data:
            self.data = path
            self.data_chosen.emit(path)

    @Slot()
    def _take_file(self) -> None:
        """Go by what is typed so far if there is such a file; of the beginning of a name nothing is said."""
        path = self._typed()
        if path is None or os.path.isfile(path):
            self.take_typed()

    def _typed(self) -> Path | None:
        text = self.data_field.text().strip()
        return Path(os.path.expanduser(text)).absolute() if text else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        needed = self._first.minimumSize().width() + self._second.minimumSize().width() + _ROOM_FOR_PATHS
        wide = self.width() >= needed + GRID
        directions = QBoxLayout.Direction
        self._lines.setDirection(directions.LeftToRight if wide else directions.TopToBottom)
        self._lines.setSpacing(GRID if wide else GRID // 2)

    @Slot()
    def _on_reference(self) -> None:
        self.reference_chosen.emit(self.reference_field.currentData())

    @Slot()
    def _fill_menu(self) -> None:
        self._menu.clear()
        self._menu.addAction("A folder…").triggered.connect(self.folder_requested)
        runs = [(path, name) for path, name in self._runs.items() if path not in self._listed][:_MOST_RUNS]
        if runs:
            self._menu.addSection("Outputs of earlier runs")
        for path, name in runs:
            entry = self._menu.addAction(menu_text(name))
            entry.setToolTip(tool_tip(str(path)))
            entry.triggered.connect(lambda _, path=path: self.models_added.emit((path,)))


def _quiet_button(text: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button
