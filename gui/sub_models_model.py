"""The list of sub-models as a Qt item model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette

from core.units import bytes_text, count_text
from gui.reports import ModelSummary
from gui.sub_models import SubModel, SubModels
from gui.text import number_from_text, weight_text
from gui.theme import model_colour

__all__ = ["Column", "SubModelsModel"]

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class Column(IntEnum):
    NAME = 0
    WEIGHT = 1
    PARAMETERS = 2
    TYPE = 3
    SIZE = 4


_TITLES = {
    Column.NAME: "Sub-model",
    Column.WEIGHT: "Weight",
    Column.PARAMETERS: "Params",
    Column.TYPE: "Type",
    Column.SIZE: "Size",
}
_HELP = {
    Column.NAME: "A checkpoint that was fine-tuned from the base",
    Column.WEIGHT: "The share of this sub-model, relative to the others",
    Column.PARAMETERS: "How many parameters it has",
    Column.TYPE: "How its numbers are stored",
    Column.SIZE: "What its weights take on the disk",
}


class SubModelsModel(QAbstractTableModel):
    """Translates `SubModels` for the table; every change of the list goes through here.

    Attributes:
        sub_models: the list itself, to be read only.

    Signals:
        changed(): the list, a weight, K or a summary is another.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sub_models = SubModels()

    # -- changes

    def add(self, folder: Path, weight: float = 1.0) -> None:
        row = len(self.sub_models.items)
        self.beginInsertRows(_ROOT, row, row)
        self.sub_models.add(folder, weight)
        self.endInsertRows()
        self.changed.emit()

    def replace_all(self, entries: Iterable[tuple[Path, float]]) -> None:
        """Put (folder, weight) entries in the place of the list; all take part."""
        self.beginResetModel()
        self.sub_models = SubModels()
        for folder, weight in entries:
            self.sub_models.add(folder, weight)
        self.endResetModel()
        self.changed.emit()

    def remove(self, rows: Iterable[int]) -> None:
        for row in sorted(set(rows), reverse=True):
            self.beginRemoveRows(_ROOT, row, row)
            self.sub_models.remove(row)
            self.endRemoveRows()
        self._repaint()
        self.changed.emit()

    def move(self, row: int, to: int) -> None:
        if row == to or not 0 <= to < len(self.sub_models.items):
            return
        # Qt counts the destination before the row is taken out.
        self.beginMoveRows(_ROOT, row, row, _ROOT, to + 1 if to > row else to)
        self.sub_models.move(row, to)
        self.endMoveRows()
        self._repaint()
        self.changed.emit()

    def set_k(self, k: int) -> None:
        if k != self.sub_models.k and self.sub_models.items:
            self.sub_models.set_k(k)
            self._repaint()
            self.changed.emit()

    def set_summary(self, summary: ModelSummary) -> None:
        """Fill in what the headers of a folder say, wherever it stands in the list."""
        for item in self.sub_models.items:
            if item.folder == summary.folder:
                item.summary = summary
        self._repaint()
        self.changed.emit()

    # -- what Qt asks

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.sub_models.items)

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(Column)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(Column):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[Column(section)]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _HELP[Column(section)]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(Column(section))
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if index.isValid() and index.column() == Column.WEIGHT:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.sub_models.items):
            return None
        item, column = self.sub_models.items[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return _shown(item, column)
        if role == Qt.ItemDataRole.EditRole:
            return weight_text(item.weight) if column is Column.WEIGHT else _shown(item, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tool_tip(index.row(), item)
        if role == Qt.ItemDataRole.DecorationRole and column is Column.NAME:
            return self._chip(index.row())
        if role == Qt.ItemDataRole.ForegroundRole and index.row() >= self.sub_models.k:
            return QGuiApplication.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or index.column() != Column.WEIGHT:
            return False
        weight = number_from_text(str(value))
        if weight is None:
            return False
        self.sub_models.items[index.row()].weight = weight
        self.dataChanged.emit(index, index)
        self.changed.emit()
        return True

    # -- inside

    def _chip(self, row: int) -> QColor:
        colour = model_colour(row)
        if row >= self.sub_models.k:
            colour.setAlphaF(0.3)
        return colour

    def _tool_tip(self, row: int, item: SubModel) -> str:
        lines = [str(item.folder)]
        if item.summary is not None and item.summary.problem is not None:
            lines.append(item.summary.problem.message)
        if row >= self.sub_models.k:
            lines.append(f"Does not take part: K is {self.sub_models.k}")
        return "\n".join(lines)

    def _repaint(self) -> None:
        if self.sub_models.items:
            last = self.index(len(self.sub_models.items) - 1, len(Column) - 1)
            self.dataChanged.emit(self.index(0, 0), last)


def _shown(item: SubModel, column: Column) -> str:
    if column is Column.NAME:
        return item.name
    if column is Column.WEIGHT:
        return weight_text(item.weight)
    if item.summary is None:
        return "…"
    if item.summary.problem is not None:
        return "no model" if column is Column.PARAMETERS else ""
    if column is Column.PARAMETERS:
        return count_text(item.summary.parameters)
    if column is Column.TYPE:
        return types_text(item.summary.dtypes)
    return bytes_text(item.summary.size_bytes)


def types_text(dtypes: Sequence[str]) -> str:
    """ "bf16", or "bf16 +1" where there are others."""
    if not dtypes:
        return "–"
    return dtypes[0].lower() + (f" +{len(dtypes) - 1}" if len(dtypes) > 1 else "")


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column is Column.NAME else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
