"""The field of K, in which what cannot be taken changes nothing and is answered."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QSpinBox

from gui.numbers import NumberKind, Unread, read_number

__all__ = ["KBox"]


class KBox(QSpinBox):
    """How many sub-models take part. Qt would drop the second digit of 15 where there are 12, and take the 1.

    Signals:
        refused(str): why what was typed is not taken, in a sentence; the field says K as it was again.
    """

    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, 0)
        self.setKeyboardTracking(False)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        states = QValidator.State
        unread = isinstance(self._read(text), Unread)
        return states.Intermediate if unread else states.Acceptable, text, position

    def valueFromText(self, text: str) -> int:
        read = self._read(text)
        return self.value() if read is None or isinstance(read, Unread) else int(read)

    def fixup(self, text: str) -> str:
        """Called by Qt for what is not taken, when the field is left."""
        read = self._read(text)
        if isinstance(read, Unread):
            self.refused.emit(read.sentence)
        return self.textFromValue(self.value()) + self.suffix()

    def _read(self, text: str) -> int | float | Unread | None:
        kind = NumberKind("K", whole=True, minimum=self.minimum(), maximum=self.maximum())
        return read_number(text.removesuffix(self.suffix()), kind)
