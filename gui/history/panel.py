"""The history of runs: what was merged, when, and what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.runs.history import History, HistoryEntry
from gui.failure import Failure
from gui.history.history_job import HistoryJob, HistoryRows
from gui.history.table_model import Column, HistoryModel, HistoryRow, details_text
from gui.jobs import JobKeeper
from gui.widgets.messages import ElidedLabel
from gui.widgets.theme import GRID, secondary
from gui.words import plural

__all__ = ["HistoryPanel"]

_ENTER = ("Return", "Enter")
_DELETE = ("Del",)
_LEAST_OUTPUT = "merged-model"
_NOTHING = "Every merge is listed here when it was run, and its recipe can be opened again."


class HistoryPanel(QWidget):
    """The table of runs with a search field. Its files are read and changed in jobs.

    Attributes:
        model: the runs that are shown.
        table: shows them.
        search_field: what to look for.
        note: the details of the selected run, or what just happened here.
        undo_button: there after a run was removed; brings it back.
        actions_: what can be done with the selected run, for menus.

    Signals:
        reopen_requested(object): the recipe of a HistoryEntry is wanted in the fields.
        resume_requested(object): a HistoryEntry that did not come to its end is to be gone on with.
        open_folder_requested(object): an output folder, a Path, is to be shown.
        compare_requested(object): a HistoryEntry that is done is to be compared with a second one.
        selected_changed(object): the HistoryEntry that is selected now, or None.
        loaded(object): the HistoryEntries of finished runs whose output is there, newest first.
    """

    reopen_requested = Signal(object)
    resume_requested = Signal(object)
    open_folder_requested = Signal(object)
    compare_requested = Signal(object)
    selected_changed = Signal(object)
    loaded = Signal(object)

    def __init__(self, history: History, jobs: JobKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history, self._jobs = history, jobs
        self._changes: deque[Callable[[], None]] = deque()
        self._job: HistoryJob | None = None
        self._read_again = False
        self._selected: HistoryEntry | None = None
        self._removed: HistoryEntry | None = None
        self._to_select: str | None = None
        self._rearranging = False
        self._failure: Failure | None = None
        self._skipped = ""
        self.model = HistoryModel(self)
        self.table = _HistoryView(self.model)
        self.search_field = QLineEdit()
        self.search_field.setPlaceholderText("Search")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.setAccessibleName("Search the history")
        self.search_field.setToolTip("Methods, models, seeds, output folders, dates, results")
        self.search_field.setMinimumWidth(self.fontMetrics().horizontalAdvance("0") * 6)
        self.search_field.setMaximumWidth(self.fontMetrics().horizontalAdvance("0") * 14)
        self.note = ElidedLabel()
        secondary(self.note)
        self.undo_button = QToolButton()
        self.undo_button.setText("Undo")
        self.undo_button.setToolTip("Put the run back into the history")
        self.undo_button.hide()
        self._reopen = self._action("Reopen recipe", "Put its recipe into the fields", _ENTER)
        self._resume = self._action(
            "Resume", "Go on with a merge that did not come to its end", ("Ctrl+Shift+R",)
        )
        self._open = self._action("Open folder", "Show the output folder", ("Ctrl+Shift+O",))
        self._compare = self._action("Compare…", "See what is different in another run", ("Ctrl+Shift+K",))
        self._remove = self._action(
            "Remove from history",
            "The run leaves this list; its files stay where they are",
            _DELETE,
        )
        self.actions_ = (self._reopen, self._resume, self._open, self._compare, self._remove)
        tools = QHBoxLayout()
        tools.setSpacing(GRID)
        tools.addWidget(self.search_field)
        self._remove.setIconText("Remove")
        for action in self.actions_:
            tools.addWidget(_button(action))
        tools.addWidget(self.note, 1)
        tools.addWidget(self.undo_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID)
        layout.setSpacing(GRID // 2)
        layout.addLayout(tools)
        layout.addWidget(self.table, 1)
        self.search_field.textChanged.connect(self.model.set_search)
        self.model.modelReset.connect(self._on_rearranged)
        self.table.selectionModel().selectionChanged.connect(self._on_selection_changed)
        self.table.doubleClicked.connect(self._on_reopen)
        self._reopen.triggered.connect(self._on_reopen)
        self._resume.triggered.connect(self._on_resume)
        self._open.triggered.connect(self._on_open)
        self._compare.triggered.connect(self._on_compare)
        self._remove.triggered.connect(self._on_remove)
        self.undo_button.clicked.connect(self._on_undo)
        self._update()

    # -- called by the window

    def refresh(self) -> None:
        """Read the history again; the selection and the place in the list stay."""
        if self._job is not None:
            self._read_again = True
            return
        self._read_again = False
        self._job = HistoryJob(self._history, self._changes)
        self._job.loaded.connect(self._on_loaded)
        self._job.finished.connect(self._on_finished)
        self._jobs.start(self._job)

    def flush(self) -> None:
        """Carry out what was still to be done; for when no job is started any more."""
        while self._changes:
            self._changes.popleft()()

    def selected(self) -> HistoryEntry | None:
        return self._selected

    # -- the job

    def _change(self, change: Callable[[], None]) -> None:
        self._changes.append(change)
        self.refresh()

    @Slot(object)
    def _on_loaded(self, history: HistoryRows) -> None:
        if self._changes:
            return  # what was read is out of date
        self._failure = history.failure
        self._skipped = _skipped_text(history)
        self.table.loaded = True
        self.model.set_rows(history.rows)
        self._to_select = None
        done = [row.entry for row in history.rows if row.entry.status == "done" and not row.gone]
        self.loaded.emit(tuple(done))

    @Slot()
    def _on_finished(self) -> None:
        self._job = None
        if self._read_again:
            self.refresh()

    # -- the selection

    @Slot()
    def _on_rearranged(self) -> None:
        """Select again what was selected before the table was filled anew."""
        wanted = self._to_select or (self._selected.id if self._selected is not None else None)
        number = self.model.number_of(wanted) if wanted is not None else None
        self._rearranging = True
        if number is not None:
            self.table.selectRow(number)
        self._on_selection_changed()
        self._rearranging = False

    @Slot()
    def _on_selection_changed(self) -> None:
        if not self._rearranging:  # the user goes on to something else
            self._removed = self._failure = None
        row = self._selected_row()
        before, self._selected = self._selected, row.entry if row is not None else None
        if self._selected != before:
            self.selected_changed.emit(self._selected)
        self._update()

    def _selected_row(self) -> HistoryRow | None:
        rows = self.table.selectionModel().selectedRows()
        return self.model.row(rows[0].row()) if rows else None

    # -- what the buttons do

    @Slot()
    def _on_reopen(self) -> None:
        if self._selected is not None:
            self.reopen_requested.emit(self._selected)

    @Slot()
    def _on_resume(self) -> None:
        if self._selected is not None:
            self.resume_requested.emit(self._selected)

    @Slot()
    def _on_open(self) -> None:
        if self._selected is not None:
            self.open_folder_requested.emit(self._selected.out)

    @Slot()
    def _on_compare(self) -> None:
        if self._selected is not None:
            self.compare_requested.emit(self._selected)

    @Slot()
    def _on_remove(self) -> None:
        entry = self._selected
        number = self.model.number_of(entry.id) if entry is not None else None
        if entry is None or number is None:
            return
        neighbour = number + 1 if number + 1 < self.model.rowCount() else number - 1
        self._to_select = self.model.row(neighbour).entry.id if neighbour >= 0 else None
        self._removed = entry
        self.model.remove(entry.id)
        self._change(partial(self._history.remove, entry.id))

    @Slot()
    def _on_undo(self) -> None:
        if self._removed is not None:
            self._to_select = self._removed.id
            self._change(partial(self._history.add, self._removed))
            self._removed = None
        self._update()
        self.table.setFocus()

    # -- how it looks

    def _update(self) -> None:
        row = self._selected_row()
        self._reopen.setEnabled(row is not None)
        self._resume.setEnabled(row is not None and row.left is not None)
        there = row is not None and row.entry.status == "done" and not row.gone
        self._open.setEnabled(there)
        self._compare.setEnabled(there)
        self._remove.setEnabled(row is not None)
        self.undo_button.setVisible(self._removed is not None)
        self.note.set_full_text(self._note(row))

    def _note(self, row: HistoryRow | None) -> str:
        if self._failure is not None:
            return f"{self._failure.message} {self._failure.hint or ''}".strip()
        if self._removed is not None:
            return f"Removed the run of {self._removed.local_date}; its files stay."
        return details_text(row) if row is not None else self._skipped

    def _action(self, text: str, tool_tip: str, keys: Sequence[str] = ()) -> QAction:
        """A command of the table: in its menu, on keys there, and on a button."""
        action = QAction(text, self)
        action.setToolTip(tool_tip)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self.table.addAction(action)
        return action


class _HistoryView(QTableView):
    """The table; while it is empty, it says why.

    Attributes:
        loaded: whether the history has been read.
    """

    def __init__(self, model: HistoryModel) -> None:
        super().__init__()
        self.loaded = False
        self.setModel(model)
        self.setAccessibleName("History of runs")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setIconSize(QSize(GRID, GRID))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + GRID)
        self.setSortingEnabled(True)
        self.sortByColumn(Column.DATE, Qt.SortOrder.DescendingOrder)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(3 * GRID)
        for column, widest in (
            (Column.DATE, "2025-12-31 00:00"),
            (Column.RESULT, "●Done, warned"),
            (Column.METHOD, "Parameter selection"),
            (Column.OUTPUT, _LEAST_OUTPUT),
            (Column.K, "100"),
            (Column.N, "rules"),
            (Column.SEED, "1234567890"),
            (Column.TIME, "59 min 59 s"),
        ):
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(widest) + GRID + GRID // 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        header = self.horizontalHeader()
        rest = self.viewport().width() - (header.length() - header.sectionSize(Column.OUTPUT))
        least = self.fontMetrics().horizontalAdvance(_LEAST_OUTPUT)
        header.resizeSection(Column.OUTPUT, max(rest, least))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        model = self.model()
        assert isinstance(model, HistoryModel)
        if model.rowCount() == 0 and self.loaded:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            sentence = "No run matches the search." if model.total else _NOTHING
            where = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.viewport().rect(), where, sentence)


def _button(action: QAction) -> QToolButton:
    button = QToolButton()
    button.setDefaultAction(action)
    button.setAccessibleName(action.text())
    return button


def _skipped_text(history: HistoryRows) -> str:
    sentences = []
    if history.newer:
        sentences.append(f"{plural(history.newer, 'run')} of a newer version left out.")
    if history.damaged:
        sentences.append(f"{plural(history.damaged, 'file')} that cannot be read left alone.")
    return " ".join(sentences)
