"""What a method that is a preset chooses, in words, and the way to choose otherwise and back."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from core.methods import METHODS, MethodSpec, ParameterValue
from gui.document.presets import as_general, as_preset, words_of
from gui.widgets.plain import menu_text
from gui.widgets.theme import GRID, quiet_label

__all__ = ["ChoicesLine"]


class ChoicesLine(QWidget):
    """One line for presets and for the methods that they are presets of; hidden for all others.

    Attributes:
        label: what the preset chooses, or that no preset chooses the same.
        button: goes to the method that has the choices as parameters, or back to the preset.

    Signals:
        wanted(str, object): another method, by its name, and the values of its form that do the same.
    """

    wanted = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._target: tuple[MethodSpec, dict[str, ParameterValue]] | None = None
        self.label = quiet_label()
        self.button = QPushButton()
        policy = self.button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing moves
        self.button.setSizePolicy(policy)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(GRID)
        line.addWidget(self.label, 1)
        line.addWidget(self.button)
        self.button.clicked.connect(self._on_clicked)

    def show_choices(self, method: MethodSpec, values: Mapping[str, ParameterValue]) -> None:
        """Say what `method` chooses with `values` of its form."""
        general = any(spec.preset is not None and spec.preset.of == method.name for spec in METHODS.values())
        self.setVisible(general or method.preset is not None)
        if method.preset is not None:
            self._target = as_general(method, values)
            words = words_of(method, values)
            self.label.setText(words[:1].upper() + words[1:])
            self._name_button(
                "Change…", "Choose each of these by itself; the result stays the same until then"
            )
            return
        self._target = as_preset(method, values) if general else None
        if self._target is None:
            self.label.setText("No method with a name makes these choices.")
            self.button.hide()
            return
        title = self._target[0].title
        self.label.setText(f"These choices are those of {title}.")
        self._name_button(f"Use {title}", f"Show it as {title}; the result stays the same")

    def _name_button(self, text: str, tip: str) -> None:
        self.button.setText(menu_text(text))
        self.button.setToolTip(tip)
        self.button.show()

    @Slot()
    def _on_clicked(self) -> None:
        if self._target is not None:
            self.wanted.emit(self._target[0].name, self._target[1])
