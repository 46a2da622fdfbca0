"""The seed, with buttons for a random one and for copying it."""

from __future__ import annotations

import secrets

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton, QWidget

from core.draws import MAX_SEED
from gui.numbers import NumberKind, Unread
from gui.widgets.fields import NumberEdit, defer_to_window, name_field, side_by_side

__all__ = ["SeedField"]


class SeedField(QWidget):
    """A whole number of 64 bits, which no spin box holds.

    Attributes:
        edit: the text.
        dice_button, copy_button: beside it.

    Signals:
        changed(): the seed changed, or what is typed in its place.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = NumberEdit(NumberKind("The seed", whole=True, minimum=0, maximum=MAX_SEED), 0)
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
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(str(self.seed)))
        self.edit.changed.connect(self._on_changed)

    @property
    def seed(self) -> int | None:
        """None while the field holds no number."""
        return None if self.edit.unread is not None or self.edit.value is None else int(self.edit.value)

    def unread(self) -> dict[str, Unread]:
        """What was typed and is no seed, as "seed"; an empty field is none either."""
        return {"seed": self.edit.unread} if self.edit.unread is not None else {}

    def set_seed(self, seed: int | None, unread: Unread | None = None) -> None:
        """Show `seed`, or what was typed in its place and is none; None for an empty field."""
        if seed is None and unread is None:
            self.edit.clear()
        else:
            self.edit.show_number(self.edit.value if seed is None else seed, unread)

    @Slot()
    def _on_dice(self) -> None:
        self.set_seed(secrets.randbelow(2**32))

    @Slot()
    def _on_changed(self) -> None:
        self.copy_button.setEnabled(self.seed is not None)
        self.changed.emit()


def _button(text: str, name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setAccessibleName(name)
    button.setToolTip(tip)
    return button
