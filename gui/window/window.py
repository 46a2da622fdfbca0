"""The main window: left is what you do, right is what you see, bottom is what happened."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, QTimer, QUrl, Slot
from PySide6.QtGui import QCloseEvent, QDesktopServices, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow, QMessageBox, QPushButton

from core import MergeError
from core.runs.history import History, HistoryEntry
from gui.document.document import Document
from gui.document.merge_setup import MergeSetup, first_missing, free_name, output_beside
from gui.failure import Failure
from gui.history.comparing import Comparing
from gui.history.panel import HistoryPanel
from gui.jobs import JobKeeper
from gui.looking.looking import Looking
from gui.looking.observer import Observer
from gui.looking.subject import same_models
from gui.models.panel import ModelsPanel
from gui.pictures.panel import PicturesPanel
from gui.pictures.picture import Picture
from gui.pictures.saver import PictureSaver
from gui.preflight.checker import Checker
from gui.preflight.panel import PreflightPanel
from gui.preflight.report import PlanReport, Problem
from gui.recipe.panel import RecipePanel
from gui.run.merger import Merger
from gui.run.panel import RunPanel, title_text
from gui.run.result import MergeResult
from gui.settings import Settings
from gui.widgets.choosing import choose_recipe, choose_recipe_to_save
from gui.widgets.dropped import dropped_paths, sort_dropped
from gui.widgets.messages import DetailsDialog
from gui.window.actions import Actions
from gui.window.docks import WindowLayout
from gui.window.log_panel import LogPanel
from gui.window.questions import ask_to_cancel_the_merge, ask_to_save
from gui.words import plural
from resources import DEMO_FOLDER

__all__ = ["MainWindow"]

_NOTE_MS = 5000


class MainWindow(QMainWindow):
    """The whole workbench.

    Attributes:
        models, recipe, preflight: what you do.
        pictures, run: what you see.
        history, log: what happened.
        document: the recipe as a document.
        checker: what keeps the report before the merge up to date.
        looking, comparing, merger: what fills the pictures.
    """

    def __init__(self, settings: Settings, history: History) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.settings = settings
        self.document = Document(settings, self)
        self._jobs = JobKeeper(self)
        self._history = history
        self._question: QMessageBox | None = None
        self._close_after = False
        self._closing = False
        self._applying = False
        self.models = ModelsPanel(self._jobs)
        self.recipe = RecipePanel(self._jobs, settings)
        self.preflight = PreflightPanel()
        self.pictures = PicturesPanel()
        self.run = RunPanel()
        self.history = HistoryPanel(history, self._jobs)
        self.log = LogPanel()
        self.checker = Checker(self._jobs, settings, self)
        self.looking = Looking(self.pictures, self._jobs, self)
        self.comparing = Comparing(self.pictures, self._jobs, self)
        self.merger = Merger(history, self._jobs, self.looking, self.comparing, self.run, self.log, self)
        self._saver = PictureSaver(self)
        self.statusBar().setSizeGripEnabled(False)  # there from the beginning: nothing moves when it speaks
        self.layout_ = WindowLayout(self)
        self.actions_ = Actions(self)
        self._connect()
        self._setup = self.setup()
        self.document.begin(self._setup)
        self.layout_.restore(settings)
        self.history.refresh()
        self.checker.check_now(self._setup)
        self._update()

    def _connect(self) -> None:
        self.models.changed.connect(self._on_changed)
        self.models.note_given.connect(self._note)
        self.recipe.changed.connect(self._on_changed)
        self.checker.began.connect(self.preflight.show_checking)
        self.checker.reported.connect(self._on_report)
        self.preflight.merge_requested.connect(self._begin_merge)
        self.preflight.cancel_requested.connect(self.cancel_merge)
        self.preflight.show_requested.connect(self.show_problem)
        self.preflight.wish_dropped.connect(self._note)
        self.pictures.built.connect(self.checker.warm_up)
        self.pictures.demo_requested.connect(self.open_demo)
        self.pictures.save_requested.connect(self.ask_where_to_save_picture)
        self.pictures.resampling.resamples_requested.connect(self.recipe.set_resamples)
        self.pictures.detail_requested.connect(self.layout_.show_detail)
        self.merger.planned.connect(self.history.refresh)
        self.merger.progressed.connect(self._update_title)
        self.merger.succeeded.connect(self._on_succeeded)
        self.merger.failed.connect(self._on_failed)
        self.merger.ended.connect(self._on_ended)
        self._saver.saved.connect(self._note)
        self._saver.failed.connect(self._show_failure)
        self.run.again_requested.connect(self.merge_again)
        self.history.reopen_requested.connect(self.reopen)
        self.history.loaded.connect(self.pictures.comparison.set_runs)
        self.history.compare_requested.connect(self.comparing.show)
        self.history.open_folder_requested.connect(self._open_folder)
        self.document.changed.connect(self._update)
        self.document.restored.connect(self._on_restored)

    @property
    def merging(self) -> bool:
        return self.merger.job is not None

    @property
    def merge_button(self) -> QPushButton:
        return self.preflight.merge_button

    @property
    def observer(self) -> Observer:
        """What looks at the models."""
        return self.looking.observer

    @property
    def idle(self) -> bool:
        """Whether nothing goes on behind it."""
        return self._jobs.idle

    @property
    def has_pictures(self) -> bool:
        return self.observer.findings is not None

    @property
    def can_merge_again(self) -> bool:
        """Whether there is a result that another seed would make another."""
        return self.merger.result is not None and self.recipe.method.parameter("resamples") is not None

    def setup(self) -> MergeSetup:
        """What the fields say."""
        before = MergeSetup(
            method=self.recipe.method.name,
            base=self.models.base_folder,
            models=self.models.choices(),
            k=self.models.k,
            parameters={},
        )
        return self.recipe.read_into(before)

    @Slot()
    def warm_up(self) -> None:
        """Make the plots, then import and compile what a merge needs, before they are wanted."""
        self.pictures.build_soon()

    # -- recipes

    @Slot()
    def new_recipe(self) -> None:
        self._unless_unsaved(lambda: self._begin(MergeSetup.empty(self.setup())))

    @Slot()
    def ask_for_recipe(self) -> None:
        path = choose_recipe(self, self._recipe_folder())
        if path is not None:
            self.open_recipe(path)

    def open_recipe(self, path: Path) -> None:
        """Load `path` into the fields, after asking where something would be lost."""
        self._unless_unsaved(lambda: self.load_recipe(path))

    def load_recipe(self, path: Path, out: Path | None = None) -> bool:
        """Load `path` into the fields without asking; says why not where it cannot be read.

        Args:
            path: the recipe.
            out: the output folder to suggest; None for one beside the recipe.
        """
        try:
            setup = self.document.load(path, self.setup())
        except MergeError as error:
            self._show_failure(Failure.of(error))
            return False
        self._begin(replace(setup, out=str(out or output_beside(path))), path)
        return True

    @Slot()
    def open_demo(self) -> None:
        """The demo models, to be merged into a folder of the current directory."""

        def load() -> None:
            path = DEMO_FOLDER / "recipe.yaml"
            setup = self.document.load(path, self.setup())
            place = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path.home()
            self._begin(replace(setup, out=str(free_name(place / "paramosaic-demo"))))

        self._unless_unsaved(load)

    def reopen(self, entry: HistoryEntry) -> None:
        """Put the recipe of an earlier run into the fields."""

        def load() -> None:
            try:
                setup = self.document.load_entry(entry, self.setup())
            except MergeError as error:
                self._show_failure(Failure.of(error))
                return
            self._begin(replace(setup, out=str(free_name(Path(entry.out)))))
            if entry.status == "done":
                self.looking.recall(entry, self._setup)

        self._unless_unsaved(load)

    @Slot()
    def save_recipe(self) -> bool:
        """Save to the recipe's file, or ask for one. Whether it was saved."""
        return self._save_to(self.document.path) if self.document.path is not None else self.save_recipe_as()

    @Slot()
    def save_recipe_as(self) -> bool:
        path = choose_recipe_to_save(self, self._recipe_folder())
        return path is not None and self._save_to(path)

    def _save_to(self, path: Path) -> bool:
        self.models.commit_edits()
        setup = self.setup()
        missing = first_missing(setup)
        if missing is not None and missing[1] != "out":
            self._show_failure(Failure("The recipe cannot be saved before it is complete.", missing[0]))
            return False
        try:
            self.document.save(setup, path)
        except MergeError as error:
            self._show_failure(Failure.of(error))
            return False
        idle = len(setup.models) - len(setup.taking_part)
        left = f"; {plural(idle, 'sub-model')} that took no part left out" if idle else ""
        self._note(f"Saved {path.name}{left}")
        return True

    @Slot(object)
    def ask_where_to_save_picture(self, picture: Picture) -> None:
        self._saver.ask_for_one(picture, self._recipe_folder())

    @Slot()
    def ask_where_to_save_pictures(self) -> None:
        if self.has_pictures:
            self._saver.ask_for_all(self.observer.shown, self._recipe_folder())

    def _begin(self, setup: MergeSetup, path: Path | None = None) -> None:
        """Show `setup` as a new document."""
        self.run.message.clear()
        self.merger.forget_result()
        self._apply(setup)
        self.document.begin(self._setup, path)

    def _unless_unsaved(self, then: Callable[[], object]) -> None:
        """Do `then`, after asking what becomes of changes that would be lost."""
        if self.merging:
            return
        if self.document.would_be_lost(self._setup):
            ask_to_save(self, self.save_recipe, then)
        else:
            then()

    def _recipe_folder(self) -> Path:
        if self.document.path is not None:
            return self.document.path.parent
        return self._setup.base.parent if self._setup.base is not None else Path.cwd()

    # -- the set-up

    @Slot(object)
    def _on_restored(self, setup: MergeSetup) -> None:
        """After undo or redo; an output folder that was written meanwhile is not suggested again."""
        self._apply(replace(setup, out=str(free_name(Path(setup.out)))) if setup.out else setup)

    def _apply(self, setup: MergeSetup) -> None:
        """Set every field from `setup`."""
        self._applying = True
        self.models.apply(setup.base, setup.models, setup.k)
        self.recipe.apply(setup)
        self._applying = False
        self._on_changed()

    @Slot()
    def _on_changed(self) -> None:
        """A field is another."""
        if self._applying:
            return
        setup = self.setup()
        if setup.models and not setup.out and not self.recipe.output_field.hasFocus():
            self._suggest(output_beside(setup.models[0].folder))
            setup = self.setup()
        self._take(setup, by_user=True)

    def _suggest(self, out: Path, *, insist: bool = False) -> None:
        """Fill in an output folder; `insist` even where the user has typed one."""
        self._applying = True
        self.recipe.suggest_output(out, insist=insist)
        self._applying = False

    def _take(self, setup: MergeSetup, *, by_user: bool) -> None:
        """Go by `setup`, which is what the fields say, from now on."""
        if setup == self._setup:
            return
        typing, self._setup = same_models(self._setup, setup), setup
        self.recipe.show_models(setup)
        self.document.undo.note(setup, by_user=by_user)
        self.preflight.setup_changed()
        (self.checker.check_soon if typing else self.checker.check_now)(setup)
        self._update()

    @Slot(object)
    def _on_report(self, report: PlanReport) -> None:
        self.models.set_states(report.states)
        self.looking.look_at(report)
        self.preflight.show_report(report)  # a merge may begin here
        self.recipe.show_tensors([row.name for row in report.ledger if row.action != "omitted"])
        self._update()

    @Slot()
    def refresh_models(self) -> None:
        """Read the models again: they may have changed on the disk."""
        self.models.refresh()
        self.observer.read_again()
        self.preflight.setup_changed()
        self.checker.check_now(self._setup)

    @Slot(object)
    def show_problem(self, problem: Problem) -> None:
        """Go to the field or the model that `problem` is about."""
        if problem.failure is not None:
            DetailsDialog(problem.failure, self).open()
            return
        self.layout_.show_setup()
        if problem.path is not None and problem.path in {choice.folder for choice in self._setup.models}:
            self.models.show_model(problem.path)
        elif problem.target == "base":
            self.models.show_base()
        elif problem.target == "models":
            self.models.table.setFocus()
        else:
            self.recipe.show_field(problem.target)

    # -- merging

    @Slot()
    def start_merge(self) -> None:
        """As pressing Merge."""
        self.models.commit_edits()
        self.preflight.wish_merge()

    @Slot()
    def merge_again(self) -> None:
        """The same merge with another seed, at random, as soon as it has been checked."""
        if not self.merging:
            self.models.commit_edits()
            self.recipe.set_seed(secrets.randbelow(2**32))
            self.preflight.wish_merge()

    @Slot()
    def cancel_merge(self) -> None:
        self.merger.cancel()
        self._update()

    @Slot()
    def _begin_merge(self) -> None:
        if not self.merging:
            self.checker.stop()
            self.merger.begin(self._setup)
            self._update()

    @Slot(object, object)
    def _on_succeeded(self, setup: MergeSetup, result: MergeResult) -> None:
        self.document.keep(setup)
        self.checker.learn(result)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._show_failure(failure)
        if failure.details is not None and not self._closing:
            DetailsDialog(failure, self).open()

    @Slot()
    def _on_ended(self) -> None:
        self.history.refresh()
        result = self.merger.result
        if result is not None:
            self._suggest(free_name(result.out), insist=True)
            self._take(self.setup(), by_user=False)
        self.checker.check_now(self._setup)
        self._update()
        if self._question is not None:
            self._question.close()
        if self._closing or self._close_after:
            self._close_after = False
            self.close()

    # -- state

    @Slot()
    def _update(self) -> None:
        """Bring everything that depends on the state up to date."""
        self.models.setEnabled(not self.merging)
        self.recipe.setEnabled(not self.merging)
        self.preflight.set_merging(self.merging)
        self.actions_.update()
        self._update_title()
        self.looking.show_setup(self._setup, merging=self.merging)

    @Slot()
    def _update_title(self) -> None:
        progress = self.merger.progress
        so_far = f"{title_text(progress)} – " if progress is not None else ""
        self.setWindowTitle(f"{so_far}{self.document.title} – Paramosaic")
        self.setWindowModified(self.document.modified)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self.run.show_failure(failure)
        self.log.add(f"{failure.message} {failure.hint or ''}".strip(), "error")

    @Slot(str)
    def _note(self, text: str) -> None:
        self.statusBar().showMessage(text, _NOTE_MS)

    # -- Qt

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        dropped = sort_dropped(dropped_paths(event.mimeData()))
        if not self.merging and (dropped.folders or dropped.recipe):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        dropped = sort_dropped(dropped_paths(event.mimeData()))
        if self.merging:
            return
        event.acceptProposedAction()
        recipe = dropped.recipe
        if recipe is None:
            self.models.add_from(dropped.folders)
        else:
            self._unless_unsaved(lambda: self.load_recipe(recipe) and self.models.add_from(dropped.folders))
        if dropped.unusable:
            self._note(f"{dropped.unusable[0].name} is neither a model nor a recipe")

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ApplicationPaletteChange:
            self.preflight.update_accent()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.models.commit_edits()
        if not self._closing and (self.merging or self.document.would_be_lost(self._setup)):
            event.ignore()
            if self.merging:
                self._question = ask_to_cancel_the_merge(self, self._cancel_and_close)
                self._question.finished.connect(self._on_answered)
            else:
                ask_to_save(self, self.save_recipe, self.close_at_once)
            return
        if self.merging:
            event.ignore()
            return
        self.layout_.save(self.settings)
        self.hide()
        self.checker.stop()
        self._jobs.stop_all()
        self.history.flush()
        for timer in self.findChildren(QTimer):
            timer.stop()
        event.accept()

    @Slot()
    def _on_answered(self) -> None:
        self._question = None

    def _cancel_and_close(self) -> None:
        self._close_after = True
        self.cancel_merge()

    def close_at_once(self) -> None:
        """Close without asking; a running merge is cancelled first."""
        self._closing = True
        self.cancel_merge()
        self.close()

    @Slot(object)
    def _open_folder(self, folder: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self._note(f"{folder} cannot be opened")
