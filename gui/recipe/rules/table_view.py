"""The table of rules: typing, choosing, and as many lines as there are rules."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
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
from gui.document.parameter_texts import parameter_title
from gui.numbers import Unread
from gui.recipe.rules.table_model import Column, RulesModel
from gui.widgets.chips import model_chip
from gui.widgets.plain import tool_tip
from gui.widgets.theme import ERROR, GRID, as_text

__all__ = ["RulesView"]

Index = QModelIndex | QPersistentModelIndex

_LONGEST = {Column.PARAMETER: 8, Column.MODEL: 16, Column.WHERE: 16, Column.VALUE: 11, Column.TENSORS: 9}
"""Characters that a column makes room for. Where there is too little, the column of models has less."""

_LEAST_EDITOR = "0.25, 0.75, 0.25"
_COMMITTING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Backtab)


class RulesView(QTableView):
    """The table; as high as its rows, since it is in a form that scrolls. An editor with what is not taken
    stays open until it is mended or Escape is pressed.

    Signals:
        refused(str): why what was typed is not taken, in a sentence; "" when that is over.
    """

    refused = Signal(str)

    def __init__(self, model: RulesModel) -> None:
        super().__init__()
        self._model = model
        self.setModel(model)
        self.setAccessibleName("Rules by layer")
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
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(Column.WHERE, QHeaderView.ResizeMode.Stretch)
        choices, texts = _ChoiceDelegate(self, model), _TextDelegate(self, model)
        for column in (Column.PARAMETER, Column.MODEL):
            self.setItemDelegateForColumn(column, choices)
        for column in (Column.WHERE, Column.VALUE):
            self.setItemDelegateForColumn(column, texts)
        texts.refused.connect(self.refused)
        model.refused.connect(self.refused)
        model.found.connect(self._fit)
        model.rowsInserted.connect(self._fit)
        model.rowsRemoved.connect(self._fit)
        self._fit()

    def select_row(self, row: int, column: Column = Column.WHERE) -> None:
        """Make it the current one."""
        self.setCurrentIndex(self._model.index(row, column))

    @property
    def unread(self) -> Unread | None:
        """What is typed in the editor that stays open; None where none does."""
        editor = self._refused_editor
        if editor is None:
            return None
        refusal = editor.property("refusal")
        return Unread(editor.text(), f"Rule {editor.property('cell').row() + 1}: {refusal}", refusal)

    def go_to_unread(self) -> None:
        """Give the focus to the editor that stays open."""
        if (editor := self._refused_editor) is not None:
            editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def drop_unread(self, row: int | None = None) -> None:
        """Close the editor that stays open, if it is in `row`; None for any."""
        editor = self._refused_editor
        if editor is not None and row in (None, editor.property("cell").row()):
            self.closeEditor(editor, QAbstractItemDelegate.EndEditHint.RevertModelCache)

    @property
    def _refused_editor(self) -> QLineEdit | None:
        for editor in self.findChildren(QLineEdit):  # that of a row which is gone stays until Qt deletes it
            if editor.property("refusal") and editor.property("cell").isValid():
                return editor
        return None

    # -- events

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        if hint != QAbstractItemDelegate.EndEditHint.RevertModelCache and editor.property("refusal"):
            return
        editor.setProperty("refusal", "")
        super().closeEditor(editor, hint)
        self.refused.emit("")

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    # -- inside

    @Slot()
    def _fit(self) -> None:
        """Give the columns and the table the room that their texts take."""
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        header.setMinimumSectionSize(GRID)
        chip = round(0.8 * metrics.ascent())
        self.setIconSize(QSize(chip, chip))
        line = max(3 * GRID, metrics.height() + GRID // 2)
        self.verticalHeader().setMinimumSectionSize(GRID)
        self.verticalHeader().setDefaultSectionSize(line)
        rows = range(len(self._model.rows))
        widths = {}
        for column, longest in _LONGEST.items():
            texts = [self._model.index(row, column).data() for row in rows]
            texts.append(self._model.headerData(column, Qt.Orientation.Horizontal))
            widths[column] = (
                max(metrics.horizontalAdvance(text[:longest]) for text in texts) + GRID + GRID // 2
            )
        if any(row.model is not None for row in self._model.rows):
            least = chip + metrics.horizontalAdvance("n…1") + GRID
            widths[Column.MODEL] += chip
            room = self.viewport().width() - sum(widths.values()) + widths[Column.MODEL]
            widths[Column.MODEL] = min(widths[Column.MODEL], max(room, least))
        for column in widths.keys() - {Column.WHERE}:
            header.resizeSection(column, widths[column])
        shown = max(len(rows), 1)
        self.setFixedHeight(header.sizeHint().height() + shown * line + 2 * self.frameWidth())


class _RulesDelegate(QStyledItemDelegate):
    """An editor may be wider than its cell."""

    def __init__(self, view: RulesView, model: RulesModel) -> None:
        super().__init__(view)
        self._view, self._model = view, model

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        area = self._view.viewport().rect()
        rect = self._view.visualRect(self._model.index(index.row(), index.column()))
        least = editor.fontMetrics().horizontalAdvance(_LEAST_EDITOR) + 2 * GRID
        if isinstance(editor, QComboBox):
            least = editor.sizeHint().width()
        rect.setWidth(min(max(rect.width(), least), area.width()))
        rect.moveRight(min(rect.right(), area.right()))
        editor.setGeometry(rect)


class _TextDelegate(_RulesDelegate):
    """Edits where and how much as text. Text that is not valid stays in the editor, with the reason.

    Signals:
        refused(str): the reason; "" as soon as it is typed on.
    """

    refused = Signal(str)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setFrame(False)
        editor.setAutoFillBackground(True)
        editor.setAcceptDrops(False)
        column = Column(index.column())
        if column is Column.VALUE:
            editor.setAlignment(Qt.AlignmentFlag.AlignRight)
            editor.setPlaceholderText("0.2, 0.8")
        else:
            editor.setPlaceholderText("mlp, layers 4-7")
        editor.setAccessibleName(str(self._model.headerData(column, Qt.Orientation.Horizontal)))
        tip = str(self._model.headerData(column, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole))
        editor.setAccessibleDescription(tip)
        editor.setProperty("cell", QPersistentModelIndex(index))
        editor.textEdited.connect(lambda: self._mark(editor, ""))
        return editor

    def eventFilter(self, editor: QObject, event: QEvent) -> bool:
        key = event.key() if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) else None
        if key in _COMMITTING:
            assert isinstance(editor, QLineEdit)
            refusal = self._model.refusal(editor.property("cell"), editor.text())
            if refusal is not None:
                self._mark(editor, refusal)
                return True
        return super().eventFilter(editor, event)

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        assert isinstance(editor, QLineEdit)
        if not editor.isModified():  # the view asks again when something else in the row changes
            editor.setText(index.data(Qt.ItemDataRole.EditRole))

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        assert isinstance(editor, QLineEdit)
        refusal = self._model.refusal(editor.property("cell"), editor.text())
        if refusal is not None:
            self._mark(editor, refusal)
        else:
            self._model.setData(index, editor.text())

    def _mark(self, editor: QLineEdit, refusal: str) -> None:
        colours = self._view.palette()
        if refusal:
            colours.setColor(QPalette.ColorRole.Text, as_text(ERROR, colours))
        editor.setPalette(colours)
        editor.setToolTip(tool_tip(refusal))
        editor.setProperty("refusal", refusal)
        self.refused.emit(refusal)


class _ChoiceDelegate(_RulesDelegate):
    """Edits a column with few possible values, by a list that opens at once."""

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QComboBox(parent)
        column = Column(index.column())
        editor.setAccessibleName(str(self._model.headerData(column, Qt.Orientation.Horizontal)))
        if column is Column.PARAMETER:
            for spec in self._model.parameters():
                editor.addItem(parameter_title(spec), spec.name)
        else:
            editor.addItem("All sub-models", None)
            for folder, name in self._model.models(index.row()).items():
                editor.addItem(model_chip(self._model.chip_number(folder)), one_line(name), folder)
        editor.activated.connect(lambda: self._take(editor))
        QTimer.singleShot(0, editor, editor.showPopup)
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        assert isinstance(editor, QComboBox)
        value: Any = index.data(Qt.ItemDataRole.EditRole)
        values = [editor.itemData(at) for at in range(editor.count())]
        editor.setCurrentIndex(values.index(value))

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        assert isinstance(editor, QComboBox)
        self._model.setData(index, editor.currentData())

    def _take(self, editor: QComboBox) -> None:
        editor.removeEventFilter(self)  # the focus that it loses now is no reason to take it again
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)
