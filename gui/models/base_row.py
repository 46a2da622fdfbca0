"""The base model, as one row."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.checkpoint.model import model_names
from gui.models.known_models import KnownModels, State
from gui.widgets.dropped import what_is_dropped
from gui.widgets.messages import ElidedLabel
from gui.widgets.plain import PlainLabel, tool_tip
from gui.widgets.theme import ERROR, GRID, SUCCESS, accent_of, secondary

__all__ = ["BaseRow"]

_INVITATION = ("No base yet", "Choose it, or drop it here")
_HELP = "Choose the model that all were fine-tuned from, or drop it here"


class BaseRow(QFrame):
    """Shows the base; a different one is chosen in a dialog, or dropped onto it.

    Attributes:
        folder: of the base, or None.
        choose_button, clear_button: choose a base, and take it out.

    Signals:
        choose_requested(), clear_requested(): a button was pressed.
        hovered(object): a Dropped that is held above it, or None: it is not any more.
        dropped(object): a Dropped that brings models.
    """

    choose_requested = Signal()
    clear_requested = Signal()
    hovered = Signal(object)
    dropped = Signal(object)

    def __init__(self, known: KnownModels, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known = known
        self.folder: Path | None = None
        self._locked = False
        self._hover = ""
        self.setAcceptDrops(True)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._chip = PlainLabel("◆")
        self._name = ElidedLabel()
        self._facts = ElidedLabel()
        secondary(self._facts)
        for label in (self._name, self._facts):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)  # the row has the tool tip
        self._state = PlainLabel()
        self.choose_button = QPushButton("Choose…")
        self.choose_button.setAccessibleName("Choose the base model")
        self.choose_button.setToolTip(_HELP)
        self.choose_button.clicked.connect(self.choose_requested)
        self.clear_button = QToolButton()
        self.clear_button.setText("×")
        self.clear_button.setAutoRaise(True)
        self.clear_button.setAccessibleName("No base model")
        self.clear_button.setToolTip("Take the base out")
        self.clear_button.clicked.connect(self.clear_requested)
        texts = QVBoxLayout()
        texts.setSpacing(0)
        texts.addWidget(self._name)
        texts.addWidget(self._facts)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID // 2, GRID // 2)
        layout.setSpacing(GRID)
        layout.addWidget(self._chip)
        layout.addLayout(texts, 1)
        layout.addWidget(self._state)
        layout.addWidget(self.choose_button)
        layout.addWidget(self.clear_button)
        self.show_known()

    def set_folder(self, folder: Path | None) -> None:
        self.folder = self._known.base = folder
        self.show_known()

    def show_known(self) -> None:
        """Show what is known of the base."""
        role = QPalette.ColorRole.Text if self.folder else QPalette.ColorRole.PlaceholderText
        self._name.setForegroundRole(role)
        self._chip.setForegroundRole(role)
        self.clear_button.setVisible(self.folder is not None)
        if self.folder is None:
            self._show_texts(*_INVITATION, State.UNCHECKED, _HELP)
            return
        state, problem = self._known.state(self.folder), self._known.problem(self.folder)
        if state is State.UNCHECKED:
            state = State.FITS  # the sub-models are compared with it
        words = problem.message if problem else state.words
        facts = self._known.facts_text(self.folder)
        short = facts.replace(" parameters", "")
        tip = "\n".join(filter(None, (str(self.folder), facts, words)))
        self._show_texts(model_names([self.folder])[0], short or words, state, tip)

    def _show_texts(self, name: str, facts: str, state: State, tip: str) -> None:
        facts = self._hover or facts
        self._name.set_full_text(name)
        self._facts.set_full_text(facts)
        self._state.setText(state.value)
        colours = QPalette()
        if state in _COLOURS:
            colours.setColor(self._state.foregroundRole(), _COLOURS[state])
        self._state.setPalette(colours)
        self.setToolTip(tool_tip(tip))
        self.setAccessibleName(f"Base model: {name}, {facts}")
        self.setAccessibleDescription(state.words if self.folder else "")

    def set_locked(self, locked: bool) -> None:
        """Let nobody change it; it stays legible."""
        self._locked = locked
        self.choose_button.setEnabled(not locked)
        self.clear_button.setEnabled(not locked)

    def show_hover(self, text: str) -> None:
        """Say what a drop would do, and that it would be done to the base; "" for nothing."""
        if text != self._hover:
            self._hover = text
            self.show_known()
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._hover:
            painter = QPainter(self)
            painter.setPen(QPen(accent_of(self.palette()), 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        dropped = what_is_dropped(event.mimeData())
        if dropped.models and dropped.recipe is None and not self._locked:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.hovered.emit(dropped)
        else:  # the window opens a recipe, and answers everything else
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.hovered.emit(None)

    def dropEvent(self, event: QDropEvent) -> None:
        self.hovered.emit(None)
        dropped = what_is_dropped(event.mimeData())
        if dropped.models:
            event.setDropAction(Qt.DropAction.CopyAction)  # or the file manager deletes them
            event.accept()
            self.dropped.emit(dropped)


_COLOURS: dict[State, QColor] = {State.FITS: SUCCESS, State.PROBLEM: ERROR}
