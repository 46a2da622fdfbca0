"""The table of runs as it is drawn."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QPoint, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QIcon,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
    QAbstractItemView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.history.table_model import Column, HistoryModel
from gui.widgets.table_model import Index
from gui.widgets.theme import GRID

__all__ = ["HistoryView"]

_WIDEST = {
    Column.DATE: "2025-12-31 00:00",
    Column.RESULT: "●Done, warned",
    Column.METHOD: "Parameter selection",
    Column.OUTPUT: "merged-model",
    Column.K: "100",
    Column.N: "rules",
    Column.SEED: "1234567890",
    Column.TIME: "59 min 59 s",
    Column.LOSS: "12.3456",
    Column.NOTE: "a note of a few words",
}
_NARROWER = {
    Column.NOTE: "note…",
    Column.METHOD: "Para…",
    Column.TIME: "59 min",
    Column.RESULT: "●Cancelled",
    Column.OUTPUT: "merged-2",
    Column.K: "60",
    Column.N: "100",
    Column.SEED: "12345",
}
"""What gives way, in this order, before a column is out of sight; what is cut there is in the tool tip."""
_NOTHING = "Every merge is listed here, and its recipe can be opened again."
_MOVES = frozenset({Qt.Key.Key_Up, Qt.Key.Key_Down})


class HistoryView(QTableView):
    """The table; while it is empty, it says why.

    Attributes:
        loaded: whether the history has been read.

    Signals:
        note_closed(): the user writes no note any more.
    """

    note_closed = Signal()

    def __init__(self, model: HistoryModel) -> None:
        super().__init__()
        self.loaded = False
        self.setModel(model)
        self.setAccessibleName("History of runs")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setItemDelegateForColumn(Column.OUTPUT, _EndInSight(self))
        self.setItemDelegateForColumn(Column.RESULT, _ChipInSight(self))
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
        self._given = {column: self._width_for(widest) for column, widest in _WIDEST.items()}
        for column, width in self._given.items():
            header.resizeSection(column, width)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self._writing = False
        model.modelReset.connect(self._show_what_is_known)
        self._show_what_is_known()

    def edit_note(self, row: int) -> None:
        """Let the user write the note of the run in `row`, in a column that may not have been in sight."""
        self._writing = True
        self._show_what_is_known()
        where = self.model().index(row, Column.NOTE)
        self.selectionModel().setCurrentIndex(where, QItemSelectionModel.SelectionFlag.NoUpdate)
        self.scrollTo(where)
        self.edit(where)

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        super().closeEditor(editor, hint)
        self._writing = False
        self._show_what_is_known()
        self.note_closed.emit()

    @property
    def writing(self) -> bool:
        """Whether the user writes a note, which would be lost were the table filled anew."""
        return self.state() == QAbstractItemView.State.EditingState

    @Slot()
    def _show_what_is_known(self) -> None:
        """Scores and notes have columns once there are any."""
        model = self.model()
        assert isinstance(model, HistoryModel)
        for column, known in (
            (Column.LOSS, model.has_scores),
            (Column.NOTE, model.has_notes or self._writing),
        ):
            if self.isColumnHidden(column) == known:
                self.setColumnHidden(column, not known)
                self._share()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share()

    def _share(self) -> None:
        """Divide the width among the columns that are in sight."""
        header = self.horizontalHeader()
        self._given[Column.OUTPUT] = header.sectionSize(Column.OUTPUT)  # it always takes the rest
        self.setColumnHidden(Column.TIME, False)
        self.setColumnHidden(Column.TIME, self._is_crowded())
        ours = self._ours()
        widths = {column: self._width_for(_WIDEST[column]) for column in ours}  # the others are the user's
        fixed = sum(header.sectionSize(column) for column in Column if column not in widths)
        rest = self.viewport().width() - fixed - sum(widths.values())
        for column in ours:
            less = min(max(-rest, 0), widths[column] - self._width_for(_NARROWER[column]))
            widths[column] -= less
            rest += less
        widths[Column.OUTPUT] += max(rest, 0)
        for column, width in widths.items():
            self._given[column] = width
            header.resizeSection(column, width)

    def _ours(self) -> list[Column]:
        """The columns in sight that may be made narrower: those whose width is not the user's."""
        size = self.horizontalHeader().sectionSize
        shown = (column for column in _NARROWER if not self.isColumnHidden(column))
        return [column for column in shown if size(column) == self._given[column]]

    def _is_crowded(self) -> bool:
        """Whether scores or notes leave no room for the time, which the tool tip says."""
        if self.isColumnHidden(Column.LOSS) and self.isColumnHidden(Column.NOTE):
            return False
        ours, size = self._ours(), self.horizontalHeader().sectionSize
        least = sum(size(column) for column in Column if column not in ours)
        return least + sum(self._width_for(_NARROWER[column]) for column in ours) > self.viewport().width()

    def _width_for(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text) + GRID + GRID // 2

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Where nothing is selected yet, an arrow key begins with the row that has the focus: from there Qt
        would go on to the next one, and never select the first."""
        here, selection = self.currentIndex(), self.selectionModel()
        extends = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if event.key() in _MOVES and not extends and here.isValid() and not selection.hasSelection():
            flags = QItemSelectionModel.SelectionFlag
            selection.setCurrentIndex(here, flags.ClearAndSelect | flags.Rows)
            event.accept()
            return
        super().keyPressEvent(event)

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


class _ChipInSight(QStyledItemDelegate):
    """Where a row is selected, the mark of its result has an edge that stands out from the accent colour."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        colour = index.data(Qt.ItemDataRole.DecorationRole)
        if option.state & QStyle.StateFlag.State_Selected and isinstance(colour, QColor):
            ratio = option.widget.devicePixelRatioF()
            chip = QPixmap(option.decorationSize * ratio)
            chip.setDevicePixelRatio(ratio)
            chip.fill(option.palette.color(QPalette.ColorRole.HighlightedText))
            inside = QRect(QPoint(), option.decorationSize).adjusted(1, 1, -1, -1)
            painter = QPainter(chip)
            painter.fillRect(inside, colour)
            painter.end()
            option.icon = QIcon(chip)


class _EndInSight(QStyledItemDelegate):
    """Where a path is too long, its end is what tells it from the others."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideLeft
