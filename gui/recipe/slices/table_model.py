"""The table of slices as a Qt item model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication, QPalette

from core.checkpoint.model import model_names
from core.recipe.recipe import Slice
from core.text import one_line
from gui.document.merge_setup import MergeSetup
from gui.recipe.slices.rows import (
    Refused,
    SliceRow,
    layers_from_text,
    rows_of,
    with_layers,
    with_model,
)
from gui.widgets.chips import model_chip
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel
from gui.words import layers_text

__all__ = ["Column", "SlicesModel"]


class Column(IntEnum):
    RESULT = 0
    MODEL = 1
    LAYERS = 2
    VALUES = 3


_TITLES = {Column.RESULT: "Makes", Column.MODEL: "Of", Column.LAYERS: "Layers", Column.VALUES: "With"}
_HELP = {
    Column.RESULT: "The layers of the result, counted from 0",
    Column.MODEL: "The model that gives its layers",
    Column.LAYERS: "Which of its layers, counted from 0: the first and the last, such as 0-15",
    Column.VALUES: "Values that are given for these layers alone",
}


def _alignment(column: Column) -> Qt.AlignmentFlag:
    right = column in (Column.RESULT, Column.LAYERS)
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class SlicesModel(TableModel):
    """Translates the slices for the table; every change of them goes through here.

    Attributes:
        slices: all of them.
        rows: a row for each source.
        models: the models that can give layers.

    Signals:
        changed(): the slices changed; once for each act of the user.
        found(): the models are others.
        refused(str): why what was typed or chosen was not taken, in a sentence.
    """

    changed = Signal()
    found = Signal()
    refused = Signal(str)

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.slices: tuple[Slice, ...] = ()
        self.rows: tuple[SliceRow, ...] = ()
        self.models: tuple[Path, ...] = ()
        self._names: dict[Path, str] = {}
        self._taking_part: tuple[Path, ...] = ()

    def set_models(self, setup: MergeSetup) -> None:
        """Which models there are: those that take part, and the base."""
        taking_part = tuple(choice.folder for choice in setup.taking_part)
        base = (setup.base,) if setup.base is not None and setup.base not in taking_part else ()
        models = (*taking_part, *base)
        if (models, taking_part) == (self.models, self._taking_part):
            return
        self.models, self._taking_part = models, taking_part
        self._names = dict(zip(models, model_names(models), strict=True))
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(Column) - 1))
        self.found.emit()

    def set_slices(self, slices: Sequence[Slice]) -> None:
        """Show `slices`; only the view is notified."""
        if tuple(slices) != self.slices:
            self.beginResetModel()
            self.slices = tuple(slices)
            self.rows = rows_of(self.slices)
            self.endResetModel()
            self.found.emit()

    def change(self, slices: Sequence[Slice]) -> None:
        """Show `slices`, which the user has asked for."""
        if tuple(slices) != self.slices:
            self.set_slices(slices)
            self.changed.emit()

    def name_of(self, model: Path) -> str:
        """What the model is called, also where it takes no part."""
        return self._names.get(model, model.name)

    def number_of(self, model: Path) -> int | None:
        """The number of the model among those that take part."""
        return self._taking_part.index(model) if model in self._taking_part else None

    def try_change(self, change: Callable[[], Sequence[Slice]]) -> bool:
        """Do what `change` makes of the slices, or say why not."""
        try:
            slices = change()
        except Refused as refused:
            self.refused.emit(str(refused))
            return False
        self.refused.emit("")
        self.change(slices)
        return True

    # -- called by Qt

    def count(self) -> int:
        return len(self.rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if index.isValid() and index.column() in (Column.MODEL, Column.LAYERS):
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.rows):
            return None
        row, column = self.rows[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._shown(row, column))
        if role == Qt.ItemDataRole.EditRole:
            return row.model if column is Column.MODEL else self._shown(row, column).replace("–", "-")
        if role == Qt.ItemDataRole.DecorationRole and column is Column.MODEL:
            return model_chip(self.number_of(row.model))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(self._tool_tip(row))
        if role == Qt.ItemDataRole.ForegroundRole and column is Column.MODEL and row.model not in self.models:
            return QGuiApplication.palette().brush(QPalette.ColorRole.PlaceholderText)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid() or role != Qt.ItemDataRole.EditRole:
            return False
        row = self.rows[index.row()]
        if index.column() == Column.MODEL:
            return self.try_change(lambda: with_model(self.slices, row, value))
        return self.try_change(lambda: with_layers(self.slices, row, layers_from_text(value)))

    # -- inside

    def _shown(self, row: SliceRow, column: Column) -> str:
        if column is Column.RESULT:
            return layers_text(row.first, row.first + row.count) if row.source == 0 else ""
        if column is Column.MODEL:
            return self.name_of(row.model)
        return layers_text(*row.layers) if column is Column.LAYERS else row.values

    def _tool_tip(self, row: SliceRow) -> str:
        lines = [f"Layers {layers_text(*row.layers)} of {self.name_of(row.model)}"]
        if row.model not in self.models:
            lines.append("This model takes no part: tick it, or choose another one.")
        return "\n".join([*lines, *([row.values] if row.values else [])])
