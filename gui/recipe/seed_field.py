"""The seed, with buttons for a random one and for copying it."""

from __future__ import annotations

import secrets

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication, QValidator
from PySide6.QtWidgets import QLineEdit, QToolButton, QWidget

from core.draws import MAX_SEED
from gui.widgets.fields import defer_to_window, name_field, side_by_side

__all__ = ["SeedField"]


class SeedField(QWidget):
    """A whole number of 64 bits, which no spin box holds.

    Attributes:
        edit: the text.
        dice_button, copy_button: beside it.

    Signals:
        changed(): the text changed.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = QLineEdit("0")
        self.edit.setValidator(_SeedValidator(self))
        defer_to_window(self.edit)
        name_field(
            self.edit,
            "Seed of the random draws",
            f"The same seed gives the same bytes. From 0 to {MAX_SEED}.",
        )
        self.dice_button = _button("⚄", "Random seed", "Another seed, at random")
        self.copy_button = _button("Copy", "Copy the seed", "Copy the seed to the clipboard")
        layout = side_by_side(self.edit, self.dice_button, self.copy_button)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        self.setFocusProxy(self.edit)
        self.dice_button.clicked.connect(self._on_dice)
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.edit.text()))
        self.edit.textChanged.connect(self._on_text_changed)

    @property
    def seed(self) -> int | None:
        """None while the field holds no number."""
        return int(self.edit.text()) if self.edit.hasAcceptableInput() else None

    def set_seed(self, seed: int | None) -> None:
        if seed != self.seed:
            self.edit.setText("" if seed is None else str(seed))

    @Slot()
    def _on_dice(self) -> None:
        self.set_seed(secrets.randbelow(2**32))

    @Slot()
    def _on_text_changed(self) -> None:
        self.copy_button.setEnabled(self.seed is not None)
        self.changed.emit()


class _SeedValidator(QValidator):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        if not text:
            return QValidator.State.Intermediate, text, position
        if text.isascii() and text.isdigit() and int(text) <= MAX_SEED:
            return QValidator.State.Acceptable, text, position
        return QValidator.State.Invalid, text, position


def _button(text: str, name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setAccessibleName(name)
    button.setToolTip(tip)
    return button
