"""The log: what happened since the window was opened, line by line."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from core.errors import os_error_text
from core.text import message_text
from gui.widgets.places import Places
from gui.widgets.theme import ERROR, GRID, as_text

__all__ = ["LogPanel"]

_MAX_LINES = 5000
_MARKS = {"info": "", "warning": "Warning: ", "error": "Error: "}


class LogPanel(QWidget):
    """Lines with the time of day. The last one stays in view, unless the user scrolled up.

    Attributes:
        view: the text, to be read only.
    """

    def __init__(self, places: Places, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._places = places
        self.view = QPlainTextEdit()
        self.view.setReadOnly(True)
        self.view.setUndoRedoEnabled(False)
        self.view.setMaximumBlockCount(_MAX_LINES)
        self.view.setAccessibleName("Log")
        self.view.setTabChangesFocus(True)
        self.view.setPlaceholderText("What happens in this window is noted here.")
        metrics = self.view.fontMetrics()
        self.view.setTabStopDistance(metrics.horizontalAdvance("00:00:00") + 2 * GRID)
        self._copy = _quiet_button("Copy all", "Copy the whole log")
        self._save = _quiet_button("Save…", "Save the log as a text file")
        self._clear = _quiet_button("Clear", "Empty the log")
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID // 2)
        buttons.addStretch(1)
        for button in (self._copy, self._save, self._clear):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID)
        layout.setSpacing(GRID // 2)
        layout.addLayout(buttons)
        layout.addWidget(self.view, 1)
        self._copy.clicked.connect(self.copy)
        self._save.clicked.connect(self.ask_where_to_save)
        self._clear.clicked.connect(self.view.clear)
        self.view.textChanged.connect(self._on_changed)
        self._on_changed()

    @property
    def text(self) -> str:
        """All lines, each a time of day, a tab and what happened."""
        return self.view.toPlainText()

    def add(self, text: str, kind: str = "info") -> None:
        """Note `text`, of one line or more; `kind` is "info", "warning" or "error"."""
        lines = [message_text(line) for line in f"{_MARKS[kind]}{text}".splitlines()] or [""]
        lines = [f"{datetime.now():%H:%M:%S}\t{lines[0]}", *(f"\t{line}" for line in lines[1:])]
        colour = f"color: {as_text(ERROR, self.view.palette()).name()}" if kind == "error" else ""
        for line in lines:
            self.view.appendHtml(f'<span style="white-space: pre-wrap; {colour}">{escape(line)}</span>')

    @Slot()
    def copy(self) -> None:
        """Copy all lines."""
        QGuiApplication.clipboard().setText(self.text)

    @Slot()
    def ask_where_to_save(self) -> None:
        start = self._places.start("log", Path.home()) / "paramosaic-log.txt"
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save the log", str(start), "Text (*.txt);;All files (*)"
        )
        if not chosen:
            return
        self._places.remember("log", Path(chosen).parent)
        try:
            Path(chosen).write_text(f"{self.text}\n", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            self.add(f"cannot write {chosen}: {os_error_text(error)}", "error")

    @Slot()
    def _on_changed(self) -> None:
        for button in (self._copy, self._save, self._clear):
            button.setEnabled(not self.view.document().isEmpty())


def _quiet_button(text: str, tool_tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tool_tip)
    button.setAutoRaise(True)
    return button
