"""What is selected in the pictures: the same in all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

__all__ = ["Selected", "Selection"]


@dataclass(frozen=True)
class Selected:
    """Numbers in the grid and in the list of sub-models; None for all of them.

    Attributes:
        column: a layer, or what lies before or behind the layers.
        kind: a kind of module.
        model: a sub-model.
    """

    column: int | None = None
    kind: int | None = None
    model: int | None = None


class Selection(QObject):
    """Holds the selection and tells of changes.

    Signals:
        changed(): it has changed.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.value = Selected()

    def select(self, **parts: int | None) -> None:
        """Select the column, the kind or the model that is given; what is not given stays."""
        self.set(replace(self.value, **parts))

    def set(self, value: Selected) -> None:
        if value != self.value:
            self.value = value
            self.changed.emit()

    def clear(self) -> None:
        self.set(Selected())
