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
    Signal,
    Slot,
)
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QFocusEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
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
from gui.widgets.check_delegate import CheckDelegate
from gui.widgets.dropped import what_is_dropped
from gui.widgets.theme import GRID, accent_of

__all__ = ["SubModelsView"]

_INVITATION = (
    "Drop fine-tuned models here, a folder of them,\nor a training run with its checkpoints.\n"
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

_LEAST_ROWS = 3
"""That are shown of the list, however low the window is."""

_BELOW_ROWS = GRID + GRID // 2
"""Pixels below these rows, without which a message about a model would have no room for its buttons."""


class SubModelsView(QTableView):
    """The table, with an invitation while it is empty.

    Where it is narrow, columns whose content is also in the tool tips are hidden.

    Signals:
        hovered(object): a Dropped that is held above it, or None: it is not any more.
    """

    hovered = Signal(object)

    def __init__(self, model: SubModelsModel) -> None:
        super().__init__()
        self._model = model
        self._widths: dict[Column, int] = {}
        self._locked = False
        self._hover = ""
        self._kept = QPersistentModelIndex()
        self.setModel(model)
        self.setAccessibleName("Sub-models")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setItemDelegateForColumn(Column.WEIGHT, _WeightDelegate(self, model))
        self.setItemDelegateForColumn(Column.NAME, CheckDelegate(self))
        self.setItemDelegateForColumn(Column.PARAMETERS, _ReasonDelegate(self))
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
        self.verticalScrollBar().sliderPressed.connect(self._keep_nothing)
        model.changed.connect(self._hide_what_has_no_room)
        for signal in (model.dataChanged, model.modelReset, model.layoutChanged, model.rowsRemoved):
            signal.connect(self._give_reasons_room)

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

    def scroll_to_rows(self, first: int, last: int) -> None:
        """Show rows `first` to `last`, or as many of them as there is room for, from the first on.

        The first one stays in sight when a message takes room, until the user does something in the list.
        """
        self.scrollTo(self._model.index(last, Column.NAME))
        self.scrollTo(self._model.index(first, Column.NAME))
        self._kept = QPersistentModelIndex(self._model.index(first, Column.NAME))

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

    def height_of_rows(self, rows: int) -> int:
        """The pixels that the heading and so many rows take."""
        frame = 2 * self.frameWidth()
        row = self.verticalHeader().defaultSectionSize()
        return self.horizontalHeader().sizeHint().height() + rows * row + frame

    def set_locked(self, locked: bool) -> None:
        """Take no drops, and let no row be dragged."""
        self._locked = locked
        self.setDragEnabled(not locked)

    def show_hover(self, text: str) -> None:
        """Say what a drop would do, and that it would be done to the list; "" for nothing."""
        if text != self._hover:
            self._hover = text
            self.viewport().update()

    # -- events

    def sizeHint(self) -> QSize:
        return QSize(40 * GRID, 28 * GRID)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.viewport().update()  # Qt repaints the current row only, and the frame is around all

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.viewport().update()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_to_font()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_what_has_no_room()
        if self._kept.isValid():
            self.scrollTo(self._model.index(self._kept.row(), Column.NAME))

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Wheel, QEvent.Type.MouseButtonPress):
            self._keep_nothing()
        return super().viewportEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._keep_nothing()
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.model().rowCount() == 0:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            area = self.viewport().rect().adjusted(GRID, GRID, -GRID, -GRID)
            if not self._hover:
                painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, _INVITATION)
        if self._hover:
            self._draw_hover()
        elif self.hasFocus():
            self._draw_frame(1)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        mime = event.mimeData()
        dropped = what_is_dropped(mime)
        if self._locked:
            event.ignore()
        elif mime.hasFormat(ROWS_MIME_TYPE):
            super().dragEnterEvent(event)
        elif dropped.models and dropped.recipe is None:
            super().dragEnterEvent(event)
            self.hovered.emit(dropped)
        else:  # the window opens a recipe, and answers everything else
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        super().dragLeaveEvent(event)
        self.hovered.emit(None)

    def dropEvent(self, event: QDropEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        row = index.row() if index.isValid() else self._model.rowCount()
        if index.isValid() and event.position().y() > self.visualRect(index).center().y():
            row += 1
        if self._model.dropMimeData(event.mimeData(), event.dropAction(), row, 0, QModelIndex()):
            if not event.mimeData().hasFormat(ROWS_MIME_TYPE):
                event.setDropAction(Qt.DropAction.CopyAction)  # or the file manager deletes them
            event.accept()
        self.dragLeaveEvent(QDragLeaveEvent())

    # -- inside

    def _draw_hover(self) -> None:
        """A frame, and what a drop would do in a strip at the bottom, where no row is moved by it."""
        area = self.viewport().rect()
        strip = area.adjusted(0, area.height() - self.verticalHeader().defaultSectionSize(), 0, 0)
        colours = self.palette()
        painter = QPainter(self.viewport())
        painter.fillRect(strip, colours.color(QPalette.ColorRole.Highlight))
        painter.setPen(colours.color(QPalette.ColorRole.HighlightedText))
        text = self.fontMetrics().elidedText(
            self._hover, Qt.TextElideMode.ElideMiddle, strip.width() - 2 * GRID
        )
        painter.drawText(strip, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        self._draw_frame(2)

    def _draw_frame(self, width: int) -> None:
        """Around all rows, `width` pixels: the focus is here, or a drop would go here."""
        painter = QPainter(self.viewport())
        painter.setPen(QPen(accent_of(self.palette()), width))
        inner = width // 2
        side = width - inner
        painter.drawRect(self.viewport().rect().adjusted(inner, inner, -side, -side))

    @Slot()
    def _keep_nothing(self) -> None:
        self._kept = QPersistentModelIndex()

    @Slot()
    def _give_reasons_room(self) -> None:
        """Why a model does not fit takes the room of its facts."""
        facts = Column.SIZE - Column.PARAMETERS + 1
        for row in range(self._model.count()):
            wanted = facts if self._model.problem(row) is not None else 1
            if self.columnSpan(row, Column.PARAMETERS) != wanted:
                self.setSpan(row, Column.PARAMETERS, 1, wanted)

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
        self.setMinimumHeight(self.height_of_rows(_LEAST_ROWS) + _BELOW_ROWS)
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


class _ReasonDelegate(QStyledItemDelegate):
    """Shortens why a model does not fit at its end, where its names are."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight


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
