"""The files of an evaluation: choosing data and models, saving and copying the numbers."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication

from core import OutputError
from core.errors import os_error_text
from gui.evaluation.evaluating import Evaluating
from gui.evaluation.export import numbers_of
from gui.evaluation.panel import EvaluationPanel
from gui.failure import Failure
from gui.widgets.choosing import choose_data, choose_folders, choose_table_to_save
from gui.widgets.places import Places

__all__ = ["EvaluationFiles"]

_DATA, _MODELS, _NUMBERS = "data", "evaluated", "scores"
"""Kinds of places that are remembered."""


class EvaluationFiles(QObject):
    """Opens the dialogs that a panel asks for.

    Signals:
        saved(str): what was written or copied, in words.
    """

    saved = Signal(str)

    def __init__(
        self, panel: EvaluationPanel, evaluating: Evaluating, places: Places, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._panel, self._evaluating, self._places = panel, evaluating, places
        panel.browse_requested.connect(self._on_browse)
        panel.folder_requested.connect(self._on_folder)
        panel.copy_requested.connect(self._on_copy)
        panel.export_requested.connect(self._on_export)

    @Slot()
    def _on_browse(self) -> None:
        data = self._panel.data
        start = self._places.start(_DATA, here=None if data is None else data.parent)
        chosen = choose_data(self._panel.window(), start)
        if chosen is not None:
            self._places.remember(_DATA, chosen.parent)
            self._evaluating.set_data(chosen.absolute())

    @Slot()
    def _on_folder(self) -> None:
        title = "Choose models to be compared"
        chosen = choose_folders(self._panel.window(), title, self._places.start(_MODELS, *self._beside()))
        if chosen:
            self._places.remember(_MODELS, chosen[0].parent)
            self._evaluating.add(chosen)

    def _beside(self) -> list[Path]:
        return [row.candidate.path.parent for row in self._panel.model.rows[:1]]

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(numbers_of(self._panel.model.rows).text("\t"))
        self.saved.emit("Copied the numbers")

    @Slot()
    def _on_export(self) -> None:
        table, data = numbers_of(self._panel.model.rows), self._panel.data
        start = self._places.start(_NUMBERS, None if data is None else data.parent)
        path = choose_table_to_save(self._panel.window(), start / f"{table.name}.csv")
        if path is None:
            return
        self._places.remember(_NUMBERS, path.parent)
        try:
            path.write_bytes(table.text().encode())
        except OSError as error:
            failed = OutputError(f"cannot write {path}: {os_error_text(error)}", hint="choose another folder")
            self._panel.show_failure(Failure.of(failed))
        else:
            self.saved.emit(f"Saved {path.name}")
