"""The table of an evaluation as it is drawn."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QResizeEvent

from gui.evaluation.table_model import Column, ResultsModel
from gui.widgets.check_delegate import CheckDelegate
from gui.widgets.rows_table import RowsTable
from gui.widgets.theme import GRID

__all__ = ["ResultsView"]

_WIDEST = {
    Column.LOSS: "Loss 0.00",
    Column.OTHER: "Bits a byte",
    Column.DIFFERENCE: "−0.00000 (−0.00000 to −0.00000)",
    Column.VERDICT: "no difference shown",
}
_ALONE = "Difference "
"""How wide the differences are without their intervals."""
_NAME = "a-model-name-of-18"
"""What is to be seen of a name before anything else gives way."""
_NOTHING = "Choose the models of a merge on the left, or add a folder: what is listed here is compared."


class ResultsView(RowsTable):
    """The table; while it is empty, it says why. Where it is narrow, the intervals give way first, which the
    sentence below says, then the numbers beside the loss."""

    def __init__(self, model: ResultsModel) -> None:
        super().__init__(model, "Models and their scores", {})
        self.setItemDelegateForColumn(Column.MODEL, CheckDelegate(self))
        self.setSelectionMode(RowsTable.SelectionMode.SingleSelection)
        self.setAlternatingRowColors(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        chip = round(0.8 * self.fontMetrics().ascent())
        self.setIconSize(QSize(chip, chip))
        self.horizontalHeader().setStretchLastSection(False)
        self.horizontalHeader().setMinimumSectionSize(3 * GRID)

    def results(self) -> ResultsModel:
        model = self.model()
        assert isinstance(model, ResultsModel)
        return model

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        widths = {column: self._width_for(text) for column, text in _WIDEST.items()}
        room = self.viewport().width() - self._width_for(_NAME) - self.iconSize().width() - 3 * GRID
        compact = sum(widths.values()) > room
        if compact:
            widths[Column.DIFFERENCE] = self._width_for(_ALONE)
        self.results().set_compact(compact)
        hidden = compact and sum(widths.values()) > room
        self.setColumnHidden(Column.OTHER, hidden)
        if hidden:
            del widths[Column.OTHER]
        for column, width in widths.items():
            self.setColumnWidth(column, width)
        self.setColumnWidth(Column.MODEL, max(self.viewport().width() - sum(widths.values()), 10 * GRID))
        for index in self.selectionModel().selectedRows():
            self.scrollTo(index)

    def sizeHint(self) -> QSize:
        return self.minimumSizeHint()  # it gets what is left, and takes nothing from what is below it

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.results().rowCount() == 0:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            where = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.viewport().rect().adjusted(GRID, 0, -GRID, 0), where, _NOTHING)

    def _width_for(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text) + 2 * GRID
