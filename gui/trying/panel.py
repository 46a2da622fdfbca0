"""Base, one sub-model and the merge side by side: a prompt, and what each of them says to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSplitter, QVBoxLayout, QWidget

from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.trying.asking import Asking
from gui.trying.child import TryEvent
from gui.trying.column import AnswerColumn
from gui.trying.comparing import Comparing
from gui.trying.prompt_box import PromptBox
from gui.trying.settings_form import SettingsForm
from gui.widgets.choice_box import ChoiceBox
from gui.widgets.choosing import choose_folder
from gui.widgets.fields import defer_to_window
from gui.widgets.fold import Fold
from gui.widgets.messages import ElidedLabel
from gui.widgets.places import Places
from gui.widgets.plain import PlainLabel
from gui.widgets.rest import Rest
from gui.widgets.theme import GRID, secondary

__all__ = ["TryPanel"]

_NOTHING = "Nothing"
_MERGING = "A merge is running: the models answer more slowly."


class TryPanel(QWidget):
    """A prompt and three answers.

    Attributes:
        prompt: the box for it.
        form: how the models are asked.
        columns: base, sub-model and merge.
        reference: which of them the others are compared with.
        asking: has them answer.
    """

    def __init__(
        self,
        jobs: JobKeeper,
        places: Places,
        parent: QWidget | None = None,
        *,
        asking: Asking | None = None,
    ) -> None:
        """Args:
        jobs: keeps what runs in threads.
        places: where the dialog for a folder begins.
        asking: has the models answer; None for the usual one.
        """
        super().__init__(parent)
        self._places = places
        self.asking = asking or Asking(jobs, self)
        self._columns_asked: tuple[AnswerColumn, ...] = ()
        self._merging = False
        self.prompt = PromptBox(2)
        self.prompt.setAccessibleName("Prompt")
        self.prompt.setPlaceholderText("Ask base, sub-model and merge the same thing. Ctrl+Enter sends it.")
        self.send_button = QPushButton("Send")
        self.stop_button = QPushButton("Stop")
        widest = self.fontMetrics().horizontalAdvance("Stopping…") + 3 * GRID
        for button in (self.send_button, self.stop_button):
            button.setFixedWidth(widest)
        self.stop_button.setToolTip("Have the models stop where they are; pressed again, at once")
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the prompt and all answers as text")
        self.form = SettingsForm()
        self.fold = Fold("Settings", "How the models are asked", self.form, within=False)
        self.note = ElidedLabel(elide=Qt.TextElideMode.ElideRight)
        secondary(self.note)
        self.note.hide()
        self.columns = (
            AnswerColumn(
                "Base", "Choose a base under Models, on the left, or a folder above.", "No base yet"
            ),
            AnswerColumn(
                "Sub-model",
                "Add a sub-model under Models, on the left, or choose a folder above.",
                "None yet",
            ),
            AnswerColumn(
                "Merge", "Press Merge to make one, or choose the folder of any model above.", "No merge yet"
            ),
        )
        self.reference = ChoiceBox()
        self.reference.setMinimumContentsLength(6)
        for column in self.columns:
            self.reference.addItem(column.role)
        self.reference.addItem(_NOTHING)
        self.reference.setAccessibleName("Compare with")
        self.reference.setToolTip(
            "Words that this one did not say in that place are underlined in the others"
        )
        defer_to_window(self.reference)
        self._comparing = Comparing(self.columns, self.reference, jobs, self)
        self._lay_out()
        self.prompt.textChanged.connect(self._update)
        self.prompt.send_requested.connect(self.send)
        self.form.send_requested.connect(self.send)
        self.form.changed.connect(self._update)
        self.send_button.clicked.connect(self.send)
        self.stop_button.clicked.connect(self.asking.stop)
        self.copy_button.clicked.connect(self.copy)
        for column in self.columns:
            column.changed.connect(self._on_column_changed)
            column.folder_requested.connect(self._on_folder_requested)
        self.asking.said.connect(self._on_said)
        self.asking.failed.connect(self._on_failed)
        self.asking.changed.connect(self._on_asking_changed)
        self._update()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(GRID)
        top.addWidget(self.prompt, 1)
        for button in (self.send_button, self.stop_button):
            top.addWidget(button)
        line = QHBoxLayout()
        line.setSpacing(GRID)
        line.addWidget(self.fold, 1)
        compared = PlainLabel("Compare with")
        secondary(compared)
        line.addWidget(compared)
        line.addWidget(self.reference)
        line.addWidget(self.copy_button)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(GRID)
        for column in self.columns:
            self.splitter.addWidget(column)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID)
        layout.setSpacing(GRID // 2)
        layout.addLayout(top)
        layout.addLayout(line)
        layout.addWidget(self.form)
        layout.addWidget(self.note)
        layout.addWidget(self.splitter, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        self._rest = Rest(content)  # the pictures above need the room of a low window
        whole.addWidget(self._rest)

    # -- called by the window

    def set_models(self, base: Path | None, models: Sequence[Path]) -> None:
        """The base and the sub-models that are in the fields."""
        self.columns[0].set_models([base] if base is not None else [])
        self.columns[1].set_models(models)

    def set_outputs(self, outputs: Sequence[Path]) -> None:
        """The folders of merges that are done, newest first."""
        self.columns[2].set_models(outputs)

    def show_output(self, output: Path) -> None:
        """A merge into `output` has just been done."""
        column = self.columns[2]
        column.set_models([output, *(path for path in column.models if path != output)], choose=output)

    def set_merging(self, merging: bool) -> None:
        """Whether a merge runs, which needs the machine as well."""
        self._merging = merging
        self._update()

    # -- asking

    @Slot()
    def send(self) -> None:
        """Have the models answer, if that can be done now."""
        if not self.send_button.isEnabled():
            return
        self._columns_asked = tuple(column for column in self.columns if column.asked is not None)
        for column in self.columns:
            column.clear()
        for column in self._columns_asked:
            column.begin()
        self._rest.show_from_top(self.splitter)
        models = [column.asked for column in self._columns_asked if column.asked is not None]
        self.asking.ask(self.prompt.toPlainText(), models, self.form.options())

    @Slot()
    def copy(self) -> None:
        """Copy the prompt and what was said to it."""
        parts = [f"Prompt\n{self.prompt.toPlainText()}"]
        parts += [
            f"{column.role}: {column.choice.currentText()}\n{column.text}"
            for column in self.columns
            if column.text
        ]
        QGuiApplication.clipboard().setText("\n\n".join(parts) + "\n")

    @Slot(object)
    def _on_said(self, event: TryEvent) -> None:
        if event.model is not None and event.model < len(self._columns_asked):
            self._columns_asked[event.model].take(event)
            self._comparing.compare_soon()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        for column in self._columns_asked:
            if not column.finished:
                column.fail(failure.message, failure.hint)

    @Slot()
    def _on_asking_changed(self) -> None:
        if not self.asking.running:
            for column in self.columns:
                column.end()
            self._comparing.compare()
        self._update()

    # -- the rest

    @Slot()
    def _on_column_changed(self) -> None:
        self._comparing.compare()
        self._update()

    @Slot()
    def _on_folder_requested(self) -> None:
        column = self.sender()
        assert isinstance(column, AnswerColumn)
        start = self._places.start("output", column.model.parent if column.model is not None else None)
        folder = choose_folder(self, f"Choose a model to try as {column.role.lower()}", start)
        if folder is not None:
            column.add_folder(folder)

    @Slot()
    def _update(self) -> None:
        running = self.asking.running
        why = self._why_not()
        self.send_button.setEnabled(not running and not why)
        self.send_button.setToolTip(why or "Ask them (Ctrl+Enter in the prompt)")
        self.stop_button.setEnabled(running)
        self.stop_button.setText("Stopping…" if self.asking.stopping else "Stop")
        self.copy_button.setEnabled(any(column.text for column in self.columns))
        self.fold.set_summary(self.form.summary())
        for column in self.columns:
            column.set_locked(running)
        self.note.set_full_text(_MERGING if self._merging and running else "")
        self.note.setVisible(self._merging and running)

    def _why_not(self) -> str:
        """Why nothing can be sent, in a sentence; "" where it can."""
        if all(column.asked is None for column in self.columns):
            return "There is no model to ask yet: choose one in a column below."
        if not self.prompt.toPlainText().strip():
            return "Write a prompt first."
        return self.form.problem
