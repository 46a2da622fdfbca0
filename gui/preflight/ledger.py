"""The ledger: what happens to each tensor of a merge, in a separate window."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from gui.preflight.ledger_model import Column, LedgerModel
from gui.preflight.report import LedgerRow
from gui.widgets.plain import PlainLabel
from gui.widgets.rows_table import RowsTable
from gui.widgets.theme import GRID, secondary
from gui.words import grouped, plural

__all__ = ["LedgerDialog"]

_WIDEST = {
    Column.NAME: "model.layers.10.post_attention_layernorm.weight",
    Column.SHAPE: "128256 × 16384",
    Column.TYPE: "f8_e4m3",
    Column.ACTION: "omitted",
    Column.VALUES: "weight 0.25; resamples 10",
}


class LedgerDialog(QDialog):
    """A table of all tensors that can be sorted and searched. It stays open beside the window.

    Attributes:
        model: the tensors that are shown.
        table: shows them.
        search_field: what to look for.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("What happens to each tensor")
        self.model = LedgerModel(self)
        self.table = RowsTable(self.model, "Tensors", _WIDEST)
        header = self.table.horizontalHeader()
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.table.setSortingEnabled(True)
        self.search_field = QLineEdit()
        self.search_field.setPlaceholderText("Search: q_proj, copied, bf16, …")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.setAccessibleName("Search the tensors")
        self._count = PlainLabel()
        secondary(self._count)
        top = QHBoxLayout()
        top.setSpacing(2 * GRID)
        top.addWidget(self.search_field, 1)
        top.addWidget(self._count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        self.search_field.textChanged.connect(self.model.set_search)
        self.model.modelReset.connect(self._on_rearranged)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self, self.search_field.setFocus)

    @property
    def count_text(self) -> str:
        """How many tensors are shown."""
        return self._count.text()

    def set_rows(self, rows: Sequence[LedgerRow]) -> None:
        """Show `rows`; the search and the order stay."""
        self.model.set_rows(rows)

    def sizeHint(self) -> QSize:
        return QSize(124 * GRID, 64 * GRID)

    @Slot()
    def _on_rearranged(self) -> None:
        shown, total = self.model.rowCount(), self.model.total
        every = plural(total, "tensor")
        self._count.setText(every if shown == total else f"{grouped(shown)} of {every}")
