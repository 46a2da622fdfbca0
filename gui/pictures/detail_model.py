"""What is known of each sub-model in some cells, as a Qt item model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QAbstractItemView, QTableView

from core.deltas.findings import Part
from core.text import one_line
from core.units import share_text
from gui.pictures.left_out import left_out_shares
from gui.widgets.chips import model_chip
from gui.widgets.theme import GRID
from gui.words import grouped

__all__ = ["Column", "DetailModel", "DetailRow", "DetailView", "rows_of"]


class Column(IntEnum):
    NAME = 0
    ZERO = 1
    TAKEN = 2
    DROPPED = 3
    AGAINST = 4
    RELATIVE = 5
    NORM = 6
    MEAN = 7
    LARGEST = 8
    NONFINITE = 9


_TITLES = {
    Column.NAME: "Sub-model",
    Column.ZERO: "Zero deltas",
    Column.TAKEN: "Taken",
    Column.DROPPED: "Dropped",
    Column.AGAINST: "Elected against",
    Column.RELATIVE: "‖τ‖ / ‖base‖",
    Column.NORM: "‖τ‖",
    Column.MEAN: "Mean |τ|",
    Column.LARGEST: "Largest |τ|",
    Column.NONFINITE: "NaN, Inf",
}
_HELP = {
    Column.NAME: "In the colours of the list of models",
    Column.ZERO: "The share of parameters that fine-tuning left as they were",
    Column.TAKEN: "The share of the merged parameters that came from this sub-model",
    Column.DROPPED: "The share of the merged parameters whose change was dropped by sparsifying",
    Column.AGAINST: "The share of the merged parameters whose change does not have the elected sign",
    Column.RELATIVE: "The norm of the task vector beside that of the base",
    Column.NORM: "The Euclidean norm of the task vector",
    Column.MEAN: "The mean magnitude of a delta",
    Column.LARGEST: "The largest magnitude of a delta that was seen",
    Column.NONFINITE: "Values that are not finite numbers, as stored",
}

_WIDEST_NUMBER = "1.23e−05"
_WIDEST = {
    Column.NAME: "sub-model",
    Column.ZERO: "100.0 %",
    Column.TAKEN: "100.0 %",
    Column.DROPPED: "100.0 %",
    Column.AGAINST: "100.0 %",
    Column.RELATIVE: "100.00 %",
    Column.NONFINITE: "none seen",
}
_ROOM = 14
"""Pixels beside the words of a cell."""

_TOOL_TIP, _ALIGNMENT = Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.TextAlignmentRole


@dataclass(frozen=True)
class DetailRow:
    """What is known of one sub-model; None for what is not.

    Attributes:
        name: of the sub-model.
        zero, taken, dropped, against, relative: shares.
        norm, mean, largest: of the task vector.
        nonfinite: a count; of those that were seen where not all were.
        exact: whether all were.
    """

    name: str
    zero: float | None = None
    taken: float | None = None
    dropped: float | None = None
    against: float | None = None
    relative: float | None = None
    norm: float | None = None
    mean: float | None = None
    largest: float | None = None
    nonfinite: int | None = None
    exact: bool = True


def rows_of(models: Sequence[str], part: Part) -> list[DetailRow]:
    """A row for each sub-model."""
    counts, details, drawn = part.counts, part.details, part.drawn
    nothing = np.full(len(models), np.nan)
    zero = nothing if counts is None else counts.zero_delta.value
    nonfinite = None if counts is None else counts.total("nonfinite")
    taken = nothing if drawn is None else drawn.provenance
    dropped, against = left_out_shares(part, len(models))
    relative = nothing if details is None else details.relative_norm.value
    norm = nothing if details is None else details.norm.value
    mean = nothing if details is None else details.mean_magnitude.value
    largest = nothing if details is None else details.largest
    return [
        DetailRow(
            name=name,
            zero=_number(zero[at]),
            taken=_number(taken[at]),
            dropped=_number(dropped[at]),
            against=_number(against[at]),
            relative=_number(relative[at]),
            norm=_number(norm[at]),
            mean=_number(mean[at]),
            largest=_number(largest[at]),
            nonfinite=None if nonfinite is None else round(float(nonfinite[at])),
            exact=counts is None or counts.exact,
        )
        for at, name in enumerate(models)
    ]


class DetailModel(QStandardItemModel):
    """A row for each sub-model. Cells of what is not known are empty.

    Its items hold what is shown: asking Python for each of them takes long while other threads are busy.
    """

    def __init__(self) -> None:
        super().__init__(0, len(Column))
        self._names: list[str] = []
        for column in Column:
            self.setHeaderData(column, Qt.Orientation.Horizontal, _TITLES[column])
            self.setHeaderData(column, Qt.Orientation.Horizontal, _HELP[column], _TOOL_TIP)
            self.setHeaderData(column, Qt.Orientation.Horizontal, _alignment(column), _ALIGNMENT)

    def show_rows(self, rows: Sequence[DetailRow]) -> bool:
        """Show `rows`; returns whether they are of other sub-models than before."""
        names = [row.name for row in rows]
        others = names != self._names
        if others:
            self._names = names
            self.setRowCount(0)
            for _ in rows:
                self.appendRow([_item(column) for column in Column])
        for number, row in enumerate(rows):
            name, chip = self.item(number, Column.NAME), model_chip(number)
            if name.icon().cacheKey() != chip.cacheKey():  # of another theme, or none yet
                name.setIcon(chip)
            for column in Column:
                item = self.item(number, column)
                text = _text(row, column)
                if item.text() != text:
                    item.setText(text)
        return others


class DetailView(QTableView):
    """Shows a DetailModel."""

    def __init__(self, model: DetailModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Numbers of each sub-model")
        self.verticalHeader().hide()
        self.setIconSize(QSize(GRID, GRID))
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + GRID // 2)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(0)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.fit_columns()

    @property
    def selected_row(self) -> int | None:
        rows = self.selectionModel().selectedRows()
        return rows[0].row() if rows else None

    @property
    def size_of_all(self) -> QSize:
        """What it takes to show every row and column."""
        header, rows = self.horizontalHeader(), self.verticalHeader()
        frame = 2 * self.frameWidth() + GRID
        width = sum(self._width_of(column) for column in self._shown_columns)
        return QSize(width + frame, header.height() + rows.length() + frame)

    def show_columns(self) -> None:
        """Leave out the columns in which nothing is known of any sub-model."""
        model = self.model()
        for column in Column:
            cells = (model.index(row, column).data() for row in range(model.rowCount()))
            hidden = column is not Column.NAME and not any(cells)
            if hidden != self.isColumnHidden(column):
                self.setColumnHidden(column, hidden)
                self.fit_columns()

    def fit_columns(self) -> None:
        """As wide as names and numbers need; where not all have room, no number is cut at the edge."""
        room, columns = self.viewport().width(), self._shown_columns
        widths = {column: self._width_of(column) for column in columns}
        if sum(widths.values()) > room:
            whole = [sum(list(widths.values())[:count]) for count in range(2, len(columns))]
            widths[Column.NAME] += min((room - width for width in whole if width <= room), default=0)
        for column, width in widths.items():
            self.horizontalHeader().resizeSection(column, width)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit_columns()

    @property
    def _shown_columns(self) -> list[Column]:
        return [column for column in Column if not self.isColumnHidden(column)]

    def _width_of(self, column: Column) -> int:
        """What a column needs, in pixels."""
        measure = self.fontMetrics()
        title = measure.horizontalAdvance(self.model().headerData(column, Qt.Orientation.Horizontal))
        widest = measure.horizontalAdvance(_WIDEST.get(column, _WIDEST_NUMBER))
        if column is Column.NAME:
            widest = max(widest, self.sizeHintForColumn(column) - _ROOM)
        return max(title, widest) + _ROOM


def _item(column: Column) -> QStandardItem:
    item = QStandardItem()
    item.setEditable(False)
    item.setTextAlignment(_alignment(column))
    return item


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column == Column.NAME else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


def _text(row: DetailRow, column: Column) -> str:
    if column is Column.NAME:
        return one_line(row.name)
    shares = {
        Column.ZERO: row.zero,
        Column.TAKEN: row.taken,
        Column.DROPPED: row.dropped,
        Column.AGAINST: row.against,
        Column.RELATIVE: row.relative,
    }
    if column in shares:
        share = shares[column]
        return "" if share is None else share_text(share)
    if column is Column.NONFINITE:
        return "" if row.nonfinite is None else _count_text(row.nonfinite, row.exact)
    number = {Column.NORM: row.norm, Column.MEAN: row.mean, Column.LARGEST: row.largest}[column]
    return "" if number is None else f"{number:#.3g}".rstrip(".").replace("-", "−")


def _count_text(count: int, exact: bool) -> str:
    """ "12"; of a sample "about 12", or "none seen"."""
    if exact:
        return grouped(count)
    return f"about {grouped(count)}" if count else "none seen"


def _number(value: Any) -> float | None:
    return float(value) if isfinite(value) else None
