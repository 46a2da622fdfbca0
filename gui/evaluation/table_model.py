"""The table of an evaluation as a Qt item model: which models, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette

from core.evaluate.verdict.comparison import NO_DIFFERENCE, decimals_of, difference_text
from core.text import one_line
from gui.evaluation.figures import ResultRow, loss_text, share_text
from gui.widgets.chips import model_chip
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel
from gui.widgets.theme import ERROR, SUCCESS, as_text

__all__ = ["Column", "ResultsModel"]


class Column(IntEnum):
    MODEL = 0
    LOSS = 1
    OTHER = 2
    DIFFERENCE = 3
    VERDICT = 4


_BITS, _RIGHT = "Bits a byte", "Right"
_TITLES = {
    Column.MODEL: "Model",
    Column.LOSS: "Loss",
    Column.OTHER: _BITS,
    Column.DIFFERENCE: "Difference (95 %)",
    Column.VERDICT: "Verdict",
}
_HELP = {
    Column.MODEL: "What is ticked is evaluated",
    Column.LOSS: "The mean over the rows of the data, in nats a token (of a classifier: a sample); less is "
    "better",
    Column.OTHER: "Bits of loss for each byte of text, by which models with different tokenizers can be "
    "compared; of classifiers and exact answers, how many were right",
    Column.DIFFERENCE: "Of the loss, to that of the reference, row by row; of bits a byte where the "
    "tokenizers differ. Negative is better. In brackets the interval that holds the true difference in 95 of "
    "100 such comparisons",
    Column.VERDICT: "Whether the difference is more than chance, with all models that are compared counted",
}
_ROLES = {
    "base": "The base model",
    "sub-model": "A sub-model",
    "merge": "The output of a merge",
    "folder": "A model",
}
_COLOURS = {"helps": SUCCESS, "hurts": ERROR}
_LEFT = {Column.MODEL, Column.VERDICT}


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column in _LEFT else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


class ResultsModel(TableModel):
    """One row a model.

    Attributes:
        compact: whether the differences stand there without their intervals.

    Signals:
        ticked(object, bool): the user ticks or unticks the model with this path.
    """

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    ticked = Signal(object, bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[ResultRow, ...] = ()
        self._decimals = decimals_of([])
        self.compact = False
        self._locked = False

    # -- changes

    def set_rows(self, rows: Sequence[ResultRow]) -> None:
        """Show `rows`; where only what stands in them changes, the selection stays."""
        rows = tuple(rows)
        if rows == self._rows:
            return
        self._decimals = decimals_of(row.comparison for row in rows)
        if [row.candidate.path for row in rows] == [row.candidate.path for row in self._rows]:
            self._rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(_TITLES) - 1))
        else:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, Column.OTHER, Column.OTHER)

    def set_locked(self, locked: bool) -> None:
        """While an evaluation runs, nothing is ticked."""
        self._locked = locked

    def set_compact(self, compact: bool) -> None:
        if compact != self.compact:
            self.compact = compact
            if self._rows:
                last = len(self._rows) - 1
                self.dataChanged.emit(self.index(0, Column.DIFFERENCE), self.index(last, Column.DIFFERENCE))
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, Column.DIFFERENCE, Column.DIFFERENCE)

    # -- queries

    @property
    def rows(self) -> tuple[ResultRow, ...]:
        return self._rows

    @property
    def counts_right(self) -> bool:
        """Whether something was right or wrong, so that the share stands in place of bits a byte."""
        return any(row.figures is not None and row.figures.accuracy is not None for row in self._rows)

    def number_of(self, path: Path) -> int | None:
        """In which row a model is; None where it is in none."""
        paths = [row.candidate.path for row in self._rows]
        return paths.index(path) if path in paths else None

    # -- called by Qt

    def count(self) -> int:
        return len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if not index.isValid() or index.column() != Column.MODEL or index.row() >= len(self._rows):
            return flags
        fixed = self._locked or self._rows[index.row()].is_reference
        return flags if fixed else flags | Qt.ItemFlag.ItemIsUserCheckable

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.CheckStateRole or not self.flags(index) & Qt.ItemFlag.ItemIsUserCheckable:
            return False
        ticked = Qt.CheckState(value) == Qt.CheckState.Checked
        self.ticked.emit(self._rows[index.row()].candidate.path, ticked)
        return True

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            if section == Column.OTHER and self.counts_right:
                return _RIGHT
            if section == Column.DIFFERENCE and self.compact:
                return "Difference"
        return super().headerData(section, orientation, role)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row, column = self._rows[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._text(row, column))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(_tool_tip(row, column))
        if column is Column.MODEL:
            return _of_model(row, role)
        if column is Column.VERDICT and role == Qt.ItemDataRole.ForegroundRole:
            return _verdict_colour(row)
        return None

    # -- inside

    def _text(self, row: ResultRow, column: Column) -> str:
        if column is Column.OTHER and row.figures is not None and self.counts_right:
            return share_text(row.figures.accuracy)
        if column is Column.DIFFERENCE:
            return difference_text(row.comparison, self._decimals, interval=not self.compact)
        return _TEXTS[column](row)


def _of_model(row: ResultRow, role: int) -> Any:
    if role == Qt.ItemDataRole.CheckStateRole:
        return Qt.CheckState.Checked if row.ticked or row.is_reference else Qt.CheckState.Unchecked
    if role == Qt.ItemDataRole.DecorationRole and row.candidate.number is not None:
        return model_chip(row.candidate.number)
    return None


def _verdict_colour(row: ResultRow) -> QColor:
    colours = QGuiApplication.palette()
    said = row.comparison.verdict if row.comparison is not None and not row.state else ""
    if said in _COLOURS:
        return as_text(_COLOURS[said], colours)
    quiet = row.state or row.is_reference
    return colours.color(QPalette.ColorRole.PlaceholderText if quiet else QPalette.ColorRole.Text)


def _tool_tip(row: ResultRow, column: Column) -> str:
    if column is Column.MODEL:
        return f"{_ROLES[row.candidate.role]}\n{row.candidate.path}"
    if column is Column.OTHER and row.figures is not None:
        figures = row.figures
        said = [
            f"{loss_text(figures.bits_per_byte)} bits a byte" if figures.bits_per_byte is not None else ""
        ]
        said.append(f"{share_text(figures.accuracy)} right" if figures.accuracy is not None else "")
        return "\n".join(filter(None, said))
    comparison = row.comparison
    if comparison is None:
        return ""
    alone = comparison.verdict == NO_DIFFERENCE and (comparison.low > 0 or comparison.high < 0)
    why = f"The interval leaves zero out, which one of {comparison.compared} may by chance."
    return f"{comparison.sentence}\n{why}" if alone and comparison.compared > 1 else comparison.sentence


_TEXTS: dict[Column, Callable[[ResultRow], str]] = {
    Column.MODEL: lambda row: f"◆ {row.name}" if row.candidate.role == "base" else row.name,
    Column.LOSS: lambda row: loss_text(row.figures.loss if row.figures else None),
    Column.OTHER: lambda row: loss_text(row.figures.bits_per_byte if row.figures else None),
    Column.VERDICT: lambda row: row.verdict,
}
