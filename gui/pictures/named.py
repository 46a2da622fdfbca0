"""Which models are marked in the pictures of scores and of training."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from gui.pictures.selection import Selection

__all__ = ["Named"]


class Named(QObject):
    """Names of models of a study or of an evaluation, of which sub-models that are open are only some.

    A single one that is a sub-model is selected in the other pictures, too, and the other way round.

    Signals:
        changed(): others are marked.
    """

    changed = Signal()

    def __init__(self, selection: Selection, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.value: frozenset[str] = frozenset()
        self._selection = selection
        self._models: tuple[str, ...] = ()
        selection.changed.connect(self._on_selected)

    def set_models(self, models: Sequence[str]) -> None:
        """The names of the sub-models that are open, by their number."""
        self._models = tuple(models)

    @Slot(object)
    def mark(self, names: frozenset[str]) -> None:
        """Mark these, and leave what is selected in the other pictures."""
        if names != self.value:
            self.value = names
            self.changed.emit()

    def set(self, names: frozenset[str]) -> None:
        if names == self.value:
            return
        self.mark(names)
        if len(names) == 1 and (name := next(iter(names))) in self._models:
            self._selection.select(model=self._models.index(name))

    @Slot()
    def clear(self) -> None:
        self.set(frozenset())

    @Slot()
    def _on_selected(self) -> None:
        model = self._selection.value.model
        if model is not None and model < len(self._models):
            self.set(frozenset({self._models[model]}))
        elif self.value <= frozenset(self._models):
            self.clear()
