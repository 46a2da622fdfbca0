"""The recipe in the window as a document: its file, its undo history, and whether it is saved."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from core import MergeError
from core.runs.history import HistoryEntry
from core.text import one_line
from gui.document.merge_setup import MergeSetup
from gui.document.opening import setup_of_recipe
from gui.document.recipe_files import Fingerprint, changed_on_disk, fingerprint, save_recipe
from gui.document.undo import UndoHistory
from gui.settings import Settings

__all__ = ["Document"]


class Document(QObject):
    """What is being worked on, apart from how it is shown.

    Attributes:
        path: the recipe's file; None before it has one.
        known: what the file was like when it was read or written; None where that is not known.
        origin: the file of a recipe that was taken over in part, which keeps what was left out; None for
            others.
        undo: the history of its changes.

    Signals:
        changed(): the file, or whether it is saved, has changed.
        restored(object): a MergeSetup to be shown, after undo or redo.
    """

    changed = Signal()
    restored = Signal(object)

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self.known: Fingerprint | None = None
        self.origin: Path | None = None
        self.undo = UndoHistory(self)
        self._settings = settings
        self._kept: MergeSetup | None = None
        self.undo.restored.connect(self.restored)
        self.undo.clean_changed.connect(self.changed)

    @property
    def title(self) -> str:
        """How the window calls it, with Qt's place for the mark of unsaved changes."""
        return f"{self.name.replace('[*]', '[*][*]')}[*]"

    @property
    def name(self) -> str:
        """What it is called: after its file, or the one that it is a part of."""
        if self.path is not None:
            return one_line(self.path.name)
        return "Untitled recipe" if self.origin is None else f"{one_line(self.origin.name)} (in part)"

    @property
    def recent(self) -> list[Path]:
        """The files that were opened or saved last, the latest first."""
        return self._settings.recent_recipes

    @property
    def modified(self) -> bool:
        return self.undo.is_modified

    def begin(self, setup: MergeSetup, path: Path | None = None, known: Fingerprint | None = None) -> None:
        """Start anew with `setup`, which `path` holds; the file was like `known` when it was read."""
        self.path, self.known, self.origin, self._kept = path, known, None, None
        self.undo.reset(setup)
        if path is not None:
            self._settings.add_recent_recipe(path)
        self.changed.emit()

    def begin_from(self, setup: MergeSetup, origin: Path) -> None:
        """Start anew with `setup`, which is a part of what `origin` says: no file holds just that, but until
        it is changed nothing would be lost."""
        self.path, self.known, self.origin, self._kept = None, None, origin, setup.described
        self.undo.reset(setup, saved=False)
        self._settings.add_recent_recipe(origin)
        self.changed.emit()

    def load_entry(self, entry: HistoryEntry, before: MergeSetup) -> MergeSetup:
        """The set-up of an earlier run. Raises MergeError."""
        return setup_of_recipe(entry.recipe(), before)

    @property
    def changed_on_disk(self) -> bool:
        """Whether somebody else has written the file since it was read or saved."""
        return self.path is not None and changed_on_disk(self.path, self.known)

    def save(self, setup: MergeSetup, path: Path) -> None:
        """Write the recipe to `path`, which is its file from now on. Raises MergeError."""
        save_recipe(setup.recipe(), path)
        self.path, self.origin = path, None
        try:
            self.known = fingerprint(path)
        except MergeError:  # of what took its place just now; saving again asks
            self.known = None
        self.undo.mark_saved()
        self._settings.add_recent_recipe(path)
        self.changed.emit()

    def keep(self, setup: MergeSetup) -> None:
        """`setup` was merged, and so is in the history of runs."""
        self._kept = setup.described

    def would_be_lost(self, setup: MergeSetup) -> bool:
        """Whether closing now would lose work that is neither in a file nor in the history."""
        return self.modified and bool(setup.models) and setup.described != self._kept
