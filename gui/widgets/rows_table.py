"""A table whose rows are read, searched and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QTableView

from gui.widgets.table_model import TableModel
from gui.widgets.theme import GRID

__all__ = ["RowsTable"]


class RowsTable(QTableView):
    """Shows `model` row by row. The rows that are selected are copied as lines, tabs between their cells."""

    def __init__(self, model: TableModel, name: str, widest: Mapping[Any, str]) -> None:
        """Args:
        model: what is shown.
        name: of the table, for those who do not see it.
        widest: a text that each column has room for; those without one share what is left.
        """
        super().__init__()
        self.setModel(model)
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        metrics = self.fontMetrics()
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(metrics.height() + GRID)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        for column, text in widest.items():
            header.resizeSection(column, metrics.horizontalAdvance(text) + 2 * GRID)
        copy = QAction("Copy", self)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self._on_copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    @Slot()
    def _on_copy(self) -> None:
        model = self.model()
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        columns = range(model.columnCount())
        lines = (
            "\t".join(str(model.data(model.index(row, column)) or "") for column in columns) for row in rows
        )
        if rows:
            QGuiApplication.clipboard().setText("\n".join(lines))
