"""The panel of an evaluation: the data, the models, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.text import message_text, one_line
from gui.evaluation.figures import ResultRow
from gui.evaluation.settings_form import SettingsForm
from gui.evaluation.table_model import ResultsModel
from gui.evaluation.table_view import ResultsView
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.dropped import dropped_paths, sort_dropped
from gui.widgets.fields import defer_to_window, name_field, show_focus
from gui.widgets.messages import ElidedLabel, MessagePanel
from gui.widgets.plain import PlainLabel, menu_text, tool_tip
from gui.widgets.theme import GRID, quiet_label, secondary

__all__ = ["EvaluationPanel"]

_STEPS = 1000
_LINES = 2
"""Of the sentence below the table."""
_DATA_TIP = (
    "Samples that no model was trained on: JSONL or CSV with “text”, with “prompt” and “response”, with "
    "“messages” or with “text” and “label”; or plain text. A file can be dropped here."
)
_START_TIP = "Score what is ticked, unless it was scored before, and compare it with the reference"
_STOP_TIP = "Stop; what is scored is kept, and Start goes on with the rest"
_MOST_RUNS = 15
_ROOM_FOR_PATHS = 24 * GRID
"""Pixels of the data field and of what is said of the data, beyond the least."""


class EvaluationPanel(QWidget):
    """Fields, a table of models with what came of them, and a sentence on the one that is selected.

    Attributes:
        data_field, browse_button: the data file.
        start_button: starts, and stops what runs.
        settings, settings_button: what is folded away.
        reference_field: with which model the others are compared.
        add_button: adds models.
        model, table: the models and their scores.
        message: what went wrong.
        sentence: on the selected row; else how far it is, or what to do next.
        export_action, copy_action: the numbers as a file and for the clipboard; `actions_` are all commands.

    Signals:
        data_chosen(object): another data file, a Path; None for none.
        browse_requested(), folder_requested(): a dialog is wanted for the data file, or a model's folder.
        models_added(object): folders, a tuple of Paths.
        model_removed(object): one that was added, a Path.
        ticked(object, bool), reference_chosen(object): a model's Path.
        settings_changed(), start_requested(), stop_requested(), export_requested(), copy_requested().
    """

    data_chosen = Signal(object)
    browse_requested = Signal()
    folder_requested = Signal()
    models_added = Signal(object)
    model_removed = Signal(object)
    ticked = Signal(object, bool)
    reference_chosen = Signal(object)
    settings_changed = Signal()
    start_requested = Signal()
    stop_requested = Signal()
    export_requested = Signal()
    copy_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self._data: Path | None = None
        self._running = False
        self._why_not = self._status = ""
        self._facts = "", ""
        self._runs: Mapping[Path, str] = {}
        self._removable: frozenset[Path] = frozenset()
        self.data_field = QLineEdit()
        self.data_field.setPlaceholderText("A file with held-out samples")
        self.data_field.setMinimumWidth(8 * GRID)
        name_field(self.data_field, "Data file", _DATA_TIP)
        defer_to_window(self.data_field)
        self.browse_button = QPushButton("Browse…")
        self.browse_button.setAccessibleName("Choose the data file")
        self.browse_button.setToolTip("Choose the data file")
        self.start_button = QPushButton("Start")
        metrics = self.start_button.fontMetrics()
        self.start_button.setMinimumWidth(metrics.horizontalAdvance("Stopping") + 4 * GRID)
        self.settings = SettingsForm()
        self.settings_button = QToolButton()
        self.settings_button.setText("Settings")
        self.settings_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.settings_button.setAutoRaise(True)
        self.settings_button.setCheckable(True)
        self.settings_button.setToolTip("Longest sample, rows, type, exact match, bad rows")
        self.facts = ElidedLabel(elide=Qt.TextElideMode.ElideRight)
        self.facts.setMinimumWidth(7 * GRID)
        secondary(self.facts)
        self.reference_field = ChoiceBox()
        self.reference_field.setMinimumContentsLength(6)
        name_field(
            self.reference_field,
            "Compared with",
            "The model with which all others are compared, row by row. A sub-model shows whether merging "
            "helps; the base shows whether fine-tuning does.",
        )
        defer_to_window(self.reference_field)
        compared = PlainLabel("Compared with")
        compared.setBuddy(self.reference_field)
        self.add_button = QToolButton()
        self.add_button.setText("Add…")
        self.add_button.setAccessibleName("Add a model")
        self.add_button.setToolTip("Add the output of an earlier run, or any folder with a model")
        self.add_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._add_menu = QMenu(self)
        self._add_menu.setToolTipsVisible(True)
        self._add_menu.aboutToShow.connect(self._fill_add_menu)
        self.add_button.setMenu(self._add_menu)
        self.model = ResultsModel(self)
        self.table = ResultsView(self.model)
        row = self.table.verticalHeader().defaultSectionSize()
        self.table.setMinimumHeight(self.table.horizontalHeader().sizeHint().height() + row)
        self.message = MessagePanel(takes_from=self.table)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(GRID // 2)
        self.bar.setAccessibleName("Progress of the evaluation")
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing moves
        self.bar.setSizePolicy(policy)
        self.bar.hide()
        self.sentence = quiet_label()
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.sentence.setMinimumHeight(1)  # it is out of sight where there is no room for it
        self.sentence.setMaximumHeight(_LINES * self.sentence.fontMetrics().lineSpacing())
        self.sentence.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Maximum)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._make_actions()
        first, second = _line(), _line()
        first.addWidget(self.data_field, 1)
        first.addWidget(self.browse_button)
        second.addWidget(self.settings_button)
        second.addWidget(self.facts, 1)
        second.addWidget(compared)
        second.addWidget(self.reference_field, 1)
        for button in (self.add_button, self.start_button):
            second.addWidget(button)
        self._first, self._second = first, second
        self._lines = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._lines.setSpacing(GRID // 2)
        self._lines.addLayout(first, 1)
        self._lines.addLayout(second, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID // 2)
        layout.setSpacing(GRID // 2)
        layout.addLayout(self._lines)
        layout.addWidget(self.settings)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.message)
        layout.addWidget(self.bar)
        layout.addWidget(self.sentence)
        self._unfold(False)
        self._connect()
        self._update()

    def _make_actions(self) -> None:
        self.reference_action = _action("Compare all with this one", "Ctrl+Shift+F", self.table)
        self.remove_action = _action("Take off this list", "Del", self.table)
        self.copy_action = _action("Copy all numbers", "", self.table)
        self.export_action = _action("Save the numbers…", "", self.table)
        self.actions_ = (self.reference_action, self.remove_action, self.copy_action, self.export_action)

    def _connect(self) -> None:
        self.data_field.editingFinished.connect(self._on_typed)
        self.browse_button.clicked.connect(self.browse_requested)
        self.start_button.clicked.connect(self._on_start)
        self.settings_button.toggled.connect(self._unfold)
        self.settings.changed.connect(self._on_settings_changed)
        self.reference_field.activated.connect(self._on_reference)
        self.model.ticked.connect(self.ticked)
        self.table.selectionModel().selectionChanged.connect(self._update)
        self.reference_action.triggered.connect(self._on_reference_action)
        self.remove_action.triggered.connect(self._on_remove)
        self.copy_action.triggered.connect(self.copy_requested)
        self.export_action.triggered.connect(self.export_requested)

    # -- called from outside

    @property
    def data(self) -> Path | None:
        """The data file, absolute."""
        return self._data

    @property
    def selected(self) -> ResultRow | None:
        rows = self.table.selectionModel().selectedRows()
        return self.model.rows[rows[0].row()] if rows else None

    def show_data(self, path: Path | None) -> None:
        """Show another data file; nothing is emitted."""
        self._data = path
        self.data_field.setText("" if path is None else str(path))
        self._update()

    def show_rows(self, rows: Sequence[ResultRow], removable: Sequence[Path] = ()) -> None:
        """Args:
        rows: what the table shows; the selected model stays selected.
        removable: the models that can be taken off the list.
        """
        before = self.selected
        self._removable = frozenset(removable)
        self.model.set_rows(rows)
        number = None if before is None else self.model.number_of(before.candidate.path)
        if number is not None and self.selected is None:
            self.table.selectRow(number)
        self._fill_reference(rows)
        self._update()

    def select(self, path: Path) -> None:
        """Select the model at `path`, and have it in sight."""
        if (number := self.model.number_of(path)) is not None:
            self.table.selectRow(number)
            self.table.scrollTo(self.model.index(number, 0))

    def set_runs(self, runs: Mapping[Path, str]) -> None:
        """What can be added besides folders: outputs of runs, newest first, and what they are called."""
        self._runs = dict(runs)

    def show_facts(self, text: str, tip: str = "") -> None:
        """What the data are, in few words."""
        self._facts = text, tip
        self._update()

    def show_status(self, text: str) -> None:
        """What is said while no row is selected of which there is something to say."""
        self._status = message_text(text)
        self._update()

    def show_progress(self, share: float, text: str) -> None:
        """How far the evaluation that runs is."""
        self.bar.setValue(int(_STEPS * min(max(share, 0.0), 1.0)))
        self.show_status(text)

    def set_why_not(self, why: str) -> None:
        """Why nothing can be started now, in a sentence that says what to do; "" where it can."""
        self._why_not = why
        self._update()

    def set_running(self, running: bool) -> None:
        """Whether an evaluation runs; while it does, nothing of it can be changed."""
        if running and not self._running:
            self.bar.setValue(0)
        self._running = running
        self.bar.setVisible(running)
        self.model.set_locked(running)
        for widget in (self.data_field, self.browse_button, self.settings, self.reference_field):
            widget.setEnabled(not running)
        self.add_button.setEnabled(not running)
        self.start_button.setText("Stop" if running else "Start")
        self._update()

    def take_focus(self) -> None:
        """Put the focus where one goes on: on Start, or on the data file while there is none."""
        show_focus(self.start_button if self.start_button.isEnabled() else self.data_field)

    def show_stopping(self) -> None:
        self.start_button.setText("Stopping")
        self.start_button.setEnabled(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The fields are on one line where there is room for that; in a low panel the tool tips say what the
        sentence does."""
        super().resizeEvent(event)
        needed = self._first.minimumSize().width() + self._second.minimumSize().width() + _ROOM_FOR_PATHS
        wide = self.width() >= needed + 3 * GRID
        directions = QBoxLayout.Direction
        self._lines.setDirection(directions.LeftToRight if wide else directions.TopToBottom)
        self._lines.setSpacing(GRID if wide else GRID // 2)
        self._make_room()

    def _make_room(self) -> None:
        """Show the sentence where it leaves the table as much as that needs."""
        room = self.height() - self.minimumSizeHint().height()
        self.sentence.setVisible(room >= self.sentence.maximumHeight())

    # -- what the user does

    @Slot()
    def _on_typed(self) -> None:
        text = self.data_field.text().strip()
        path = Path(text).expanduser().absolute() if text else None
        if path != self._data:
            self._data = path
            self.data_chosen.emit(path)

    @Slot()
    def _on_start(self) -> None:
        self._on_typed()
        (self.stop_requested if self._running else self.start_requested).emit()

    @Slot()
    def _on_settings_changed(self) -> None:
        self._update()
        self.settings_changed.emit()

    @Slot()
    def _on_reference(self) -> None:
        self.reference_chosen.emit(self.reference_field.currentData())

    @Slot()
    def _on_reference_action(self) -> None:
        if (row := self.selected) is not None:
            self.reference_chosen.emit(row.candidate.path)

    @Slot()
    def _on_remove(self) -> None:
        if (row := self.selected) is not None and row.candidate.path in self._removable:
            self.model_removed.emit(row.candidate.path)

    @Slot()
    def _fill_add_menu(self) -> None:
        menu = self._add_menu
        menu.clear()
        menu.addAction("A folder…").triggered.connect(self.folder_requested)
        listed = {row.candidate.path for row in self.model.rows}
        runs = [(path, name) for path, name in self._runs.items() if path not in listed][:_MOST_RUNS]
        if runs:
            menu.addSection("Outputs of earlier runs")
        for path, name in runs:
            entry = menu.addAction(menu_text(name))
            entry.setToolTip(tool_tip(str(path)))
            entry.triggered.connect(lambda _, path=path: self.models_added.emit((path,)))

    @Slot(bool)
    def _unfold(self, unfolded: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow
        self.settings_button.setArrowType(arrow)
        self.settings.setVisible(unfolded)
        self._make_room()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event.mimeData()) and not self._running:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Folders, and files of weights, are models; any other file is data."""
        dropped = sort_dropped(dropped_paths(event.mimeData()))
        event.setDropAction(Qt.DropAction.CopyAction)  # or the file manager deletes them
        event.accept()
        if dropped.folders:
            self.models_added.emit(dropped.folders)
        if dropped.unusable:
            self.data_chosen.emit(dropped.unusable[0])

    # -- how it looks

    def _fill_reference(self, rows: Sequence[ResultRow]) -> None:
        field = self.reference_field
        shown = [(field.itemText(at), field.itemData(at)) for at in range(field.count())]
        wanted = [(one_line(row.name), row.candidate.path) for row in rows]
        if shown != wanted:
            field.clear()
            for name, path in wanted:
                field.addItem(name, path)
        chosen = next((number for number, row in enumerate(rows) if row.is_reference), -1)
        field.setCurrentIndex(chosen)

    @Slot()
    def _update(self) -> None:
        row = self.selected
        why = self._why_not or self.settings.problem
        self.start_button.setEnabled(self._running or not why)
        self.start_button.setToolTip(_STOP_TIP if self._running else tool_tip(why) if why else _START_TIP)
        self.reference_action.setEnabled(row is not None and not row.is_reference and not self._running)
        removable = row is not None and row.candidate.path in self._removable
        self.remove_action.setEnabled(removable and not self._running)
        scored = any(row.figures is not None for row in self.model.rows)
        self.copy_action.setEnabled(scored)
        self.export_action.setEnabled(scored)
        text, tip = self._facts
        self.facts.set_full_text("; ".join(filter(None, (text, self.settings.choices().summary))), tip)
        self.sentence.setText(_said_of(row) or self._status or why)


def _said_of(row: ResultRow | None) -> str:
    if row is None or row.state:
        return ""
    if row.comparison is not None:
        return row.comparison.sentence
    if row.figures is not None and row.is_reference:
        return "The others are compared with this one."
    return ""


def _line() -> QHBoxLayout:
    line = QHBoxLayout()
    line.setSpacing(GRID)
    return line


def _action(text: str, keys: str, table: QWidget) -> QAction:
    action = QAction(text, table)
    if keys:
        action.setShortcut(QKeySequence(keys))
    action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
    table.addAction(action)
    return action
