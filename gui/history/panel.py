"""The history of runs: what was merged, when, and what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QToolButton, QVBoxLayout, QWidget

from core import MergeError
from core.evaluate.store.score_store import ScoreStore
from core.runs.history import History, HistoryEntry
from gui.failure import Failure
from gui.history.history_job import HistoryJob, HistoryRows
from gui.history.table_model import Column, HistoryModel, HistoryRow, details_text
from gui.history.table_view import HistoryView
from gui.jobs import JobKeeper
from gui.widgets.messages import ElidedLabel
from gui.widgets.theme import GRID, secondary
from gui.words import plural

__all__ = ["HistoryPanel"]

_ENTER = ("Return", "Enter")
_DELETE = ("Del",)
_REOPEN = "Put its recipe into the fields"
_RESUME = "Go on with a merge that did not come to its end"
_WAIT = "As soon as the merge is done"
_COMPARE = "Compare the outputs of the two runs that are selected"
_EVALUATE = "Have the outputs that are selected among the models that are evaluated"
_SELECT_TWO = "Select two runs: a Ctrl+click, or Shift and an arrow key, adds one"


class HistoryPanel(QWidget):
    """The table of runs with a search field. Its files are read and changed in jobs.

    Attributes:
        model: the runs that are shown.
        table: shows them.
        search_field: what to look for.
        note: the details of the selected run, or what just happened here.
        undo_button: there after runs were removed; brings them back.
        actions_: what can be done with the selected runs, for menus.

    Signals:
        reopen_requested(object): the recipe of a HistoryEntry is wanted in the fields.
        resume_requested(object): a HistoryEntry that did not come to its end is to be gone on with.
        open_folder_requested(object): an output folder, a Path, is to be shown.
        compare_requested(object, object): two HistoryEntries that are done are to be compared, the later one
            first.
        evaluate_requested(object): outputs are to be evaluated, a tuple of Paths.
        selected_changed(object): the HistoryEntry that is selected now; None where none is, or several are.
        loaded(object): the HistoryEntries of finished runs whose output is there, newest first.
    """

    reopen_requested = Signal(object)
    resume_requested = Signal(object)
    open_folder_requested = Signal(object)
    compare_requested = Signal(object, object)
    evaluate_requested = Signal(object)
    selected_changed = Signal(object)
    loaded = Signal(object)

    def __init__(
        self,
        history: History,
        jobs: JobKeeper,
        scores: ScoreStore | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Args:
        history: the runs.
        jobs: keeps what reads and changes them.
        scores: what evaluations have found of their outputs; None for nothing.
        """
        super().__init__(parent)
        self._history, self._jobs, self._scores = history, jobs, scores
        self._changes: deque[Callable[[], None]] = deque()
        self._job: HistoryJob | None = None
        self._read_again = False
        self._loaded: HistoryRows | None = None
        self._selected: tuple[HistoryEntry, ...] = ()
        self._removed: tuple[HistoryEntry, ...] = ()
        self._to_select: tuple[str, ...] = ()
        self._rearranging = self._merging = False
        self._failure: Failure | None = None
        self._skipped = ""
        self.model = HistoryModel(self)
        self.table = HistoryView(self.model)
        self.search_field = QLineEdit()
        self.search_field.setPlaceholderText("Search")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.setAccessibleName("Search the history")
        self.search_field.setToolTip(
            "Methods, parameters, rules, models, seeds, output folders, dates, results, notes, data"
        )
        self.search_field.setMinimumWidth(self.fontMetrics().horizontalAdvance("0") * 6)
        self.search_field.setMaximumWidth(self.fontMetrics().horizontalAdvance("0") * 14)
        self.note = ElidedLabel()
        secondary(self.note)
        self.undo_button = QToolButton()
        self.undo_button.setText("Undo")
        self.undo_button.setToolTip("Put the run back into the history")
        self.undo_button.hide()
        self._reopen = self._action("Reopen recipe", _REOPEN, _ENTER)
        self._resume = self._action("Resume", _RESUME, ("Ctrl+Shift+R",))
        self._open = self._action("Open folder", "Show the output folder", ("Ctrl+Shift+O",))
        self._compare = self._action("Compare", _SELECT_TWO, ("Ctrl+Shift+K",))
        self._remove = self._action(
            "Remove from history",
            "What is selected leaves this list; its files stay where they are",
            _DELETE,
        )
        self._write = self._action("Write a note", "Write a note beside the run that is selected", ("F2",))
        self._evaluate = self._action("Evaluate", _EVALUATE, ("Ctrl+Shift+E",))
        own = self._evaluate, self._write
        self.actions_ = (self._reopen, self._resume, self._open, self._compare, *own, self._remove)
        tools = QHBoxLayout()
        tools.setSpacing(GRID)
        tools.addWidget(self.search_field)
        self._remove.setIconText("Remove")
        for action in self.actions_:
            if action not in own:  # which are for the menus: there is little room
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
        self.table.doubleClicked.connect(self._on_double_clicked)
        self.model.note_written.connect(self._on_note_written)
        self.table.note_closed.connect(self._on_note_closed, Qt.ConnectionType.QueuedConnection)
        self._write.triggered.connect(self._on_write)
        self._evaluate.triggered.connect(self._on_evaluate)
        self._reopen.triggered.connect(self._on_reopen)
        self._resume.triggered.connect(self._on_resume)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._on_menu)
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
        self._job = HistoryJob(self._history, self._changes, self._scores)
        self._job.loaded.connect(self._on_loaded)
        self._job.finished.connect(self._on_finished)
        self._jobs.start(self._job)

    def flush(self) -> None:
        """Carry out what was still to be done; for when no job is started any more."""
        while self._changes:
            with suppress(MergeError):  # there is no one any more to be told
                self._changes.popleft()()

    def selected(self) -> HistoryEntry | None:
        """The one run that is selected; None where none is, or several are."""
        return self._selected[0] if len(self._selected) == 1 else None

    def set_merging(self, merging: bool) -> None:
        """While a merge runs nothing is compared, opened again or gone on with."""
        self._merging = merging
        self._update()

    # -- the job

    @Slot(object)
    def _on_loaded(self, history: HistoryRows) -> None:
        if self._changes:
            return  # what was read is out of date
        if self.table.writing:
            self._loaded = history
            return
        self._failure = history.failure
        self._skipped = _skipped_text(history)
        self.table.loaded = True
        self.model.set_rows(history.rows)
        self._to_select = ()
        done = [row.entry for row in history.rows if row.entry.status == "done" and not row.gone]
        self.loaded.emit(tuple(done))

    @Slot()
    def _on_note_closed(self) -> None:
        """Show what was read while a note was written."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            self._on_loaded(loaded)

    @Slot()
    def _on_finished(self) -> None:
        self._job = None
        if self._read_again:
            self.refresh()

    # -- the selection

    @Slot()
    def _on_rearranged(self) -> None:
        """Select again what was selected before the table was filled anew."""
        wanted = self._to_select or tuple(entry.id for entry in self._selected)
        numbers = [number for one in wanted if (number := self.model.number_of(one)) is not None]
        selection, flags = self.table.selectionModel(), QItemSelectionModel.SelectionFlag
        self._rearranging = True
        for number in numbers:
            selection.select(self.model.index(number, 0), flags.Select | flags.Rows)
        if numbers:
            selection.setCurrentIndex(self.model.index(numbers[0], 0), flags.NoUpdate)
        self._on_selection_changed()
        self._rearranging = False

    @Slot()
    def _on_selection_changed(self) -> None:
        if not self._rearranging:  # the user goes on to something else
            self._removed, self._failure = (), None
        before = self.selected()
        self._selected = tuple(row.entry for row in self._selected_rows())
        if self.selected() != before:
            self.selected_changed.emit(self.selected())
        self._update()

    def _selected_rows(self) -> list[HistoryRow]:
        numbers = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [self.model.row(number) for number in numbers]

    # -- what the buttons do

    @Slot()
    def _on_reopen(self) -> None:
        if (entry := self.selected()) is not None and not self._merging:
            self.reopen_requested.emit(entry)

    @Slot(QModelIndex)
    def _on_double_clicked(self, index: QModelIndex) -> None:
        if index.column() != Column.NOTE:  # where it begins to write
            self._on_reopen()

    @Slot()
    def _on_evaluate(self) -> None:
        outs = tuple(dict.fromkeys(row.entry.out for row in self._selected_rows() if _is_there(row)))
        self.evaluate_requested.emit(outs)

    @Slot()
    def _on_write(self) -> None:
        if (entry := self.selected()) is not None:
            number = self.model.number_of(entry.id)
            if number is not None:
                self.table.edit_note(number)

    @Slot(str, str)
    def _on_note_written(self, entry_id: str, note: str) -> None:
        self._changes.append(partial(self._set_note, entry_id, note))
        self.refresh()

    def _set_note(self, entry_id: str, note: str) -> None:
        self._history.set_note(entry_id, note)

    @Slot()
    def _on_resume(self) -> None:
        if (entry := self.selected()) is not None:
            self.resume_requested.emit(entry)

    @Slot()
    def _on_open(self) -> None:
        if (entry := self.selected()) is not None:
            self.open_folder_requested.emit(entry.out)

    @Slot()
    def _on_compare(self) -> None:
        earlier, later = sorted(self._selected, key=lambda entry: (entry.when, entry.id))
        self.compare_requested.emit(later, earlier)

    @Slot()
    def _on_remove(self) -> None:
        removed = tuple(row.entry for row in self._selected_rows())
        if not removed:
            return
        ids = {entry.id for entry in removed}
        shown = [self.model.row(number).entry.id for number in range(self.model.rowCount())]
        first = min(number for number, entry_id in enumerate(shown) if entry_id in ids)
        below = (entry_id for entry_id in shown[first:] if entry_id not in ids)
        neighbour = next(below, shown[first - 1] if first else None)
        self._to_select = () if neighbour is None else (neighbour,)
        self._removed = removed
        self.model.remove(ids)
        self._changes.extend(partial(self._history.remove, entry.id) for entry in removed)
        self.refresh()

    @Slot()
    def _on_undo(self) -> None:
        if self._removed:
            self._to_select = tuple(entry.id for entry in self._removed)
            self._changes.extend(partial(self._history.add, entry) for entry in self._removed)
            self._removed = ()
            self.refresh()
        self._update()
        self.table.setFocus()

    @Slot(QPoint)
    def _on_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)  # they say why something cannot be done
        menu.addActions(self.actions_)
        menu.popup(self.table.viewport().mapToGlobal(place))

    # -- how it looks

    def _update(self) -> None:
        rows = self._selected_rows()
        row = rows[0] if len(rows) == 1 else None
        self._reopen.setEnabled(row is not None and not self._merging)
        self._resume.setEnabled(row is not None and row.left is not None and not self._merging)
        self._reopen.setToolTip(_WAIT if self._merging else _REOPEN)
        self._resume.setToolTip(_WAIT if self._merging else _RESUME)
        self._open.setEnabled(row is not None and _is_there(row))
        why = self._why_not_compared(rows)
        self._compare.setEnabled(not why)
        self._compare.setToolTip(why or _COMPARE)
        self._remove.setEnabled(bool(rows))
        self._write.setEnabled(row is not None)
        self._evaluate.setEnabled(bool(rows) and all(map(_is_there, rows)))
        self.undo_button.setVisible(bool(self._removed))
        self.note.set_full_text(self._note(rows), why if len(rows) == 2 else "")

    def _why_not_compared(self, rows: Sequence[HistoryRow]) -> str:
        """Why the runs that are selected cannot be compared; "" where they can."""
        if len(rows) != 2:
            return _SELECT_TWO if len(rows) < 2 else f"Select two runs only, not {len(rows)}"
        for row in rows:
            if row.entry.status != "done":
                return f"The run of {row.entry.local_date} did not come to its end"
            if row.gone:
                return f"The output of the run of {row.entry.local_date} {row.gone_text}"
        return _WAIT if self._merging else ""

    def _note(self, rows: Sequence[HistoryRow]) -> str:
        if self._failure is not None:
            return f"{self._failure.message} {self._failure.hint or ''}".strip()
        if self._removed:
            first = self._removed[0].local_date
            what = f"the run of {first}" if len(self._removed) == 1 else f"{len(self._removed)} runs"
            return f"Removed {what}; {'its' if len(self._removed) == 1 else 'their'} files stay."
        if len(rows) > 1:
            why = _short_why(rows) if len(rows) == 2 else ""  # in sight: tool tips need the mouse
            return f"{len(rows)} selected; {why}." if why else f"{len(rows)} runs are selected."
        return details_text(rows[0]) if rows else self._skipped

    def _action(self, text: str, tool_tip: str, keys: Sequence[str] = ()) -> QAction:
        """A command of the table: in its menu, on keys there, and on a button."""
        action = QAction(text, self)
        action.setToolTip(tool_tip)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self.table.addAction(action)
        return action


def _is_there(row: HistoryRow) -> bool:
    return row.entry.status == "done" and not row.gone


def _short_why(rows: Sequence[HistoryRow]) -> str:
    """The same as why two runs cannot be compared, where there is little room; "" where they can."""
    if any(row.entry.status != "done" for row in rows):
        return "one was not finished"
    if any(row.gone for row in rows):
        return f"one is {'overwritten' if any(row.replaced for row in rows) else 'gone'}"
    return ""


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
