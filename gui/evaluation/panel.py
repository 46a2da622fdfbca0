"""The panel of an evaluation: the data, the models, and what came of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.text import message_text
from gui.evaluation.commands import ResultCommands
from gui.evaluation.fields import EvaluationFields
from gui.evaluation.figures import ResultRow
from gui.evaluation.sentence_label import SentenceLabel, said_of
from gui.evaluation.settings_form import SettingsForm
from gui.evaluation.share_bar import ShareBar
from gui.evaluation.table_model import ResultsModel
from gui.evaluation.table_view import ResultsView
from gui.failure import Failure
from gui.widgets.dropped import dropped_paths, sort_dropped
from gui.widgets.fields import show_focus
from gui.widgets.messages import DetailsDialog, MessagePanel
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID

__all__ = ["EvaluationPanel"]

_DETAILS = "Show details…"
_SKIP = "Skip bad rows"
_START_TIP = "Score what is ticked, unless it was scored before, and compare it with the reference"
_STOP_TIP = "Stop; what is scored is kept, and Start goes on with the rest"


class EvaluationPanel(QWidget):
    """Fields, a table of models with what came of them, and a sentence on the one that is selected.

    Attributes:
        fields: data, reference, the button that starts; what is in there has the same names here.
        settings: what is folded away.
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
        marked(object): the names of the model that is selected, one.
        settings_changed(), start_requested(), stop_requested(), export_requested(), copy_requested().
    """

    data_chosen = Signal(object)
    browse_requested = Signal()
    folder_requested = Signal()
    models_added = Signal(object)
    model_removed = Signal(object)
    ticked = Signal(object, bool)
    reference_chosen = Signal(object)
    marked = Signal(object)
    settings_changed = Signal()
    start_requested = Signal()
    stop_requested = Signal()
    export_requested = Signal()
    copy_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self._running = self._stopping = False
        self._why_not = self._status = ""
        self._facts = "", ""
        self._failure: Failure | None = None
        self._removable: frozenset[Path] = frozenset()
        self.fields = EvaluationFields()
        self.data_field, self.browse_button = self.fields.data_field, self.fields.browse_button
        self.settings_button, self.facts = self.fields.settings_button, self.fields.facts
        self.reference_field, self.add_button = self.fields.reference_field, self.fields.add_button
        self.start_button = self.fields.start_button
        self.settings = SettingsForm()
        self.model = ResultsModel(self)
        self.table = ResultsView(self.model)
        row = self.table.verticalHeader().defaultSectionSize()
        self.table.setMinimumHeight(self.table.horizontalHeader().sizeHint().height() + row)
        self.message = MessagePanel(takes_from=self.table)
        self.bar = ShareBar()
        self.sentence = SentenceLabel()
        self._commands = ResultCommands(self.table)
        self.copy_action, self.export_action = self._commands.copy, self._commands.export
        self.reference_action, self.remove_action = self._commands.reference, self._commands.remove
        self.actions_ = self._commands.all
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID // 2)
        layout.setSpacing(GRID // 2)
        for part in (self.fields, self.settings, self.table, self.message, self.bar, self.sentence):
            layout.addWidget(part, int(part is self.table))
        self._unfold(False)
        self._connect()
        self._update()

    def _connect(self) -> None:
        self.fields.data_chosen.connect(self.data_chosen)
        self.fields.models_added.connect(self.models_added)
        self.fields.folder_requested.connect(self.folder_requested)
        self.fields.reference_chosen.connect(self.reference_chosen)
        self.browse_button.clicked.connect(self.browse_requested)
        self.start_button.clicked.connect(self._on_start)
        self.settings_button.toggled.connect(self._unfold)
        self.settings.changed.connect(self._on_settings_changed)
        self.message.action_requested.connect(self._on_action)
        self.model.ticked.connect(self.ticked)
        self.table.selectionModel().selectionChanged.connect(self._on_selected)
        self.reference_action.triggered.connect(self._on_reference_action)
        self.remove_action.triggered.connect(self._on_remove)
        self.copy_action.triggered.connect(self.copy_requested)
        self.export_action.triggered.connect(self.export_requested)

    # -- called from outside

    @property
    def data(self) -> Path | None:
        """The data file, absolute."""
        return self.fields.data

    @property
    def selected(self) -> ResultRow | None:
        rows = self.table.selectionModel().selectedRows()
        return self.model.rows[rows[0].row()] if rows else None

    def show_data(self, path: Path | None) -> None:
        """Show another data file; nothing is emitted."""
        self.fields.show_data(path)
        self._update()

    def show_rows(self, rows: Sequence[ResultRow], removable: Collection[Path] = ()) -> None:
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
        self.fields.show_rows(rows)
        self._update()

    def select(self, path: Path) -> None:
        """Select the model at `path`, and have it in sight."""
        if (number := self.model.number_of(path)) is not None:
            self.table.selectRow(number)
            self.table.scrollTo(self.model.index(number, 0))

    def set_runs(self, runs: Mapping[Path, str]) -> None:
        """What can be added besides folders: outputs of runs, newest first, and what they are called."""
        self.fields.set_runs(runs)

    def show_facts(self, text: str, tip: str = "") -> None:
        """What the data are, in few words."""
        self._facts = text, tip
        self._update()

    def show_failure(self, failure: Failure) -> None:
        """Say what went wrong, with what there is to be read of a fault of the program."""
        self._failure = failure
        skips = _SKIP in (failure.hint or "") and not self.settings.skip_bad_rows.isChecked()
        actions = [text for text, offered in ((_DETAILS, failure.details), (_SKIP, skips)) if offered]
        self.message.show_failure(failure, actions)

    def show_status(self, text: str) -> None:
        """What is said while no row is selected of which there is something to say."""
        self._status = message_text(text)
        self._update()

    def show_progress(self, share: float, text: str) -> None:
        """How far the evaluation that runs is."""
        self.bar.show_share(share)
        self.show_status(text)

    def set_why_not(self, why: str) -> None:
        """Why nothing can be started now, in a sentence that says what to do; "" where it can."""
        self._why_not = why
        self._update()

    def set_running(self, running: bool) -> None:
        """Whether an evaluation runs; while it does, nothing of it can be changed."""
        if running and not self._running:
            self.bar.show_share(0.0)
        self._running, self._stopping = running, False
        self.bar.setVisible(running)
        self.model.set_locked(running)
        self.settings.setEnabled(not running)
        self.fields.set_running(running)
        self._update()

    def take_focus(self) -> None:
        """Put the focus where one goes on: on Start, or on the data file while there is none."""
        show_focus(self.start_button if self.start_button.isEnabled() else self.data_field)

    def show_stopping(self) -> None:
        self._stopping = True
        self.start_button.setText("Stopping")
        self._update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """Show the sentence where it leaves the table as much as that needs; the tool tips say it, too."""
        self.sentence.fit(self.height() - self.minimumSizeHint().height())

    def show_marked(self, names: frozenset[str]) -> None:
        """Select the model with the only one of these names, or else none."""
        paths = [row.candidate.path for row in self.model.rows if names == {row.name}]
        if paths:
            self.select(paths[0])
        else:
            self.table.clearSelection()

    # -- what the user does

    @Slot()
    def _on_selected(self) -> None:
        self._update()
        if (row := self.selected) is not None:
            self.marked.emit(frozenset({row.name}))

    @Slot()
    def _on_start(self) -> None:
        self.fields.take_typed()
        (self.stop_requested if self._running else self.start_requested).emit()

    @Slot()
    def _on_settings_changed(self) -> None:
        self._update()
        self.settings_changed.emit()

    @Slot()
    def _on_reference_action(self) -> None:
        if (row := self.selected) is not None:
            self.reference_chosen.emit(row.candidate.path)

    @Slot(str)
    def _on_action(self, text: str) -> None:
        if text == _SKIP:
            self.settings.skip_bad_rows.setChecked(True)
        elif self._failure is not None:
            DetailsDialog(self._failure, self.window()).open()

    @Slot()
    def _on_remove(self) -> None:
        if (row := self.selected) is not None and row.candidate.path in self._removable:
            self.model_removed.emit(row.candidate.path)

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

    @Slot()
    def _update(self) -> None:
        row = self.selected
        why = self._why_not or self.settings.problem
        self.start_button.setEnabled(not self._stopping if self._running else not why)
        self.start_button.setToolTip(_STOP_TIP if self._running else tool_tip(why) if why else _START_TIP)
        removable = row is not None and row.candidate.path in self._removable
        scored = any(row.figures is not None for row in self.model.rows)
        self._commands.update(row, removable=removable, running=self._running, scored=scored)
        facts = filter(None, (self._facts[0], self.settings.choices().summary))
        self.facts.set_full_text("; ".join(facts), self._facts[1])
        told = self._failure is not None and self.message.isVisible() and why == self._failure.message
        self.sentence.sentence = said_of(row) or self._status or ("" if told else why)
        self._make_room()
