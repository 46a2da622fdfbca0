"""The history of runs as a Qt item model, which also sorts and searches it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette

from core import Leftover
from core.runs.history import HistoryEntry
from core.text import natural_key, one_line
from core.units import bytes_text, duration_text
from gui.failure import sentence
from gui.widgets.paths import short_paths
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel
from gui.widgets.theme import ERROR, SUCCESS, accent_of
from gui.words import percent_text, plural

__all__ = ["Column", "HistoryModel", "HistoryRow", "details_text"]


class Column(IntEnum):
    DATE = 0
    RESULT = 1
    METHOD = 2
    OUTPUT = 3
    K = 4
    N = 5
    SEED = 6
    TIME = 7


_TITLES = {
    Column.DATE: "Date",
    Column.RESULT: "Result",
    Column.METHOD: "Method",
    Column.OUTPUT: "Output folder",
    Column.K: "K",
    Column.N: "n",
    Column.SEED: "Seed",
    Column.TIME: "Time",
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
}
_RESULTS = {
    "running": "Running",
    "done": "Done",
    "cancelled": "Cancelled",
    "failed": "Failed",
    "interrupted": "Interrupted",
}
_MOST_WARNINGS = 10
_NUMBERS = {Column.K, Column.N, Column.SEED, Column.TIME}


@dataclass(frozen=True)
class HistoryRow:
    """One line of the table.

    Attributes:
        entry: the run.
        gone: whether the folder that it wrote is no more.
        left: what there is of a merge into its output folder that did not come to its end; None for nothing,
            and while one runs.
        replaced: whether it is gone because a later run has written in its place.
    """

    entry: HistoryEntry
    gone: bool = False
    left: Leftover | None = None
    replaced: bool = False

    @property
    def gone_text(self) -> str:
        """What has become of an output that is gone, after the word for it."""
        return "was overwritten by a later run" if self.replaced else "is gone"


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class HistoryModel(TableModel):
    """The runs that match a search, in the order of a column; runs that are equal there, newest first."""

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

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

    def row(self, number: int) -> HistoryRow:
        return self._shown[number]

    def number_of(self, entry_id: str) -> int | None:
        """In which row a run is shown; None where it is not."""
        ids = [row.entry.id for row in self._shown]
        return ids.index(entry_id) if entry_id in ids else None

    # -- called by Qt

    def count(self) -> int:
        return len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row, column = self._shown[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._text(row.entry, column))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(_tool_tip(row))
        if role == Qt.ItemDataRole.DecorationRole and column is Column.RESULT:
            return _chip(row.entry.status)
        if column is Column.OUTPUT and row.gone:
            if role == Qt.ItemDataRole.FontRole:
                font = QFont()
                font.setStrikeOut(True)
                return font
            if role == Qt.ItemDataRole.AccessibleTextRole:
                return f"{one_line(self._text(row.entry, column))} ({_gone_word(row)})"
        if column is Column.OUTPUT and role == Qt.ItemDataRole.ForegroundRole and _wrote_nothing(row):
            return QGuiApplication.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        return None

    # -- inside

    def _text(self, entry: HistoryEntry, column: Column) -> str:
        return self._names[entry.out] if column is Column.OUTPUT else _TEXTS[column](entry)

    def _arrange(self) -> None:
        self.beginResetModel()
        key = _KEYS[self._column]
        found = [row for row in self._all if row.entry.matches(self._search)]
        found.sort(key=lambda row: row.entry.when, reverse=True)
        self._shown = sorted(found, key=lambda row: key(row.entry), reverse=self._descending)
        self.endResetModel()


def details_text(row: HistoryRow) -> str:
    """What the table has no column for, on one line."""
    entry = row.entry
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
        lines.append(f"{read} read, {written} written, on {entry.device}")
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
}
