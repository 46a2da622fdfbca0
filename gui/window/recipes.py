"""Recipes in the window: opening them and saving them, without losing changes unasked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, SignalInstance, Slot
from PySide6.QtWidgets import QWidget

from core import MergeError
from core.runs.history import HistoryEntry
from gui.document.document import Document
from gui.document.merge_setup import MergeSetup, first_missing, free_name, output_beside
from gui.failure import Failure
from gui.widgets.choosing import choose_recipe, choose_recipe_to_save
from gui.window.panels import Panels
from gui.window.questions import ask_to_save
from gui.words import plural
from resources import DEMO_FOLDER

__all__ = ["Recipes"]


class Recipes(QObject):
    """Opens recipes and saves what the fields say.

    Signals:
        opened(object, object): a MergeSetup to be shown as a new document, and its file or None.
        reopened(object): what was opened just now is the recipe of this HistoryEntry.
        resumed(object): the same, and its merge is to be gone on with.
        noted(str): a remark of no consequence, for the status bar.
        failed(object): a Failure, which is still to be shown.
    """

    opened = Signal(object, object)
    reopened = Signal(object)
    resumed = Signal(object)
    noted = Signal(str)
    failed = Signal(object)

    def __init__(self, document: Document, panels: Panels, window: QWidget) -> None:
        super().__init__(window)
        self._document, self._panels, self._window = document, panels, window
        self._merging = False

    @property
    def folder(self) -> Path:
        """Where the next dialog begins."""
        if self._document.path is not None:
            return self._document.path.parent
        base = self._panels.models.base_folder
        return base.parent if base is not None else Path.cwd()

    @property
    def would_be_lost(self) -> bool:
        """Whether the fields have changes that are neither in a file nor in the history."""
        return self._document.would_be_lost(self._panels.setup())

    def set_merging(self, merging: bool) -> None:
        """No recipe is opened while a merge runs."""
        self._merging = merging

    # -- opening

    @Slot()
    def new(self) -> None:
        """Empty the fields."""
        self.unless_unsaved(lambda: self.opened.emit(MergeSetup.empty(self._panels.setup()), None))

    @Slot()
    def ask_what_to_open(self) -> None:
        path = choose_recipe(self._window, self.folder)
        if path is not None:
            self.open(path)

    def open(self, path: Path) -> None:
        """Load `path` into the fields, after asking where something would be lost."""
        self.unless_unsaved(lambda: self.load(path))

    def load(self, path: Path, out: Path | None = None) -> bool:
        """Load `path` into the fields without asking; says why not where it cannot be read.

        Args:
            path: the recipe.
            out: the output folder to suggest; None for one beside the recipe.
        """
        try:
            setup = self._document.load(path, self._panels.setup())
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return False
        self.opened.emit(replace(setup, out=str(out or output_beside(path))), path)
        return True

    @Slot()
    def open_demo(self) -> None:
        """The demo models, to be merged into a folder of the current directory."""

        def load() -> None:
            path = DEMO_FOLDER / "recipe.yaml"
            setup = self._document.load(path, self._panels.setup())
            place = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path.home()
            self.opened.emit(replace(setup, out=str(free_name(place / "paramosaic-demo"))), None)

        self.unless_unsaved(load)

    @Slot(object)
    def reopen(self, entry: HistoryEntry) -> None:
        """Put the recipe of an earlier run into the fields."""
        self.unless_unsaved(lambda: self._load(entry, free_name(entry.out), self.reopened))

    @Slot(object)
    def resume(self, entry: HistoryEntry) -> None:
        """Put the recipe of a run that did not come to its end into the fields, to go on with it."""
        self.unless_unsaved(lambda: self._load(entry, entry.out, self.resumed))

    def _load(self, entry: HistoryEntry, out: Path, told: SignalInstance) -> None:
        """Load the recipe of an earlier run into the fields, then emit `told`; says why it cannot be read."""
        try:
            setup = self._document.load_entry(entry, self._panels.setup())
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return
        self.opened.emit(replace(setup, out=str(out)), None)
        told.emit(entry)

    def unless_unsaved(self, then: Callable[[], object]) -> None:
        """Do `then`, after asking what becomes of changes that would be lost; nothing while a merge runs."""
        if self._merging:
            return
        if self.would_be_lost:
            ask_to_save(self._window, self.save, then)
        else:
            then()

    # -- saving

    @Slot()
    def save(self) -> bool:
        """Save to the recipe's file, or ask for one. Whether it was saved."""
        return self.save_to(self._document.path) if self._document.path is not None else self.save_as()

    @Slot()
    def save_as(self) -> bool:
        """Ask for a file and save to it. Whether it was saved."""
        path = choose_recipe_to_save(self._window, self.folder)
        return path is not None and self.save_to(path)

    def save_to(self, path: Path) -> bool:
        """Save to `path`, which is the recipe's file from now on; says why not where that cannot be done."""
        self._panels.models.commit_edits()
        setup = self._panels.setup()
        missing = first_missing(setup)
        if missing is not None and missing[1] != "out":
            self.failed.emit(Failure("The recipe cannot be saved before it is complete.", missing[0]))
            return False
        try:
            self._document.save(setup, path)
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return False
        idle = len(setup.models) - len(setup.taking_part)
        left = f"; {plural(idle, 'sub-model')} that took no part left out" if idle else ""
        self.noted.emit(f"Saved {path.name}{left}")
        return True
