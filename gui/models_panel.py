"""The models: the base, the sub-models, and how many of them take part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QPainter, QPaintEvent, QPalette, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.base_row import BaseRow
from gui.choosing import choose_folder, choose_folders
from gui.jobs import JobKeeper, ReadModelsJob
from gui.messages import MessagePanel
from gui.reports import ModelSummary
from gui.sub_models_model import Column, SubModelsModel
from gui.theme import GRID, heading

__all__ = ["ModelsPanel"]

_INVITATION = "Drop the folders of fine-tuned models here,\nor press Add."


class ModelsPanel(QWidget):
    """Where models are chosen. Their headers are read in a thread of its own.

    Attributes:
        base: the row of the base.
        sub_models_model: the list of sub-models.
        message: what is wrong with a model, if anything.

    Signals:
        changed(): a model, a weight, K or what is known of a model is another.
        note_given(str): a remark of no consequence, for the status bar.
    """

    changed = Signal()
    note_given = Signal(str)

    def __init__(self, jobs: JobKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._last_folder = Path.cwd()
        self.base = BaseRow()
        self.sub_models_model = SubModelsModel(self)
        self.table = _SubModelsView(self.sub_models_model)
        self.message = MessagePanel(closable=False)
        self.k_box = QSpinBox()
        self.k_box.setRange(0, 0)
        self.k_box.lineEdit().setAcceptDrops(False)
        self.k_box.setAccessibleName("K, the number of sub-models that take part")
        self.k_box.setToolTip("The first K sub-models of the list take part")
        label = QLabel("&K")
        label.setBuddy(self.k_box)
        add = QPushButton("&Add…")
        add.setToolTip("Add the folders of fine-tuned models")
        self._remove = QPushButton("&Remove")
        self._up = _arrow(Qt.ArrowType.UpArrow, "Move up", "Alt+Up")
        self._down = _arrow(Qt.ArrowType.DownArrow, "Move down", "Alt+Down")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(heading("Models"))
        layout.addWidget(self.base)
        layout.addWidget(self.table, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        for widget in (add, self._remove, self._up, self._down):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        buttons.addWidget(label)
        buttons.addWidget(self.k_box)
        layout.addLayout(buttons)
        layout.addWidget(self.message)
        add.clicked.connect(self.ask_for_sub_models)
        self.base.choose_requested.connect(self.ask_for_base)
        self.base.dropped.connect(self.set_base)
        self._remove.clicked.connect(self._on_remove)
        self._up.clicked.connect(lambda: self._move(-1))
        self._down.clicked.connect(lambda: self._move(1))
        self.k_box.valueChanged.connect(self.sub_models_model.set_k)
        self.sub_models_model.changed.connect(self._on_list_changed)
        self.table.selectionModel().selectionChanged.connect(self._on_selection_changed)
        for keys, slot in (
            (QKeySequence(QKeySequence.StandardKey.Delete), self._on_remove),
            (QKeySequence("Alt+Up"), lambda: self._move(-1)),
            (QKeySequence("Alt+Down"), lambda: self._move(1)),
        ):
            QShortcut(keys, self.table, slot, context=Qt.ShortcutContext.WidgetShortcut)
        self._on_selection_changed()

    # -- what the window asks and tells

    def set_base(self, folder: Path | None) -> None:
        self.base.set_folder(folder)
        if folder is not None:
            self._last_folder = folder.parent
            self._read([folder])
        self._on_list_changed()

    def add_sub_models(self, folders: Sequence[Path]) -> None:
        """Append folders; one that is in the list already is left out, with a note."""
        present = {item.folder for item in self.sub_models_model.sub_models.items}
        new = [folder for folder in dict.fromkeys(folders) if folder not in present]
        for folder in new:
            self.sub_models_model.add(folder)
        if new:
            self._last_folder = new[-1].parent
            self._read(new)
        elif folders:
            self.note_given.emit(f"{folders[0].name} is in the list already")

    def replace_all(self, base: Path | None, entries: Sequence[tuple[Path, float]]) -> None:
        """Put the models of a recipe in the place of all that is here."""
        self.base.set_folder(base)
        self.sub_models_model.replace_all(entries)
        folders = [*([base] if base is not None else []), *(folder for folder, _ in entries)]
        if folders:
            self._last_folder = folders[-1].parent
            self._read(list(dict.fromkeys(folders)))
        self._on_list_changed()

    def taking_part(self) -> tuple[tuple[Path, float], ...]:
        """(folder, weight) of the first K."""
        return tuple((item.folder, item.weight) for item in self.sub_models_model.sub_models.taking_part)

    def summaries(self) -> list[ModelSummary | None]:
        """What is known of the first K."""
        return [item.summary for item in self.sub_models_model.sub_models.taking_part]

    @Slot()
    def ask_for_base(self) -> None:
        folder = choose_folder(self, "Choose the base model", self._last_folder)
        if folder is not None:
            self.set_base(folder)

    @Slot()
    def ask_for_sub_models(self) -> None:
        self.add_sub_models(choose_folders(self, "Add sub-models", self._last_folder))

    # -- inside

    def _read(self, folders: list[Path]) -> None:
        job = ReadModelsJob(folders)
        job.read.connect(self._on_read)
        self._jobs.start(job)

    @Slot(object)
    def _on_read(self, summary: ModelSummary) -> None:
        self.base.set_summary(summary)
        self.sub_models_model.set_summary(summary)

    @Slot()
    def _on_list_changed(self) -> None:
        sub_models = self.sub_models_model.sub_models
        self.k_box.blockSignals(True)
        self.k_box.setRange(min(1, len(sub_models.items)), len(sub_models.items))
        self.k_box.setValue(sub_models.k)
        self.k_box.setSuffix(f" of {len(sub_models.items)}" if sub_models.items else "")
        self.k_box.setEnabled(bool(sub_models.items))
        self.k_box.blockSignals(False)
        self._on_selection_changed()
        self._show_problem()
        self.changed.emit()

    def _show_problem(self) -> None:
        items = self.sub_models_model.sub_models.items
        summaries = [self.base.summary, *(item.summary for item in items)]
        problems = [s.problem for s in summaries if s is not None and s.problem is not None]
        if problems:
            self.message.show_failure(problems[0])
        else:
            self.message.clear()

    @Slot()
    def _on_selection_changed(self) -> None:
        rows = self._selected_rows()
        last = len(self.sub_models_model.sub_models.items) - 1
        self._remove.setEnabled(bool(rows))
        self._up.setEnabled(len(rows) == 1 and rows[0] > 0)
        self._down.setEnabled(len(rows) == 1 and rows[0] < last)

    @Slot()
    def _on_remove(self) -> None:
        self.sub_models_model.remove(self._selected_rows())

    def _move(self, by: int) -> None:
        rows = self._selected_rows()
        if len(rows) == 1:
            self.sub_models_model.move(rows[0], rows[0] + by)

    def _selected_rows(self) -> list[int]:
        return sorted(index.row() for index in self.table.selectionModel().selectedRows())


class _WeightDelegate(QStyledItemDelegate):
    """Edits a weight as text, so that no digit is lost."""

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QWidget:
        editor = QLineEdit(parent)
        editor.setFrame(False)
        editor.setAlignment(Qt.AlignmentFlag.AlignRight)
        editor.setAccessibleName("Weight")
        return editor


class _SubModelsView(QTableView):
    """The table, with an invitation while it is empty."""

    def __init__(self, model: SubModelsModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setAccessibleName("Sub-models")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setIconSize(QSize(10, 10))
        self.setItemDelegateForColumn(Column.WEIGHT, _WeightDelegate(self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(18 * GRID)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(3 * GRID)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(5 * GRID)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        for column, widest in (
            (Column.WEIGHT, "Weight"),
            (Column.PARAMETERS, "no model"),
            (Column.TYPE, "bf16 +1"),
            (Column.SIZE, "99.9 GB"),
        ):
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(widest) + GRID + GRID // 2)

    def sizeHint(self) -> QSize:
        return QSize(40 * GRID, 28 * GRID)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.model().rowCount() == 0:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, _INVITATION)


def _arrow(arrow: Qt.ArrowType, name: str, keys: str) -> QToolButton:
    button = QToolButton()
    button.setArrowType(arrow)
    button.setAccessibleName(name)
    button.setToolTip(f"{name} ({keys})")
    return button
