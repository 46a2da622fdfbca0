"""The samples that a model changed most, as a table with their text."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QResizeEvent

from core.evaluate.verdict.comparison import signed
from core.text import one_line
from gui.pictures.scored import Changed, ChangedRow
from gui.pictures.scored_texts import in_one_line
from gui.widgets.plain import tool_tip
from gui.widgets.rows_table import RowsTable
from gui.widgets.table_model import Index, TableModel

__all__ = ["ChangedSamples"]


class _Column(IntEnum):
    LINE = 0
    BEFORE = 1
    AFTER = 2
    CHANGE = 3
    TEXT = 4


_TITLES = {
    _Column.LINE: "Line",
    _Column.BEFORE: "Before",
    _Column.AFTER: "After",
    _Column.CHANGE: "Change",
    _Column.TEXT: "Sample",
}
_HELP = {
    _Column.LINE: "Where the sample stands in the data file",
    _Column.BEFORE: "Its loss with the reference",
    _Column.AFTER: "Its loss with the model",
    _Column.CHANGE: "Negative is better",
    _Column.TEXT: "What it says",
}
_NAME = "selection + n = 8"
"""A name of a model that a heading has room for; a longer one loses its middle."""
_WIDEST = {
    _Column.LINE: "100 000",
    _Column.BEFORE: _NAME,
    _Column.AFTER: _NAME,
    _Column.CHANGE: "−10.0000",
}
_LONGEST = 400
"""Characters of a sample in its cell; the tool tip has more."""

_NOTHING = "Which samples changed is not known."


class ChangedSamples(RowsTable):
    """The table; what is selected in it is one sample."""

    _printing = False

    def __init__(self) -> None:
        self.samples = _Model()
        super().__init__(self.samples, "The samples that changed most", _WIDEST)
        self.setSelectionMode(RowsTable.SelectionMode.SingleSelection)
        self.setAlternatingRowColors(True)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setFrameShape(RowsTable.Shape.NoFrame)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 4)

    def show_samples(self, changed: Changed | None) -> None:
        """Show others; None for none."""
        self.samples.set_names(("", "") if changed is None else (changed.reference, changed.model))
        self.samples.set_rows(changed.rows if changed is not None else ())

    @property
    def marked(self) -> ChangedRow | None:
        """The one that is selected."""
        rows = self.selectionModel().selectedRows()
        return self.samples.rows[rows[0].row()] if rows else None

    def set_printing(self, printing: bool) -> None:
        """On paper nothing can be scrolled, and what is cut off is left out."""
        self._printing = printing
        self._leave_out()
        policies = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            policies.ScrollBarAlwaysOff if printing else policies.ScrollBarAsNeeded
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._leave_out()

    def _leave_out(self) -> None:
        room = self.viewport().height() // max(1, self.verticalHeader().defaultSectionSize())
        for number in range(len(self.samples.rows)):
            self.setRowHidden(number, self._printing and number >= room)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.samples.rows:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, _NOTHING)


def _alignment(column: _Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column == _Column.TEXT else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


class _Model(TableModel):
    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[ChangedRow, ...] = ()
        self._names = "", ""

    def set_names(self, names: tuple[str, str]) -> None:
        """What the reference and the model are called; "" where there is none."""
        if names != self._names:
            self._names = names
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, _Column.BEFORE, _Column.AFTER)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        name = self._names[section - _Column.BEFORE] if section in (_Column.BEFORE, _Column.AFTER) else ""
        if name and orientation is Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return one_line(name)
            if role == Qt.ItemDataRole.ToolTipRole:
                return tool_tip(f"The loss of a sample with {name}")
        return super().headerData(section, orientation, role)

    def set_rows(self, rows: tuple[ChangedRow, ...]) -> None:
        if rows != self.rows:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()

    def count(self) -> int:
        return len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.rows):
            return None
        row, column = self.rows[index.row()], _Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole and column is _Column.TEXT:
            return tool_tip(row.text)
        return None


def _text(row: ChangedRow, column: _Column) -> str:
    if column is _Column.LINE:
        return str(row.line)
    if column is _Column.TEXT:
        return in_one_line(row.text[:_LONGEST])
    if column is _Column.CHANGE:
        return signed(row.change, 4)
    return f"{row.before if column is _Column.BEFORE else row.after:.4f}"
