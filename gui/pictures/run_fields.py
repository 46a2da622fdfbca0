"""The fields in which two runs are chosen: side by side, or below each other where they would be cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from core.runs.history import HistoryEntry
from gui.pictures.picture import choice
from gui.pictures.run_texts import run_text, run_tip
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID

__all__ = ["RunFields"]

_MINUS, _AND = "minus", "and"
_FRAME = 5 * GRID
"""Of a field, around its text."""


class RunFields(QWidget):
    """Two runs, a word between them, and a button.

    Attributes:
        left, right: the runs; the data of an item is the id of its entry.
        between: "minus" or "and".
        button: does something with them.
    """

    def __init__(self, button: QPushButton) -> None:
        super().__init__()
        self.button = button
        self.left, self.right = (_field(name) for name in ("First run", "Second run"))
        self.between = PlainLabel(_MINUS)
        self.between.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.between.setFixedWidth(self.between.sizeHint().width())  # nothing moves when it changes
        self._widest = 0
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GRID)
        self._grid.setColumnStretch(0, 1)
        self._beside: bool | None = None
        self._arrange()
        QWidget.setTabOrder(self.left, self.right)
        QWidget.setTabOrder(self.right, self.button)

    @property
    def both(self) -> tuple[QComboBox, QComboBox]:
        return self.left, self.right

    def set_runs(self, entries: Sequence[HistoryEntry], names: Mapping[Path, str]) -> None:
        """Offer `entries`; `names` is what to call their folders. None is chosen then."""
        texts = [run_text(entry, names[entry.out]) for entry in entries]
        for field in self.both:
            field.clear()
            for number, (entry, text) in enumerate(zip(entries, texts, strict=True)):
                field.addItem(text, entry.id)
                field.setItemData(number, run_tip(entry), Qt.ItemDataRole.ToolTipRole)
            field.setEnabled(len(entries) > 1)
        self._widest = max(map(self.fontMetrics().horizontalAdvance, texts), default=0)
        self._arrange()

    def show_subtracted(self, subtracted: bool) -> None:
        """Whether the second run is taken from the first."""
        self.between.setText(_MINUS if subtracted else _AND)

    def update_tool_tips(self) -> None:
        for field in self.both:
            field.setToolTip(field.currentData(Qt.ItemDataRole.ToolTipRole) or "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._arrange()

    def _arrange(self) -> None:
        others = self.between.width() + self.button.sizeHint().width() + 3 * GRID
        beside = self.width() >= 2 * (self._widest + _FRAME) + others
        if beside == self._beside:
            return
        self._beside = beside
        widgets = (self.left, self.between, self.right, self.button)
        for number, widget in enumerate(widgets):
            self._grid.removeWidget(widget)
            self._grid.addWidget(widget, *((0, number) if beside else divmod(number, 2)))
        self._grid.setColumnStretch(2, 1 if beside else 0)


def _field(name: str) -> QComboBox:
    field = choice(name, [])
    field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    field.setMinimumContentsLength(16)
    field.setPlaceholderText("No other run yet")
    return field
