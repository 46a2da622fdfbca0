"""The table of slices, and what edits its cells."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, QSize, Qt, QTimer
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from core.text import one_line
from gui.recipe.slices.table_model import Column, SlicesModel
from gui.widgets.chips import model_chip
from gui.widgets.table_model import Index
from gui.widgets.theme import GRID

__all__ = ["SlicesView"]

_MOST_ROWS = 8
"""That are shown without scrolling."""


class SlicesView(QTableView):
    """The table; as high as its rows, up to some."""

    def __init__(self, model: SlicesModel) -> None:
        super().__init__()
        self._model = model
        self.setModel(model)
        self.setAccessibleName("Layers of the result by model")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.SelectedClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.AnyKeyPressed
        )
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(Column.MODEL, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(Column.VALUES, QHeaderView.ResizeMode.Stretch)
        self.setItemDelegateForColumn(Column.MODEL, _ModelDelegate(self, model))
        self.setItemDelegateForColumn(Column.LAYERS, _LayersDelegate(self))

    def fit(self) -> None:
        """Give the table the room that its rows take."""
        metrics = self.fontMetrics()
        chip = round(0.8 * metrics.ascent())
        self.setIconSize(QSize(chip, chip))
        line = max(3 * GRID, metrics.height() + GRID // 2)
        self.verticalHeader().setMinimumSectionSize(GRID)
        self.verticalHeader().setDefaultSectionSize(line)
        self.setColumnHidden(Column.VALUES, not any(row.values for row in self._model.rows))
        shown = min(max(len(self._model.rows), 1), _MOST_ROWS)
        height = self.horizontalHeader().sizeHint().height() + shown * line + 2 * self.frameWidth()
        self.setFixedHeight(height)


class _LayersDelegate(QStyledItemDelegate):
    """Edits a range as text."""

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setFrame(False)
        editor.setAutoFillBackground(True)
        editor.setAlignment(Qt.AlignmentFlag.AlignRight)
        editor.setPlaceholderText("0-15")
        editor.setAccessibleName("Layers")
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        rect = option.rect
        rect.setLeft(rect.right() - max(rect.width(), 8 * GRID))
        editor.setGeometry(rect)


class _ModelDelegate(QStyledItemDelegate):
    """Chooses the model by a list that opens at once."""

    def __init__(self, view: QTableView, model: SlicesModel) -> None:
        super().__init__(view)
        self._model = model

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QComboBox(parent)
        editor.setAccessibleName("Model")
        own = self._model.rows[index.row()].model
        for folder in dict.fromkeys([*self._model.models, own]):
            name = one_line(self._model.name_of(folder))
            editor.addItem(model_chip(self._model.number_of(folder)), name, folder)
        editor.activated.connect(lambda: self._take(editor))
        QTimer.singleShot(0, editor, editor.showPopup)
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        assert isinstance(editor, QComboBox)
        value: Path = index.data(Qt.ItemDataRole.EditRole)
        values = [editor.itemData(at) for at in range(editor.count())]
        editor.setCurrentIndex(values.index(value))

    def setModelData(self, editor: QWidget, model: object, index: QModelIndex | Index) -> None:
        assert isinstance(editor, QComboBox)
        self._model.setData(index, editor.currentData())

    def _take(self, editor: QComboBox) -> None:
        editor.removeEventFilter(self)  # the focus that it loses now is no reason to take it again
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)
