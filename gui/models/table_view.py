"""The table of sub-models: ticking, editing weights, dragging rows, dropping folders."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
    Slot,
)
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.models.table_model import ROWS_MIME_TYPE, Column, SubModelsModel
from gui.widgets.dropped import dropped_paths, sort_dropped
from gui.widgets.theme import GRID

__all__ = ["SubModelsView"]

_INVITATION = (
    "Drop fine-tuned models here,\nor a training run with its checkpoints.\n"
    "Or press Add to choose their folders."
)
_WIDEST = {
    Column.WEIGHT: "Weight",
    Column.PARAMETERS: "13.02 B",
    Column.TYPE: "bf16 +1",
    Column.SIZE: "99.9 GB",
    Column.STATE: "…",
}
_HIDDEN_FIRST = (Column.TYPE, Column.PARAMETERS, Column.SIZE)
"""The columns that are hidden, in that order, as long as names have too little room."""
_LEAST_NAME = 12
_LONGEST_NAME = 24
"""Characters of a name that there must be room for. The first column also makes room for the longest name."""


class SubModelsView(QTableView):
    """The table, with an invitation while it is empty.

    Where it is narrow, columns whose content is also in the tool tips are hidden.
    """

    def __init__(self, model: SubModelsModel) -> None:
        super().__init__()
        self._model = model
        self._widths: dict[Column, int] = {}
        self.setModel(model)
        self.setAccessibleName("Sub-models")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setItemDelegateForColumn(Column.WEIGHT, _WeightDelegate(self, model))
        self.setItemDelegateForColumn(Column.NAME, _NameDelegate(self))
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.AnyKeyPressed
        )
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setAcceptDrops(True)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setDragDropOverwriteMode(False)
        self.setDropIndicatorShown(True)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        self._fit_to_font()
        model.changed.connect(self._hide_what_has_no_room)

    def selected_rows(self) -> list[int]:
        ranges = self.selectionModel().selection().toList()
        return sorted({row for rows in ranges for row in range(rows.top(), rows.bottom() + 1)})

    def select_rows(self, rows: list[int]) -> None:
        """Select these rows only; the first becomes the current one and is scrolled to."""
        selection = QItemSelection()
        for row in rows:
            selection.select(self._model.index(row, 0), self._model.index(row, len(Column) - 1))
        flags = QItemSelectionModel.SelectionFlag
        if rows:
            first = self._model.index(rows[0], Column.NAME)
            self.selectionModel().setCurrentIndex(first, flags.NoUpdate)
            self.scrollTo(first)
        self.selectionModel().select(selection, flags.ClearAndSelect)

    @Slot()
    def edit_weight(self) -> None:
        """Edit the weight of the current row; what is typed is for all selected rows."""
        if self._model.weight is None:
            return
        index = self.currentIndex().siblingAtColumn(Column.WEIGHT)
        self.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
        self.edit(index)

    def commit_edit(self) -> None:
        """Take over the weight that is being typed."""
        editor = self.findChild(QLineEdit)
        if editor is not None:
            self.commitData(editor)
            self.closeEditor(editor, QAbstractItemDelegate.EndEditHint.NoHint)

    # -- events

    def sizeHint(self) -> QSize:
        return QSize(40 * GRID, 28 * GRID)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_to_font()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_what_has_no_room()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.model().rowCount() == 0:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            area = self.viewport().rect().adjusted(GRID, GRID, -GRID, -GRID)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, _INVITATION)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        mime = event.mimeData()
        dropped = sort_dropped(dropped_paths(mime))
        # Where a recipe is among the files, the window opens it.
        if mime.hasFormat(ROWS_MIME_TYPE) or (dropped.folders and dropped.recipe is None):
            super().dragEnterEvent(event)
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        row = index.row() if index.isValid() else self._model.rowCount()
        if index.isValid() and event.position().y() > self.visualRect(index).center().y():
            row += 1
        if self._model.dropMimeData(event.mimeData(), event.dropAction(), row, 0, QModelIndex()):
            if not event.mimeData().hasFormat(ROWS_MIME_TYPE):
                event.setDropAction(Qt.DropAction.CopyAction)  # or the file manager deletes them
            event.accept()
        super().dragLeaveEvent(QDragLeaveEvent())

    # -- inside

    def _fit_to_font(self) -> None:
        metrics = self.fontMetrics()
        header = self.horizontalHeader()
        header.setMinimumSectionSize(GRID)
        chip = round(0.8 * metrics.ascent())
        self.setIconSize(QSize(chip, chip))
        self.verticalHeader().setMinimumSectionSize(GRID)
        self.verticalHeader().setDefaultSectionSize(max(3 * GRID, metrics.height() + GRID // 2))
        for column, widest in _WIDEST.items():
            title = str(self._model.headerData(column, Qt.Orientation.Horizontal))
            width = max(metrics.horizontalAdvance(text) for text in (widest, title))
            self._widths[column] = width + GRID + GRID // 2
            header.resizeSection(column, self._widths[column])
        rows = 3 * self.verticalHeader().defaultSectionSize()
        self.setMinimumHeight(header.sizeHint().height() + rows + 2 * self.frameWidth())
        self._hide_what_has_no_room()

    def _hide_what_has_no_room(self) -> None:
        self.setColumnHidden(Column.WEIGHT, self._model.weight is None)
        beside = self.iconSize().width() + self.style().pixelMetric(QStyle.PixelMetric.PM_IndicatorWidth)
        room = self.viewport().width() - sum(self._widths.values()) - beside - 3 * GRID
        room += self._widths[Column.WEIGHT] if self._model.weight is None else 0
        metrics = self.fontMetrics()
        least = metrics.horizontalAdvance("n" * _LEAST_NAME)
        longest = max(self._model.names, key=len, default="")[:_LONGEST_NAME]
        for column in _HIDDEN_FIRST:
            wanted = metrics.horizontalAdvance(longest) if column is _HIDDEN_FIRST[0] else 0
            hidden = room < max(wanted, least)
            room += self._widths[column] if hidden else 0
            self.setColumnHidden(column, hidden)


class _NameDelegate(QStyledItemDelegate):
    """Draws check boxes with an outline that dark backgrounds show too."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        colours = option.palette
        # Fusion takes the outline from the colour of windows, which is much like that of lists.
        outline = colours.color(QPalette.ColorGroup.Active, QPalette.ColorRole.PlaceholderText)
        colours.setColor(QPalette.ColorRole.Window, outline)
        option.palette = colours


class _WeightDelegate(QStyledItemDelegate):
    """Edits a weight as text, so that no digit is lost."""

    def __init__(self, view: SubModelsView, model: SubModelsModel) -> None:
        super().__init__(view)
        self._view, self._model = view, model

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QWidget:
        editor = QLineEdit(parent)
        editor.setFrame(False)
        editor.setAlignment(Qt.AlignmentFlag.AlignRight)
        editor.setAcceptDrops(False)
        editor.setAccessibleName("Weight")
        return editor

    def setModelData(
        self, editor: QWidget, model: QAbstractItemModel, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        assert isinstance(editor, QLineEdit)
        selected = self._view.selected_rows()
        self._model.take_weight(selected if index.row() in selected else [index.row()], editor.text())
