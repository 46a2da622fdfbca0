"""What happens to each tensor of a merge, as a Qt item model that also sorts and searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QObject, Qt

from core.text import one_line
from gui.preflight.report import LedgerRow
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel

__all__ = ["Column", "LedgerModel"]


class Column(IntEnum):
    NAME = 0
    SHAPE = 1
    TYPE = 2
    ACTION = 3
    VALUES = 4
    REASON = 5


_TITLES = {
    Column.NAME: "Tensor",
    Column.SHAPE: "Shape",
    Column.TYPE: "Type",
    Column.ACTION: "Action",
    Column.REASON: "Reason",
    Column.VALUES: "Values",
}
_HELP = {
    Column.NAME: "Its name in the result",
    Column.SHAPE: "Its sizes; sorted by the number of elements",
    Column.TYPE: "How its numbers will be stored",
    Column.ACTION: "Merged, copied from the base, or left out",
    Column.REASON: "Why it is not simply merged",
    Column.VALUES: "The method's parameters for this tensor",
}
_KEYS: dict[Column, Callable[[LedgerRow], Any]] = {
    Column.NAME: lambda row: row.name,
    Column.SHAPE: lambda row: (row.elements, row.shape),
    Column.TYPE: lambda row: row.dtype,
    Column.ACTION: lambda row: row.action,
    Column.REASON: lambda row: row.reason,
    Column.VALUES: lambda row: row.values,
}


def _alignment(column: Column) -> Qt.AlignmentFlag:
    sides = {Column.SHAPE: Qt.AlignmentFlag.AlignRight, Column.TYPE: Qt.AlignmentFlag.AlignHCenter}
    return sides.get(column, Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter


class LedgerModel(TableModel):
    """The tensors that match a search, in the order of a column, or in that of the files."""

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[LedgerRow, ...] = ()
        self._shown: list[LedgerRow] = []
        self._words: list[str] = []
        self._column: Column | None = None
        self._descending = False

    @property
    def total(self) -> int:
        """Tensors, whether they match or not."""
        return len(self._all)

    # -- changes

    def set_rows(self, rows: Sequence[LedgerRow]) -> None:
        self._all = tuple(rows)
        self._arrange()

    def set_search(self, text: str) -> None:
        """Show the tensors that hold each word of `text` somewhere; "" for all."""
        self._words = text.casefold().split()
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """By `column`; -1 for the order of the files."""
        self._column = Column(column) if column >= 0 else None
        self._descending = order == Qt.SortOrder.DescendingOrder
        self._arrange()

    # -- called by Qt

    def count(self) -> int:
        return len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row, column = self._shown[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(_texts(row)[column])
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(_texts(row)[column])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        return None

    # -- inside

    def _arrange(self) -> None:
        self.beginResetModel()
        self._shown = [row for row in self._all if self._matches(row)]
        if self._column is not None:
            self._shown.sort(key=_KEYS[self._column], reverse=self._descending)
        self.endResetModel()

    def _matches(self, row: LedgerRow) -> bool:
        text = "\n".join(_texts(row)).casefold() if self._words else ""
        return all(word in text for word in self._words)


def _texts(row: LedgerRow) -> tuple[str, ...]:
    """What each column shows."""
    shape = " × ".join(str(size) for size in row.shape)
    return row.name, shape, row.dtype.lower(), row.action, row.values, row.reason
