"""What one model says: which one it is, how far it is, and its answer with the differences marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from core.checkpoint.model import model_names
from core.text import one_line
from core.units import duration_text
from gui.failure import sentence
from gui.trying.child import TryEvent
from gui.trying.compare_job import Said
from gui.trying.differences import Difference
from gui.trying.marks import cursor_at, marks_of
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.fields import defer_to_window
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID, secondary
from gui.widgets.wrapped import WrappedLabel
from gui.words import plural

__all__ = ["AnswerColumn"]

_OTHER = "Another folder…"
_WAITS = "waits for its turn"
_STOPPED = {"end": "", "cancelled": ", stopped"}


class AnswerColumn(QWidget):
    """One of the models side by side.

    Attributes:
        role: what it is called: "Base", "Sub-model", "Merge".
        box: whether it is asked.
        choice: which model it is.
        view: its answer.
        text: its answer as it was said.
        finished: whether all of it is there.

    Signals:
        changed(): another model was chosen, or whether it is asked.
        folder_requested(): a folder that is not in the list is wanted.
    """

    changed = Signal()
    folder_requested = Signal()

    def __init__(self, role: str, empty: str, missing: str, parent: QWidget | None = None) -> None:
        """Args:
        role: what it is called.
        empty: what to do where it has no model.
        missing: what its list of models says then, in a few words.
        """
        super().__init__(parent)
        self.role, self._empty, self._missing = role, empty, missing
        self._models: tuple[Path, ...] = ()
        self._others: list[Path] = []
        self._notes: list[str] = []
        self._state, self._tip, self._locked = "", "", False
        self._last: Path | None = None
        self._later: tuple[Sequence[Path], Path | None] | None = None
        self._difference: Difference | None = None
        self._compared_with = ""
        self.text, self.finished, self._why = "", True, ""
        self.box = QCheckBox(role)
        self.box.setChecked(True)
        self.box.setToolTip(f"Whether the {role.lower()} is asked, too")
        self.choice = ChoiceBox()
        self.choice.setAccessibleName(f"{role} that is asked")
        self.choice.setMinimumContentsLength(4)
        defer_to_window(self.choice)
        self.status = WrappedLabel()
        self.status.set_growing(True)
        secondary(self.status)
        self.view = QPlainTextEdit()
        self.view.setReadOnly(True)
        self.view.setUndoRedoEnabled(False)
        self.view.setTabChangesFocus(True)
        self.view.setAcceptDrops(False)
        self.view.setAccessibleName(f"Answer of the {role.lower()}")
        self.view.setMinimumHeight(8 * GRID)
        head = QHBoxLayout()
        head.setSpacing(GRID)
        head.addWidget(self.box)
        head.addWidget(self.choice, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID // 2)
        layout.addLayout(head)
        layout.addWidget(self.status)
        layout.addWidget(self.view, 1)
        self.choice.activated.connect(self._on_activated)
        self.box.toggled.connect(self._on_box)
        self.set_models(())

    # -- which model it is

    @property
    def model(self) -> Path | None:
        """The model that is chosen."""
        data = self.choice.currentData()
        return Path(data) if data else None

    @property
    def asked(self) -> Path | None:
        """The model that is to answer; None where there is none, or none is wanted."""
        return self.model if self.box.isChecked() else None

    @property
    def models(self) -> tuple[Path, ...]:
        """Those that the window lists, without folders of the user's own."""
        return self._models

    def set_locked(self, locked: bool) -> None:
        """While it answers it stays the model that it is; what is listed meanwhile is listed afterwards."""
        self._locked = locked
        if not locked and self._later is not None:
            (models, choose), self._later = self._later, None
            self.set_models(models, choose=choose)
        self.box.setEnabled(not locked)
        self._show_choice()

    def set_models(self, models: Sequence[Path], *, choose: Path | None = None) -> None:
        """List `models`; the one that is chosen stays, or else the first is. `choose` one of them instead."""
        if self._locked:
            self._later = models, choose or (self._later[1] if self._later is not None else None)
            return
        if choose is None and tuple(models) == self._models and self.choice.count():
            return
        self._models = tuple(models)
        self._fill(choose or self.model)

    def add_folder(self, folder: Path) -> None:
        """List a folder of the user's own, too, and choose it."""
        if folder not in (*self._models, *self._others):
            self._others.append(folder)
        self._fill(folder)
        self.changed.emit()

    def _fill(self, chosen: Path | None) -> None:
        before = self._last
        listed = list(dict.fromkeys((*self._models, *self._others)))
        names = dict(zip(listed, model_names(listed), strict=True))
        self.choice.clear()
        if not listed:
            self.choice.addItem(self._missing, None)
        for path in listed:
            self.choice.addItem(one_line(names[path]), str(path))
            self.choice.setItemData(self.choice.count() - 1, tool_tip(str(path)), Qt.ItemDataRole.ToolTipRole)
        self.choice.addItem(_OTHER, None)
        self.choice.setCurrentIndex(listed.index(chosen) if chosen in listed else 0)
        self._show_choice()
        if self.model != before:
            self.clear()
            self.changed.emit()

    @Slot(int)
    def _on_activated(self, index: int) -> None:
        if index == self.choice.count() - 1:
            self._fill(self._last)
            self.folder_requested.emit()
        elif self.model != self._last:
            self._show_choice()
            self.clear()
            self.changed.emit()

    @Slot()
    def _on_box(self) -> None:
        self._show_choice()
        self.changed.emit()

    def _show_choice(self) -> None:
        self._last = self.model
        self.choice.setToolTip(tool_tip(str(self.model)) if self.model is not None else "")
        asked = self.box.isChecked()
        self.choice.setEnabled(asked and not self._locked)
        empty = self._empty if self.model is None and asked else ""
        self.view.setPlaceholderText(self._why or empty)

    # -- what it says

    @property
    def said(self) -> Said:
        return Said(self.text, not self.finished)

    def clear(self) -> None:
        """Forget the answer."""
        self.text, self.finished, self._notes, self._why = "", True, [], ""
        self._difference = None
        self._show_choice()
        self.view.clear()
        self.view.setExtraSelections([])
        self._say("")

    def begin(self) -> None:
        """It has been asked."""
        self.clear()
        self.finished = False
        self._say(_WAITS)

    def take(self, event: TryEvent) -> None:
        """Show what the process says about it."""
        if event.kind == "loading":
            self._say("is being loaded…")
        elif event.kind == "loaded":
            self._say("reads the prompt…")
        elif event.kind == "note":
            self._notes.append(sentence(event.text))
            self._say(self._state)
        elif event.kind == "token":
            self._append(event.text)
            self._say("answers…")
        elif event.kind == "answer":
            self.finished = True
            tokens, took = plural(event.tokens, "token"), duration_text(event.seconds)
            if event.stopped == "length":
                cut = "It has as many tokens as were asked for at most."
                self._say(f"cut at {tokens}, {took}", cut)
            else:
                self._say(f"{tokens}, {took}{_STOPPED.get(event.stopped, '')}")
        elif event.kind == "failed":
            self.fail(event.text, event.hint)

    def fail(self, message: str, hint: str | None) -> None:
        """Say why there is no answer, where the answer would be."""
        self.finished = True
        told = " ".join(sentence(part) for part in (message, hint) if part)
        self._say("cannot answer", told)
        if not self.text:
            self._why = told
            self._show_choice()

    def end(self) -> None:
        """Nothing more will come."""
        if not self.finished:
            self.finished = True
            self._say("was not asked" if self._state == _WAITS else "stopped")

    def mark(self, difference: Difference | None, reference: str) -> None:
        """Mark what differs from the answer of the column that is called `reference`."""
        self._difference, self._compared_with = difference, reference
        self._show_marks()
        self._say(self._state, self._tip)

    def show_first_difference(self) -> None:
        """Have the first word that differs in sight, in the middle where there is more above and below; else
        the beginning."""
        spans = self._difference.spans if self._difference is not None else ()
        self.view.setTextCursor(cursor_at(self.view, self.text, spans[0][0] if spans else 0))
        if spans:
            self.view.centerCursor()
        else:
            self.view.verticalScrollBar().setValue(0)

    def _append(self, text: str) -> None:
        text = text.replace("\r", "")  # Qt would make other line ends of them
        bar = self.view.verticalScrollBar()
        follows = bar.value() >= bar.maximum() - 1
        self.text += text
        cursor = QTextCursor(self.view.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)
        if follows:
            bar.setValue(bar.maximum())

    def _say(self, state: str, tip: str = "") -> None:
        self._state, self._tip = state, tip
        parts = []
        found = self._difference
        if found is not None:
            same = f"the same as the {self._compared_with.lower()}"
            differ = f"{plural(found.words, 'word')} {'differs' if found.words == 1 else 'differ'}"
            parts.append((differ if found.words else same) + ("" if found.whole else " in what was compared"))
        shown = " · ".join(filter(None, [*parts, state]))
        self.status.set_full_text(" ".join([shown, *self._notes]).strip(), tip)

    def _show_marks(self) -> None:
        spans = self._difference.spans if self._difference is not None else ()
        self.view.setExtraSelections(marks_of(self.view, self.text, spans, self.palette()))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "view"):
            self._show_marks()
