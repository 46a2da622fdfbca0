"""How the models are asked, as a form that is folded away."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from gui.numbers import NumberKind, number_text
from gui.trying.asking import Options
from gui.trying.prompt_box import PromptBox
from gui.widgets.fields import NumberField, defer_to_window, name_field
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID

__all__ = ["SettingsForm"]

_MAX_NEW_TOKENS = NumberKind("Most tokens", whole=True, minimum=1, maximum=100_000)
_TEMPERATURE = NumberKind("Temperature", minimum=0, maximum=100)
_SEED = NumberKind("The seed", whole=True, minimum=0, maximum=2**63 - 1)


class SettingsForm(QWidget):
    """System prompt, length, temperature, seed and whether chat templates are used.

    Signals:
        changed(): one of them has changed.
        send_requested(): Ctrl+Enter in the system prompt.
    """

    changed = Signal()
    send_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        usual = Options()
        self.system = PromptBox(2)
        self.system.setPlaceholderText("System prompt: who the models are to be. Empty for none.")
        self.system.setAccessibleName("System prompt")
        self.tokens = NumberField(_MAX_NEW_TOKENS, usual.max_new_tokens)
        name_field(self.tokens, "Most tokens", "No answer has more tokens than this.")
        self.temperature = NumberField(_TEMPERATURE, usual.temperature)
        name_field(
            self.temperature,
            "Temperature",
            "At 0 every model takes the likeliest token each time, and says the same whenever it is asked. "
            "Above that tokens are drawn, by the seed.",
        )
        self.seed = NumberField(_SEED, usual.seed)
        name_field(
            self.seed,
            "Seed of the draws",
            "Models with the same vocabulary get the same draws, so that they differ by what is in them.",
        )
        self.chat = QCheckBox("Chat template")
        self.chat.setChecked(usual.chat)
        name_field(
            self.chat,
            "Chat template",
            "Give the prompt as a turn of a conversation, in each model's own template. Clear it to have "
            "the models go on with the text.",
        )
        line = QHBoxLayout()
        line.setSpacing(GRID)
        for text, field in (
            ("Most tokens", self.tokens),
            ("Temperature", self.temperature),
            ("Seed", self.seed),
        ):
            defer_to_window(field)
            line.addWidget(PlainLabel(text))
            line.addWidget(field)
            field.changed.connect(self._on_changed)
        line.addStretch(1)
        below = QHBoxLayout()
        below.setSpacing(GRID)
        below.addWidget(self.system, 1)
        below.addWidget(self.chat)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID // 2)
        layout.addLayout(line)
        layout.addLayout(below)
        self.chat.toggled.connect(self._on_changed)
        self.system.textChanged.connect(self._on_changed)
        self.system.send_requested.connect(self.send_requested)
        self._on_changed()

    @property
    def problem(self) -> str:
        """Why the models cannot be asked so, in a sentence; "" where they can."""
        fields = [self.tokens, self.temperature, *([self.seed] if self.seed.isEnabled() else [])]
        return next((field.unread.sentence for field in fields if field.unread is not None), "")

    def options(self) -> Options:
        """What the fields say, each as it was last where that cannot be taken."""
        usual = Options()
        return Options(
            self.system.toPlainText().strip(),
            self.chat.isChecked(),
            usual.max_new_tokens if self.tokens.value is None else int(self.tokens.value),
            usual.temperature if self.temperature.value is None else float(self.temperature.value),
            usual.seed if self.seed.value is None else int(self.seed.value),
        )

    def summary(self) -> str:
        """What is asked for, in a few words."""
        options = self.options()
        parts = [
            f"temperature {number_text(options.temperature, _TEMPERATURE)}",
            f"{options.max_new_tokens} tokens",
            *([] if options.chat else ["no chat template"]),
            *(["a system prompt"] if options.system else []),
        ]
        return ", ".join(parts)

    def _on_changed(self) -> None:
        self.seed.setEnabled(self.options().temperature > 0)
        self.changed.emit()
