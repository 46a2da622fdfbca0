"""The list of sub-models as a Qt item model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QMimeData,
    QModelIndex,
    QObject,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QGuiApplication, QPalette

from core.checkpoint.model import model_names
from core.methods import METHODS, MethodSpec, ParameterSpec
from core.text import one_line
from gui.document.merge_setup import ModelChoice
from gui.document.parameter_texts import help_text, number_kind
from gui.failure import Failure
from gui.models.known_models import KnownModels, State
from gui.models.sub_models import SubModels
from gui.numbers import Unread, read_number
from gui.widgets.chips import model_chip
from gui.widgets.dropped import what_is_dropped
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import ROOT, Index, TableModel
from gui.widgets.theme import ERROR, SUCCESS
from gui.words import weight_text

__all__ = ["ROWS_MIME_TYPE", "Column", "SubModelsModel"]


ROWS_MIME_TYPE = "application/x-paramosaic-rows"
"""Rows of the list that are being dragged: their numbers as text, "3 4 5"."""

_URLS = "text/uri-list"


class Column(IntEnum):
    NAME = 0
    WEIGHT = 1
    PARAMETERS = 2
    TYPE = 3
    SIZE = 4
    STATE = 5


_TITLES = {
    Column.NAME: "Sub-model",
    Column.WEIGHT: "Weight",
    Column.PARAMETERS: "Params",
    Column.TYPE: "Type",
    Column.SIZE: "Size",
    Column.STATE: "",
}
_HELP = {
    Column.NAME: "A checkpoint that was fine-tuned from the base",
    Column.WEIGHT: "",  # that of the method
    Column.PARAMETERS: "How many parameters it has, or the rank of an adapter",
    Column.TYPE: "How its numbers are stored",
    Column.SIZE: "What its weights take on the disk",
    Column.STATE: "✓ compatible, ! not compatible, … being read",
}


def _alignment(column: Column) -> Qt.AlignmentFlag:
    if column == Column.STATE:
        return Qt.AlignmentFlag.AlignCenter
    side = Qt.AlignmentFlag.AlignLeft if column == Column.NAME else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


class SubModelsModel(TableModel):
    """Translates `SubModels` for the table; every change of the list goes through here.

    The chip of a row has the colour of the model's number among those that take part and fit, which is its
    number in every picture; one that takes no part in them has a ring. What is wrong with a model stands in
    the place of its facts.

    Attributes:
        sub_models: the list itself, to be read only.
        names: what the rows are called; where folders have the same name, with the folder they are in.
        weight: what the method says of weights; None where it has none.

    Signals:
        changed(): the list, a weight or K changed; once for each call.
        dropped(object): a Dropped that brings models, from a file manager.
        refused(str): why a weight that was typed is not taken, in a sentence.
    """

    changed = Signal()
    dropped = Signal(object)
    refused = Signal(str)

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    def __init__(self, known: KnownModels, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sub_models = SubModels()
        self.names: list[str] = []
        self.weight = _weight_of(next(iter(METHODS.values())))
        self._numbers: list[int | None] = []
        self._chips: list[int | None] = []
        self._known = known
        self._locked = False

    @property
    def choices(self) -> tuple[ModelChoice, ...]:
        return self.sub_models.choices

    def problem(self, row: int) -> Failure | None:
        """Why the model in `row` cannot be merged; None where it can, or that is not known."""
        return self._known.problem(self.choices[row].folder)

    # -- changes

    def add(self, choices: Sequence[ModelChoice]) -> None:
        if choices:
            before = self.choices
            self.beginInsertRows(ROOT, len(before), len(before) + len(choices) - 1)
            self.sub_models.put((*before, *choices))
            self._find_names()
            self.endInsertRows()
            self._emit_changed()

    def replace_all(self, choices: Iterable[ModelChoice], k: int) -> None:
        """Replace the list by `choices`."""
        before = self.sub_models
        after = SubModels(tuple(choices), least=before.least, most=before.most)
        after.set_k(k)
        if [choice.folder for choice in after.choices] == [choice.folder for choice in self.choices]:
            self.sub_models = after
        else:
            self.beginResetModel()
            self.sub_models = after
            self._find_names()
            self.endResetModel()
        self._emit_changed()

    def remove(self, rows: Iterable[int]) -> None:
        for first, last in reversed(_ranges(rows)):
            self.beginRemoveRows(ROOT, first, last)
            self.sub_models.remove(range(first, last + 1))
            self._find_numbers()
            del self.names[first : last + 1]
            self.endRemoveRows()
        self._find_names()
        self._emit_changed()

    def move(self, rows: Iterable[int], before: int) -> None:
        """Gather `rows` in front of row `before`; the number of rows for the end."""
        order = self.sub_models.order_after_move(rows, before)
        if order == sorted(order):
            return
        self.layoutAboutToBeChanged.emit()
        self.sub_models.reorder(order)
        self._find_names()
        row_after = {old: new for new, old in enumerate(order)}
        indexes = self.persistentIndexList()
        self.changePersistentIndexList(
            indexes, [self.index(row_after[index.row()], index.column()) for index in indexes]
        )
        self.layoutChanged.emit()
        self._emit_changed()

    def enable(self, rows: Iterable[int], enabled: bool) -> None:
        self.sub_models.enable(rows, enabled)
        self._emit_changed()

    def set_weight(self, rows: Iterable[int], weight: float) -> None:
        self.sub_models.set_weight(rows, weight)
        self._emit_changed()

    def take_weight(self, rows: Iterable[int], text: str) -> None:
        """Set the weight that was typed; what the method does not take stays as it is, and is marked."""
        if self.weight is None:
            return
        read = read_number(text, number_kind(self.weight))
        if isinstance(read, Unread):
            self.sub_models.set_unread(rows, read)
            self.refused.emit(read.sentence)
            self._emit_changed()
        elif read is not None:
            self.set_weight(rows, float(read))

    def set_method(self, method: MethodSpec) -> None:
        """Ask for what `method` takes: weights or none, and how many models."""
        weight, least, most = _weight_of(method), method.least_models, method.most_models
        if (weight, least, most) != (self.weight, self.sub_models.least, self.sub_models.most):
            self.weight = weight
            self._take_again()
            self.sub_models.limit(least, most)
            self._emit_changed()

    def _take_again(self) -> None:
        """What one method does not take as a weight, another may."""
        for row, choice in enumerate(self.choices):
            if choice.unread is not None and self.weight is not None:
                read = read_number(choice.unread.text, number_kind(self.weight))
                if isinstance(read, Unread):
                    self.sub_models.set_unread([row], read)
                elif read is not None:
                    self.sub_models.set_weight([row], float(read))

    def set_folder(self, row: int, folder: Path) -> None:
        """Replace the model in `row`."""
        self.sub_models.set_folder(row, folder)
        self._find_names()
        self._emit_changed()

    def set_k(self, k: int) -> None:
        if k != self.sub_models.k:
            self.sub_models.set_k(k)
            self._emit_changed()

    def set_locked(self, locked: bool) -> None:
        """Whether Qt may tick, edit, drag or drop anything."""
        self._locked = locked

    def show_known(self) -> None:
        """Show again what is known of the models."""
        self._find_numbers()
        if self.choices:
            last = self.index(len(self.choices) - 1, len(Column) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    # -- called by Qt

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        across = orientation is Qt.Orientation.Horizontal
        if section == Column.WEIGHT and across and role == Qt.ItemDataRole.ToolTipRole:
            return help_text(self.weight) if self.weight is not None else ""
        return super().headerData(section, orientation, role)

    def count(self) -> int:
        return len(self.choices)

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled  # between the rows
        flags = super().flags(index)
        if self._locked:
            return flags
        flags |= Qt.ItemFlag.ItemIsDragEnabled
        if index.column() == Column.NAME:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        elif index.column() == Column.WEIGHT and self.weight is not None:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.choices):
            return None
        row, column = index.row(), Column(index.column())
        choice, number = self.choices[row], self._numbers[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._shown(row, column)
        if role == Qt.ItemDataRole.EditRole:
            typed = choice.unread if column is Column.WEIGHT else None
            return self._shown(row, column) if typed is None else typed.text
        if role == Qt.ItemDataRole.CheckStateRole and column is Column.NAME:
            return Qt.CheckState.Checked if choice.enabled else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and column is Column.NAME:
            return model_chip(self._chips[row])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            is_reason = column is Column.PARAMETERS and self.problem(row) is not None
            return _alignment(Column.NAME if is_reason else column)
        if role == Qt.ItemDataRole.FontRole and column is Column.STATE:
            return _bold()
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tool_tip(row)
        if role == Qt.ItemDataRole.AccessibleTextRole and column is Column.STATE:
            return self._known.state(choice.folder).words
        if role == Qt.ItemDataRole.AccessibleDescriptionRole and column is Column.NAME:
            return self._part_text(row)
        if role == Qt.ItemDataRole.FontRole and column is Column.WEIGHT and choice.unread is not None:
            return _bold()
        if role == Qt.ItemDataRole.ForegroundRole:
            if column is Column.WEIGHT and choice.unread is not None:
                return ERROR
            if number is None:
                return QGuiApplication.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
            if column is Column.STATE:
                return _STATE_COLOURS.get(self._known.state(choice.folder))
            if column is Column.PARAMETERS and self.problem(row) is not None:
                return ERROR
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid() or self._locked:
            return False
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == Column.NAME:
            self.enable([index.row()], Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        if role == Qt.ItemDataRole.EditRole and index.column() == Column.WEIGHT:
            self.take_weight([index.row()], str(value))
            return True
        return False

    # -- dragging and dropping

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction | Qt.DropAction.CopyAction | Qt.DropAction.LinkAction

    def mimeTypes(self) -> list[str]:
        return [ROWS_MIME_TYPE, _URLS]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        mime = QMimeData()
        rows = sorted({index.row() for index in indexes})
        mime.setData(ROWS_MIME_TYPE, " ".join(map(str, rows)).encode())
        return mime

    def dropMimeData(
        self, mime: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index
    ) -> bool:
        if mime.hasFormat(ROWS_MIME_TYPE):
            rows = [int(part) for part in bytes(mime.data(ROWS_MIME_TYPE).data()).split()]
            before = row if row >= 0 else parent.row() if parent.isValid() else len(self.choices)
            self.move(rows, before)
            return True
        dropped = what_is_dropped(mime)
        if dropped.models:
            self.dropped.emit(dropped)
        return bool(dropped.models)

    # -- inside

    def _shown(self, row: int, column: Column) -> str:
        choice = self.choices[row]
        if column is Column.NAME:
            return one_line(self.names[row])
        if column is Column.WEIGHT:
            return weight_text(choice.weight) if choice.unread is None else choice.unread.text.strip() or "?"
        problem = self.problem(row)
        if problem is not None and column in _FACTS:
            return self._reason(row, problem) if column is Column.PARAMETERS else ""
        if column is Column.PARAMETERS:
            return self._known.parameters_text(choice.folder)
        if column is Column.TYPE:
            return self._known.types_text(choice.folder)
        if column is Column.SIZE:
            return self._known.size_text(choice.folder)
        return self._known.state(choice.folder).value

    def _reason(self, row: int, problem: Failure) -> str:
        """What is wrong in a few words, and more of it where there is room."""
        folder = self.choices[row].folder
        what = "Cannot be read" if self._known.is_unreadable(folder) else "Does not fit"
        return f"{what}: {one_line(problem.message.replace(str(folder), self.names[row]))}"

    def _tool_tip(self, row: int) -> str:
        folder = self.choices[row].folder
        problem = self.problem(row)
        lines = [typed.sentence] if (typed := self.choices[row].unread) is not None else []
        lines += [str(folder), self._known.facts_text(folder)]
        lines.append(problem.message if problem else self._known.state(folder).words)
        lines.append(self._part_text(row))
        return tool_tip("\n".join(filter(None, lines)))

    def _part_text(self, row: int) -> str:
        number = self._numbers[row]
        if number is not None and self.problem(row) is not None:
            return "Left out of the pictures, and in the way of the merge"
        if number is not None:
            return f"Takes part, as number {number + 1} of {self.sub_models.k}"
        if not self.choices[row].enabled:
            return "Takes no part: it is not ticked"
        return f"Takes no part: K is {self.sub_models.k}"

    def _find_names(self) -> None:
        self.names = model_names([choice.folder for choice in self.choices])
        self._find_numbers()

    def _find_numbers(self) -> None:
        """Count those that take part; of the pictures, only those that fit."""
        self._numbers = self.sub_models.numbers()
        fits = [number is not None and self.problem(row) is None for row, number in enumerate(self._numbers)]
        counted = count()
        self._chips = [next(counted) if fit else None for fit in fits] if any(fits) else self._numbers

    def _emit_changed(self) -> None:
        self.show_known()
        self.changed.emit()


_FACTS = (Column.PARAMETERS, Column.TYPE, Column.SIZE)
_STATE_COLOURS = {State.FITS: SUCCESS, State.PROBLEM: ERROR}


def _weight_of(method: MethodSpec) -> ParameterSpec | None:
    return method.parameter("weight") if method.weight is not None else None


def _ranges(rows: Iterable[int]) -> list[tuple[int, int]]:
    """(first, last) of each run of neighbours among `rows`."""
    ordered = sorted(set(rows))
    breaks = [at for at, (row, after) in enumerate(pairwise(ordered), 1) if after != row + 1]
    starts = [0, *breaks]
    ends = [*breaks, len(ordered)]
    return [(ordered[a], ordered[b - 1]) for a, b in zip(starts, ends, strict=True)] if ordered else []


def _bold() -> QFont:
    font = QFont()
    font.setBold(True)
    return font
