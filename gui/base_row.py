"""The base model, as one row."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from core.units import bytes_text, count_text
from gui.dropped import dropped_paths, sort_dropped
from gui.messages import ElidedLabel
from gui.reports import ModelSummary
from gui.sub_models_model import types_text
from gui.theme import GRID, secondary

__all__ = ["BaseRow"]

_INVITATION = "Choose the base, or drop its folder here"


class BaseRow(QFrame):
    """Shows the base and takes another: from a dialog, or dropped onto it.

    Attributes:
        folder: of the base, or None.
        summary: what its headers say; None while there is no base or they are read.

    Signals:
        choose_requested(): the button was pressed.
        dropped(object): a Path to be the base.
    """

    choose_requested = Signal()
    dropped = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder: Path | None = None
        self.summary: ModelSummary | None = None
        self.setAcceptDrops(True)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._chip = QLabel("◆")
        self._name = ElidedLabel()
        self._facts = QLabel()
        secondary(self._facts)
        choose = QPushButton("Choose…")
        choose.setAccessibleName("Choose the base model")
        choose.clicked.connect(self.choose_requested)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID // 2, GRID // 2)
        layout.setSpacing(GRID)
        layout.addWidget(self._chip)
        layout.addWidget(self._name, 1)
        layout.addWidget(self._facts)
        layout.addWidget(choose)
        self._show()

    def sizeHint(self) -> QSize:
        return super().sizeHint().expandedTo(QSize(0, 5 * GRID))

    def set_folder(self, folder: Path | None) -> None:
        self.folder, self.summary = folder, None
        self._show()

    def set_summary(self, summary: ModelSummary) -> None:
        if summary.folder == self.folder:
            self.summary = summary
            self._show()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if sort_dropped(dropped_paths(event.mimeData())).folders:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        folders = sort_dropped(dropped_paths(event.mimeData())).folders
        if folders:
            event.acceptProposedAction()
            self.dropped.emit(folders[0])

    def _show(self) -> None:
        role = QPalette.ColorRole.Text if self.folder else QPalette.ColorRole.PlaceholderText
        self._name.setForegroundRole(role)
        self._chip.setForegroundRole(role)
        self.setToolTip(str(self.folder) if self.folder else "")
        if self.folder is None:
            name, facts = _INVITATION, ""
        elif self.summary is None:
            name, facts = self.folder.name or str(self.folder), "…"
        elif self.summary.problem is not None:
            name, facts = self.summary.name, "no model"
        else:
            name = self.summary.name
            facts = "   ".join(
                (
                    count_text(self.summary.parameters),
                    types_text(self.summary.dtypes),
                    bytes_text(self.summary.size_bytes),
                )
            )
        self._name.set_full_text(name)
        self._facts.setText(facts)
        self._facts.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setAccessibleName(f"Base model: {name} {facts}")
