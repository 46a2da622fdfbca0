"""A part of a form that can be folded away, with a line that says what is in there."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from gui.widgets.messages import ElidedLabel
from gui.widgets.theme import GRID, secondary

__all__ = ["Fold"]


class Fold(QWidget):
    """A button, and what it shows and hides.

    Attributes:
        button: folds and unfolds.
        summary_label: what is in there, while it is folded; beside the button, so that it moves nothing.

    Signals:
        toggled(bool): the user has unfolded it (True) or folded it.
    """

    toggled = Signal(bool)

    def __init__(
        self, title: str, tip: str, content: QWidget, parent: QWidget | None = None, *, within: bool = True
    ) -> None:
        """Args:
        title, tip: of the button.
        content: what it shows and hides.
        within: whether that stands below the button; False where whoever made it places it.
        """
        super().__init__(parent)
        self._content = content
        self._summary = ""
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setAutoRaise(True)
        self.button.setToolTip(tip)
        self.summary_label = ElidedLabel()
        secondary(self.summary_label)
        line = QHBoxLayout()
        line.setSpacing(GRID)
        line.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        line.addWidget(self.summary_label, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(line)
        if within:
            layout.addWidget(content)
        self.unfold(False)
        self.button.clicked.connect(self._on_clicked)

    @property
    def unfolded(self) -> bool:
        return not self._content.isHidden()

    def unfold(self, unfolded: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self._content.setVisible(unfolded)
        self._show_summary()

    def set_summary(self, text: str) -> None:
        """What to say while it is folded; "" for nothing."""
        self.summary_label.set_full_text(text)
        self._summary = text
        self._show_summary()

    @Slot()
    def _on_clicked(self) -> None:
        self.unfold(not self.unfolded)
        self.toggled.emit(self.unfolded)

    def _show_summary(self) -> None:
        self.summary_label.setVisible(bool(self._summary) and not self.unfolded)
