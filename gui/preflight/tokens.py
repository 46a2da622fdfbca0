"""The vocabulary: tokens that were added, moved or left out, and whose rows they get, in a window."""

from __future__ import annotations

from PySide6.QtCore import QSize, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from gui.preflight.report import TokensReport
from gui.preflight.tokens_model import Column, TokensModel
from gui.widgets.plain import PlainLabel
from gui.widgets.rows_table import RowsTable
from gui.widgets.theme import GRID, secondary
from gui.words import grouped, plural

__all__ = ["TokensDialog"]

_WIDEST = {
    Column.TOKEN: "<|start_header_id|>",
    Column.ROW: "128,256",
    Column.WHAT: "left out",
}


class TokensDialog(QDialog):
    """A table of tokens that can be searched. It stays open beside the window.

    Attributes:
        model: the tokens that are shown.
        table: shows them.
        search_field: what to look for.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Whose row each token gets")
        self._report = TokensReport()
        self.model = TokensModel(self)
        self.table = RowsTable(self.model, "Tokens", _WIDEST)
        self._sizes, self._count = PlainLabel(), PlainLabel()
        self._sizes.setWordWrap(True)
        secondary(self._count)
        self.search_field = QLineEdit()
        self.search_field.setPlaceholderText("Search: <pad>, added, run-2, …")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.setAccessibleName("Search the tokens")
        top = QHBoxLayout()
        top.setSpacing(2 * GRID)
        top.addWidget(self.search_field, 1)
        top.addWidget(self._count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        layout.addWidget(self._sizes)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        self.search_field.textChanged.connect(self.model.set_search)
        self.model.modelReset.connect(self._on_rearranged)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self, self.search_field.setFocus)

    @property
    def count_text(self) -> str:
        """How many tokens are shown."""
        return self._count.text()

    @property
    def sizes_text(self) -> str:
        """How many rows each model and the result have."""
        return self._sizes.text()

    def set_report(self, report: TokensReport) -> None:
        """Show `report`; the search stays."""
        self._report = report
        self._sizes.setText(report.sizes)
        self.model.set_rows(report.rows)

    def sizeHint(self) -> QSize:
        return QSize(88 * GRID, 56 * GRID)

    @Slot()
    def _on_rearranged(self) -> None:
        shown, report = self.model.rowCount(), self._report
        text = (
            plural(shown, "token")
            if shown == len(report.rows)
            else f"{grouped(shown)} of {grouped(report.total)}"
        )
        if shown == len(report.rows) < report.total:
            text = f"{text}, and {grouped(report.total - shown)} more"
        self._count.setText(text)
