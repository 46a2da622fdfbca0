"""What a recipe says that no field of the window asks for, in a few words, and a way to forget it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from core.recipe.chat_template import AUTO, BUILT_IN
from core.recipe.recipe import Stage
from gui.document.merge_setup import MergeSetup
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, secondary
from gui.words import plural

__all__ = ["Others"]

_KEYS = ("tokenizer_source", "tokenizer", "missing", "chat_template")
"""What can be forgotten, by its names in a MergeSetup. Merges that come before are named by others."""

_MISSING = {
    "error": "no tensor may be missing",
    "from_base": "missing tensors from the base",
    "omit": "tensors that not all have left out",
}


class Others(QWidget):
    """Keeps what was opened with a recipe and has no field; hidden where there is nothing.

    Attributes:
        label: says what it is.
        forget_button: has the defaults in its place.

    Signals:
        forgotten(): the button was pressed.
    """

    forgotten = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._kept = MergeSetup("", None, (), 0)
        self.label = PlainLabel()
        self.label.setWordWrap(True)
        secondary(self.label)
        self.forget_button = QPushButton("Forget")
        self.forget_button.setToolTip("Use the defaults in their place")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        row.addWidget(PlainLabel("Also"))
        row.addWidget(self.label, 1)
        row.addWidget(self.forget_button)
        self.forget_button.clicked.connect(self._on_forget)
        self._show()

    def read_into(self, setup: MergeSetup) -> MergeSetup:
        kept = {key: getattr(self._kept, key) for key in (*_KEYS, "stages")}
        return replace(setup, **kept)

    def apply(self, setup: MergeSetup) -> None:
        """Keep what `setup` says of these; `forgotten` is not emitted."""
        self._kept = setup
        self._show()

    def take_vocab(self, vocab: str | None) -> None:
        """The field of the tokens says `vocab` now, in the place of a model whose tokens were wanted."""
        if vocab != self._kept.vocab:
            source = self._kept.tokenizer_source if vocab is None else None
            self.apply(replace(self._kept, vocab=vocab, tokenizer_source=source))

    @property
    def fields(self) -> dict[str, QWidget]:
        """What to go to, by the names of what is kept."""
        return dict.fromkeys(self._said, self.forget_button)

    # -- inside

    @property
    def _said(self) -> list[str]:
        return [key for key in _KEYS if getattr(self._kept, key) is not None]

    def _show(self) -> None:
        text = _text(self._kept)
        self.label.setText(text)
        self.setVisible(bool(text))
        self.forget_button.setVisible(bool(self._said))

    @Slot()
    def _on_forget(self) -> None:
        nothing: dict[str, Any] = dict.fromkeys(_KEYS)
        self.apply(replace(self._kept, **nothing))
        self.forgotten.emit()


def _text(setup: MergeSetup) -> str:
    """ "tokenizer of run-1, missing tensors from the base"; "" where there is nothing of the kind."""
    parts = []
    if setup.tokenizer_source is not None:
        parts.append(f"tokenizer of {setup.tokenizer_source.name}")
    if (tokenizer := setup.tokenizer) is not None:
        if setup.vocab is None and setup.tokenizer_source is None:
            parts.append("tokens of all models")
        if tokenizer.tokens:
            parts.append(f"rows for {plural(len(tokenizer.tokens), 'token')}")
        if tokenizer.pad_to_multiple_of is not None:
            parts.append(f"rows a multiple of {tokenizer.pad_to_multiple_of:,}")
    if setup.missing is not None:
        parts.append(_MISSING[setup.missing])
    if setup.chat_template is not None:
        parts.append(_template_text(setup.chat_template))
    if setup.stages:
        parts.append(_stages_text(setup.stages))
    return ", ".join(parts)


def _template_text(template: str) -> str:
    """ "chat template chatml"."""
    if template == AUTO:
        return "chat template of most models"
    return f"chat template {template}" if template in BUILT_IN else "a chat template of its own"


def _stages_text(stages: Sequence[Stage]) -> str:
    """ "merged before it: a (linear of b and c)"."""
    parts = []
    for stage in stages:
        models = [entry.path.name for entry in stage.recipe.models]
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        parts.append(f"{stage.name} ({stage.recipe.method.title} of {', '.join(models[:3])}{more})")
    return f"merged before it: {'; '.join(parts)}"
