"""The table of orders as it is drawn."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView

from gui.training.table_model import Column, OrdersModel
from gui.widgets.rows_table import RowsTable
from gui.widgets.theme import GRID

__all__ = ["OrdersView"]

_WIDEST = {
    Column.ORDER: "● order-10",
    Column.PROGRESS: "Progress",
    Column.STEP: "1 234 of 1 234",
    Column.LOSS: "10.1234",
    Column.EVAL: "Eval loss",
    Column.RATE: "2.00e-05",
    Column.NORM: "0.123",
    Column.LEFT: "59 min",
}
_GIVE_WAY = (Column.RATE, Column.NORM, Column.STEP, Column.LEFT, Column.EVAL)
"""What is not shown, in this order, where there is no room for all; the curves and the tool tip say it."""


class OrdersView(RowsTable):
    """Shows as many columns as there is room for.

    Attributes:
        wanted_width: of which all are seen, in pixels.
    """

    def __init__(self, model: OrdersModel) -> None:
        super().__init__(model, "Orders", _WIDEST)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setMinimumWidth(24 * GRID)
        self.setIconSize(QSize(GRID, GRID))
        self.horizontalHeader().setStretchLastSection(False)

    @property
    def wanted_width(self) -> int:
        return sum(self._widths().values()) + 3 * GRID

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        widths, room = self._widths(), self.viewport().width()
        needed, left_out = sum(widths.values()), set()
        for column in _GIVE_WAY:
            if needed <= room:
                break
            needed -= widths[column]
            left_out.add(column)
        for column in Column:
            self.setColumnHidden(column, column in left_out)
            self.setColumnWidth(column, widths[column])

    def _widths(self) -> dict[Column, int]:
        metrics = self.fontMetrics()
        return {
            column: metrics.horizontalAdvance(text) + GRID + GRID // 2 for column, text in _WIDEST.items()
        }
