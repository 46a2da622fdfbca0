"""The history of runs as a Qt item model, which also sorts and searches it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette

from core import Leftover
from core.runs.history import MOST_NOTE, HistoryEntry
from core.text import natural_key, one_line
from core.units import bytes_text, duration_text
from gui.failure import sentence
from gui.widgets.paths import short_paths
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel
from gui.widgets.theme import ERROR, SUCCESS, accent_of
from gui.words import percent_text, plural

__all__ = ["Column", "HistoryModel", "HistoryRow", "RunScore", "details_text"]


class Column(IntEnum):
    DATE = 0
    RESULT = 1
    METHOD = 2
    OUTPUT = 3
    K = 4
    N = 5
    SEED = 6
    TIME = 7
    LOSS = 8
    NOTE = 9


_TITLES = {
    Column.DATE: "Date",
    Column.RESULT: "Result",
    Column.METHOD: "Method",
    Column.OUTPUT: "Output folder",
    Column.K: "K",
    Column.N: "n",
    Column.SEED: "Seed",
    Column.TIME: "Time",
    Column.LOSS: "Loss",
    Column.NOTE: "Note",
}
_HELP = {
    Column.DATE: "When the merge began",
    Column.RESULT: "What came of it",
    Column.METHOD: "The merge method",
    Column.OUTPUT: "The folder that was written, with those around it where two have one name; "
    "struck through where it is gone or was overwritten",
    Column.K: "How many sub-models took part",
    Column.N: "How often was drawn again where a delta is zero",
    Column.SEED: "The seed of the draws",
    Column.TIME: "How long it took",
    Column.LOSS: "Of the output, by the newest evaluation; each on its own data, which its tip names",
    Column.NOTE: "What you wrote down; F2 or a double click changes it",
}
_RESULTS = {
    "running": "Running",
    "done": "Done",
    "cancelled": "Cancelled",
    "failed": "Failed",
    "interrupted": "Interrupted",
}
_MOST_WARNINGS = 10
_NUMBERS = {Column.K, Column.N, Column.SEED, Column.TIME, Column.LOSS}


@dataclass(frozen=True)
class RunScore:
    """What the newest evaluation of a run's output found.

    Attributes:
        loss: the mean over the rows of the data, in nats a token (of a classifier: a sample).
        accuracy: the share that was right; None where nothing was right or wrong.
        rows: of the data.
        data: what the data are called.
    """

    loss: float
    accuracy: float | None
    rows: int
    data: str

    @property
    def text(self) -> str:
        """ "Loss 3.2566 on 200 rows of validation.jsonl, 60.1 % right"."""
        right = "" if self.accuracy is None else f", {100 * self.accuracy:.1f} % right"
        return f"Loss {self.loss:.4f} on {plural(self.rows, 'row')} of {self.data}{right}"


@dataclass(frozen=True)
class HistoryRow:
    """One line of the table.

    Attributes:
        entry: the run.
        gone: whether the folder that it wrote is no more.
        left: what there is of a merge into its output folder that did not come to its end; None for nothing,
            and while one runs.
        replaced: whether it is gone because a later run has written in its place.
        score: of its output; None where it was not evaluated.
    """

    entry: HistoryEntry
    gone: bool = False
    left: Leftover | None = None
    replaced: bool = False
    score: RunScore | None = None

    def matches(self, text: str) -> bool:
        """Whether every word of `text` stands in what is known of the run, or in what its score says."""
        said = "" if self.score is None else self.score.text.casefold()
        return all(word in said or self.entry.matches(word) for word in text.casefold().split())

    @property
    def gone_text(self) -> str:
        """What has become of an output that is gone, after the word for it."""
        return "was overwritten by a later run" if self.replaced else "is gone"


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class HistoryModel(TableModel):
    """The runs that match a search, in the order of a column; runs that are equal there, newest first.

    Signals:
        note_written(str, str): the user wrote a note beside the run with this id.
    """

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    note_written = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[HistoryRow, ...] = ()
        self._shown: list[HistoryRow] = []
        self._names: dict[Path, str] = {}
        self._search = ""
        self._column, self._descending = Column.DATE, True

    # -- changes

    def set_rows(self, rows: Sequence[HistoryRow]) -> None:
        """Show `rows`, newest first."""
        self._all = tuple(rows)
        self._names = short_paths(row.entry.out for row in self._all)
        self._arrange()

    def remove(self, entry_ids: Collection[str]) -> None:
        self.set_rows([row for row in self._all if row.entry.id not in entry_ids])

    def set_search(self, text: str) -> None:
        """Show the runs that match `text`; "" for all."""
        self._search = text
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._column, self._descending = Column(column), order == Qt.SortOrder.DescendingOrder
        self._arrange()

    # -- queries

    @property
    def total(self) -> int:
        """How many runs there are, with those that the search leaves out."""
        return len(self._all)

    @property
    def has_scores(self) -> bool:
        """Whether the output of any run was evaluated."""
        return any(row.score is not None for row in self._all)

    @property
    def has_notes(self) -> bool:
        """Whether a note stands beside any run."""
        return any(row.entry.note for row in self._all)

    def row(self, number: int) -> HistoryRow:
        return self._shown[number]

    def number_of(self, entry_id: str) -> int | None:
        """In which row a run is shown; None where it is not."""
        ids = [row.entry.id for row in self._shown]
        return ids.index(entry_id) if entry_id in ids else None

    # -- called by Qt

    def count(self) -> int:
        return len(self._shown)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == Column.NOTE else flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or index.column() != Column.NOTE:
            return False
        row, note = self._shown[index.row()], str(value).strip()[:MOST_NOTE]
        if note == row.entry.note:
            return False
        written = replace(row, entry=replace(row.entry, note=note))
        self._all = tuple(written if one is row else one for one in self._all)
        self._shown[index.row()] = written  # it stays where it is until the history is read again
        self.dataChanged.emit(index, index)
        self.note_written.emit(row.entry.id, note)
        return True

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row, column = self._shown[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._text(row, column))
        if role == Qt.ItemDataRole.EditRole and column is Column.NOTE:
            return row.entry.note
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            own = row.entry.note if column is Column.NOTE else ""
            return tool_tip(own or _tool_tip(row))
        if role == Qt.ItemDataRole.DecorationRole and column is Column.RESULT:
            return _chip(row.entry.status)
        if column is Column.OUTPUT and row.gone:
            if role == Qt.ItemDataRole.FontRole:
                font = QFont()
                font.setStrikeOut(True)
                return font
            if role == Qt.ItemDataRole.AccessibleTextRole:
                return f"{one_line(self._text(row, column))} ({_gone_word(row)})"
        if column is Column.OUTPUT and role == Qt.ItemDataRole.ForegroundRole and _wrote_nothing(row):
            return QGuiApplication.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        return None

    # -- inside

    def _text(self, row: HistoryRow, column: Column) -> str:
        if column is Column.OUTPUT:
            return self._names[row.entry.out]
        if column is Column.LOSS:
            return "" if row.score is None else f"{row.score.loss:.4f}"
        return _TEXTS[column](row.entry)

    def _arrange(self) -> None:
        self.beginResetModel()
        key = _key_of(self._column)
        found = [row for row in self._all if row.matches(self._search)]
        found.sort(key=lambda row: row.entry.when, reverse=True)
        known = [row for row in found if key(row) is not None]
        self._shown = sorted(known, key=key, reverse=self._descending)
        self._shown += [row for row in found if key(row) is None]  # what has none is last in either order
        self.endResetModel()


def _key_of(column: Column) -> Callable[[HistoryRow], Any]:
    """What rows are sorted by; None of a row that has nothing there."""
    if column is Column.LOSS:
        return lambda row: None if row.score is None else row.score.loss
    key = _KEYS[column]
    return lambda row: key(row.entry)


def details_text(row: HistoryRow) -> str:
    """What the table has no column for, or too little room, on one line."""
    entry = row.entry
    if entry.note:
        return f"{entry.note} – {details_text(replace(row, entry=replace(entry, note='')))}"
    kept = _kept_text(row)
    if kept:
        return f"{kept}. {details_text(replace(row, left=None))}"
    if entry.status == "failed":
        return entry.message
    if entry.status == "interrupted":
        return "The program ended before this merge did."
    if entry.status == "done":
        where = f"{entry.out} {row.gone_text}" if row.gone else str(entry.out)
        warned = f"{plural(len(entry.warnings), 'warning')}: " if entry.warnings else ""
        said = " ".join(map(sentence, entry.warnings[:_MOST_WARNINGS]))
        return f"{warned}{said} {', '.join(entry.models)} → {where}".lstrip()
    return ", ".join(entry.models)


def _kept_text(row: HistoryRow) -> str:
    """ "62 % is kept"; "" for nothing."""
    if row.left is None or not row.left.fraction:
        return ""
    share = percent_text(row.left.fraction)
    return f"{share[0].upper()}{share[1:]} is kept"


def _tool_tip(row: HistoryRow) -> str:
    entry = row.entry
    lines = [
        f"{entry.title} of {', '.join(entry.models)}",
        f"{entry.out}{f' ({_gone_word(row)})' if row.gone else ''}",
    ]
    if entry.draws:
        lines.append(f"n = {_n_text(entry)}, seed = {entry.seed}")
    if entry.status == "done":
        read, written = bytes_text(entry.bytes_read), bytes_text(entry.bytes_written)
        lines.append(f"{read} read, {written} written, on {entry.device}, in {_time_text(entry)}")
        if row.score is not None:
            lines.append(row.score.text)
        lines += map(sentence, entry.warnings[:_MOST_WARNINGS])
        if len(entry.warnings) > _MOST_WARNINGS:
            lines.append(f"{len(entry.warnings) - _MOST_WARNINGS} more warnings are in its README.md.")
    elif entry.status in {"failed", "interrupted"}:
        lines.append(details_text(replace(row, left=None)))
    if kept := _kept_text(row):
        lines.append(f"{kept}: Resume goes on with it")
    return "\n".join(lines)


def _gone_word(row: HistoryRow) -> str:
    return "overwritten" if row.replaced else "gone"


def _wrote_nothing(row: HistoryRow) -> bool:
    return row.gone or row.entry.status not in {"done", "running"}


def _chip(status: str) -> QColor:
    if status == "running":
        return accent_of(QGuiApplication.palette())
    if status in {"done", "failed"}:
        return SUCCESS if status == "done" else ERROR
    return QGuiApplication.palette().color(QPalette.ColorRole.Mid)


def _result_text(entry: HistoryEntry) -> str:
    return f"{_RESULTS[entry.status]}, warned" if entry.warnings else _RESULTS[entry.status]


def _n_text(entry: HistoryEntry) -> str:
    if entry.n is None or not entry.draws:
        return "rules" if entry.n_differs else "–"
    return str(entry.n)


def _time_text(entry: HistoryEntry) -> str:
    return duration_text(entry.all_seconds) if entry.all_seconds else "–"


_TEXTS: dict[Column, Callable[[HistoryEntry], str]] = {
    Column.DATE: lambda entry: entry.local_date,
    Column.RESULT: _result_text,
    Column.METHOD: lambda entry: entry.title,
    Column.K: lambda entry: str(entry.k),
    Column.N: _n_text,
    Column.SEED: lambda entry: str(entry.seed) if entry.draws else "–",
    Column.TIME: _time_text,
    Column.NOTE: lambda entry: entry.note,
}
_KEYS: dict[Column, Callable[[HistoryEntry], Any]] = {
    Column.DATE: lambda entry: entry.when,
    Column.RESULT: _result_text,
    Column.METHOD: lambda entry: natural_key(entry.title),
    Column.OUTPUT: lambda entry: (natural_key(entry.out.name), natural_key(str(entry.out))),
    Column.K: lambda entry: entry.k,
    Column.N: lambda entry: -1 if entry.n is None or not entry.draws else entry.n,
    Column.SEED: lambda entry: entry.seed if entry.draws else -1,
    Column.TIME: lambda entry: entry.all_seconds,
    Column.NOTE: lambda entry: natural_key(entry.note) if entry.note else None,
}
