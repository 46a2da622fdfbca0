"""The table of runs as it is drawn."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.history.table_model import Column, HistoryModel
from gui.widgets.table_model import Index
from gui.widgets.theme import GRID

__all__ = ["HistoryView"]

_LEAST_OUTPUT = "merged-model"
_NOTHING = "Every merge is listed here when it was run, and its recipe can be opened again."


class HistoryView(QTableView):
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
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setItemDelegateForColumn(Column.OUTPUT, _EndInSight(self))
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


class _EndInSight(QStyledItemDelegate):
    """Where a path is too long, its end is what tells it from the others."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideLeft
