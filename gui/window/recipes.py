"""Recipes in the window: opening them and saving them, without losing changes unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, SignalInstance, Slot
from PySide6.QtWidgets import QWidget

from core import MergeError, load_recipe
from core.methods import METHODS, MethodSpec
from core.recipe.references import same_folder
from core.runs.history import HistoryEntry
from core.text import one_line
from gui.document.document import Document
from gui.document.merge_setup import MergeSetup, first_missing
from gui.document.opening import setup_of_recipe
from gui.document.output_names import free_name
from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.widgets.choosing import choose_recipe, choose_recipe_to_save
from gui.widgets.places import Places, is_ours
from gui.window.left_out import LeftOutDialog, left_out_text
from gui.window.panels import Panels
from gui.window.questions import ask_to_lose, ask_to_overwrite, ask_to_save
from gui.window.recipe_job import ReadRecipe, ReadRecipeJob, read_recipe
from gui.words import plural
from resources import DEMO_FOLDER

__all__ = ["Recipes"]


_SHOW_LEFT_OUT = "Show what is left out…"


def _nothing() -> None:
    """What is done after something where nothing is to be done."""


class Recipes(QObject):
    """Opens recipes and saves what the fields say.

    Signals:
        opened(object, object): a MergeSetup to be shown as a new document, and the ReadRecipe that it was
            made of; None where it has no file.
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

    def __init__(
        self, document: Document, panels: Panels, places: Places, jobs: JobKeeper, window: QWidget
    ) -> None:
        super().__init__(window)
        self._document, self._panels, self._jobs, self._window = document, panels, jobs, window
        self._places = places
        self._merging = False
        self._reading: ReadRecipeJob | None = None
        self._then: Callable[[], object] = _nothing
        self._partly: ReadRecipe | None = None
        panels.run.message.action_requested.connect(self._on_action)

    @property
    def folder(self) -> Path:
        """Where the next dialog begins."""
        path = self._document.path or self._document.origin
        return self._places.start("recipe", self.beside_output, here=None if path is None else path.parent)

    @property
    def beside_output(self) -> Path | None:
        """The folder in which the output will be; None where none is given."""
        out = self._panels.setup().out
        return Path(out).expanduser().absolute().parent if out else None

    @property
    def name(self) -> str:
        """What the recipe is called."""
        return self._document.name

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

    def open(self, path: Path, then: Callable[[], object] = _nothing) -> None:
        """Load `path` into the fields, after asking where something would be lost, and do `then`.

        It is read in a job, and only what can be opened is worth a question; what is opened next takes its
        place. Nothing is opened while a merge runs.
        """
        if not self._merging:
            self._reading, self._then = ReadRecipeJob(path, self._stand_in), then
            self._reading.read.connect(self._on_read)
            self._reading.failed.connect(self._on_not_read)
            self._jobs.start(self._reading)

    def load(self, path: Path, out: Path | None = None) -> bool:
        """Load `path` into the fields at once and without asking; says why not where it cannot be read.

        Args:
            path: the recipe.
            out: the output folder to suggest; None for one beside the recipe.
        """
        self._reading = None
        try:
            read = read_recipe(path, self._stand_in)
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return False
        return self._show(read if out is None else replace(read, out=out))

    @Slot()
    def open_demo(self) -> None:
        """The demo models, to be merged into a folder of the current directory."""

        try:
            setup = setup_of_recipe(load_recipe(DEMO_FOLDER / "recipe.yaml"), self._panels.setup())
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return
        out = free_name(self._places.start("output") / "paramosaic-demo")
        self.unless_unsaved(lambda: self.opened.emit(replace(setup, out=str(out)), None))

    @Slot(object)
    def reopen(self, entry: HistoryEntry) -> None:
        """Put the recipe of an earlier run into the fields."""
        self._load(entry, free_name(entry.out), self.reopened)

    @Slot(object)
    def resume(self, entry: HistoryEntry) -> None:
        """Put the recipe of a run that did not come to its end into the fields, to go on with it."""
        self._load(entry, entry.out, self.resumed)

    def _load(self, entry: HistoryEntry, out: Path, told: SignalInstance) -> None:
        """Load the recipe of an earlier run into the fields, then emit `told`; says why it cannot be read."""
        try:
            setup = self._document.load_entry(entry, self._panels.setup())
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return

        def show() -> None:
            self.opened.emit(replace(setup, out=str(out)), None)
            told.emit(entry)

        self.unless_unsaved(show)

    def unless_unsaved(self, then: Callable[[], object]) -> None:
        """Do `then`, after asking what becomes of changes that would be lost; nothing while a merge runs."""
        if self._merging:
            return
        if self.would_be_lost:
            ask_to_save(self._window, self._document.name, self.save_then, then)
        else:
            then()

    @property
    def _stand_in(self) -> MethodSpec:
        """The method in the place of one that a recipe names and that is not known."""
        return METHODS[self._panels.setup().method]

    @Slot(object)
    def _on_read(self, read: ReadRecipe) -> None:
        if self.sender() is not self._reading or self._merging:
            return
        self._reading, then = None, self._then

        def show() -> None:
            if self._show(read):
                then()

        def save(_: Callable[[], object]) -> bool:
            return self.save_then(lambda: self.open(read.path, then))  # which may be the file that is saved

        if self.would_be_lost:
            ask_to_save(self._window, self._document.name, save, show)
        else:
            show()

    @Slot(object)
    def _on_not_read(self, failure: Failure) -> None:
        if self.sender() is self._reading:
            self._reading = None
            self.failed.emit(failure)

    def _show(self, read: ReadRecipe) -> bool:
        try:
            setup = setup_of_recipe(read.recipe, self._panels.setup())
        except MergeError as error:
            self.failed.emit(Failure.of(error))
            return False
        out = free_name(self._places.start("output") / read.out.name) if is_ours(read.out) else read.out
        self.opened.emit(replace(setup, out=str(out)), read)
        if read.left_out:
            self._partly = read
            name, (first, more) = one_line(read.path.name), left_out_text(read.left_out)
            self._panels.run.message.show_note(
                f"{name} was opened as far as it is understood. {first}", more, [_SHOW_LEFT_OUT]
            )
            for one in read.left_out:
                self._panels.log.add(f"{name}, left out: {one.sentence}", "warning")
        return True

    @Slot(str)
    def _on_action(self, words: str) -> None:
        if words == _SHOW_LEFT_OUT and self._partly is not None:
            LeftOutDialog(self._partly.path, self._partly.left_out, self._window).open()

    # -- saving

    @Slot()
    def save(self) -> bool:
        """Save to the recipe's file, or ask for one. Whether it was saved."""
        return self.save_then(_nothing)

    def save_then(self, then: Callable[[], object]) -> bool:
        """The same, and do `then` once it is saved; asks first where somebody else has changed the file."""
        path = self._document.path
        return self._save_as(then) if path is None or is_ours(path) else self._save_unless_lost(path, then)

    @Slot()
    def save_as(self) -> bool:
        """Ask for a file and save to it. Whether it was saved."""
        return self._save_as(_nothing)

    def _save_as(self, then: Callable[[], object]) -> bool:
        path = choose_recipe_to_save(self._window, self.folder / self._suggested_name)
        return path is not None and self._save_unless_lost(path, then)

    @property
    def _suggested_name(self) -> str:
        document = self._document
        if document.origin is not None:  # what was left out of it would be lost there
            return f"{document.origin.stem}-2.yaml"
        return document.path.name if document.path is not None else "recipe.yaml"

    def _save_unless_lost(self, path: Path, then: Callable[[], object]) -> bool:
        """Save to `path` and do `then`; asks first where something would be lost that is not shown here."""
        document = self._document
        whole = document.path is not None and same_folder(path, document.path)
        part = document.origin is not None and same_folder(path, document.origin)
        save, save_as = partial(self.save_to, path, then), partial(self._save_as, then)
        if whole and document.changed_on_disk:
            ask_to_overwrite(self._window, path.name, save, save_as)
        elif part and self._partly is not None:
            ask_to_lose(self._window, path.name, self._partly.left_out, save, save_as)
        else:
            return save()
        return False

    def save_to(self, path: Path, then: Callable[[], object] = _nothing) -> bool:
        """Save to `path`, which is the recipe's file from now on, and do `then`.

        Says why not where that cannot be done. Whether it was saved.
        """
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
        self._places.remember("recipe", path.parent)
        idle = len(setup.models) - len(setup.taking_part)
        left = f"; {plural(idle, 'sub-model')} that took no part left out" if idle else ""
        self.noted.emit(f"Saved {path.name}{left}")
        then()
        return True
