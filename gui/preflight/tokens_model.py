"""Tokens that are not in the same row everywhere, as a Qt item model that also searches."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QObject, Qt

from core.text import one_line
from gui.preflight.report import TokenRow
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel
from gui.words import grouped

__all__ = ["Column", "TokensModel"]


class Column(IntEnum):
    TOKEN = 0
    ROW = 1
    WHAT = 2
    ORIGIN = 3


_TITLES = {
    Column.TOKEN: "Token",
    Column.ROW: "Row",
    Column.WHAT: "What",
    Column.ORIGIN: "Where its row comes from",
}
_HELP = {
    Column.TOKEN: "Its text, as the tokenizers have it",
    Column.ROW: "Its row in the result, counted from 0",
    Column.WHAT: "Added to those of the base, moved to another row, or left out",
    Column.ORIGIN: "The models whose rows are merged, and which row it is there",
}


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column == Column.ROW else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class TokensModel(TableModel):
    """The tokens that match a search, in the plan's order."""

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[TokenRow, ...] = ()
        self._shown: list[TokenRow] = []
        self._words: list[str] = []
        self._searched: list[str] = []

    # -- changes

    def set_rows(self, rows: Sequence[TokenRow]) -> None:
        self._all, self._searched = tuple(rows), []
        self._arrange()

    def set_search(self, text: str) -> None:
        """Show the tokens that hold each word of `text` somewhere; "" for all."""
        self._words = text.casefold().split()
        self._arrange()

    # -- called by Qt

    def count(self) -> int:
        return len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        text = _texts(self._shown[index.row()])[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(text)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(text)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(Column(index.column()))
        return None

    # -- inside

    def _arrange(self) -> None:
        self.beginResetModel()
        self._shown = self._found() if self._words else list(self._all)
        self.endResetModel()

    def _found(self) -> list[TokenRow]:
        if not self._searched:  # once for all letters that are typed
            self._searched = ["\n".join(_texts(row)).casefold() for row in self._all]
        return [
            row
            for row, text in zip(self._all, self._searched, strict=True)
            if all(word in text for word in self._words)
        ]


def _texts(row: TokenRow) -> tuple[str, ...]:
    """What each column shows."""
    return row.token, "" if row.row is None else grouped(row.row), row.what, row.origin
