"""The main window: left is what you do, right is what you see, bottom is what happened."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, QTimer, QUrl, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QApplication, QMainWindow, QPushButton, QWidget

from core import Leftover
from core.evaluate.store.score_store import ScoreStore
from core.runs.history import History, HistoryEntry
from core.runs.learned import Learned
from core.text import message_text
from gui.background.tasks import BackgroundTasks
from gui.document.document import Document
from gui.document.made_models import MadeModels
from gui.document.merge_setup import MergeSetup
from gui.document.output_names import free_name, output_beside
from gui.evaluation.evaluating import Evaluating
from gui.evaluation.files import EvaluationFiles
from gui.evaluation.panel import EvaluationPanel
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
from gui.recipe.output_field import default_origin
from gui.recipe.panel import RecipePanel
from gui.run.panel import RunPanel, title_text
from gui.run.result import MergeResult
from gui.settings import Settings
from gui.training.making import Making
from gui.training.panel import TrainingPanel
from gui.trying.panel import TryPanel
from gui.widgets.dropped import what_is_dropped
from gui.widgets.messages import DetailsDialog
from gui.widgets.places import Places
from gui.window.actions import Actions
from gui.window.cancelling import Cancelling
from gui.window.closing import Closing
from gui.window.focus import FocusKeeper, FocusMarks, is_covered
from gui.window.folder_opener import FolderOpener
from gui.window.layout import WindowLayout
from gui.window.leftovers import Leftovers
from gui.window.log_panel import LogPanel
from gui.window.merger import Merger
from gui.window.overwriting import Overwriting
from gui.window.panels import Panels
from gui.window.recipe_job import ReadRecipe
from gui.window.recipes import Recipes
from gui.window.studies import Studies

__all__ = ["MainWindow"]

_NOTE_MS = 5000
_FRAMED_MS = 200


class MainWindow(QMainWindow):
    """The whole workbench.

    Attributes:
        models, recipe, preflight: what you do.
        pictures, run: what you see.
        history, log: what happened.
        evaluation, evaluating: what a merge is worth, and what finds it out.
        training: sub-models that are being made.
        trying: what the models answer.
        document, recipes: the recipe as a document, and what opens and saves it.
        checker: what keeps the report before the merge up to date.
        looking, comparing, merger, studies: what fills the pictures.
        tasks: what other processes do, with this window or without.
        making: what has sub-models made.
    """

    def __init__(self, settings: Settings, history: History) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.settings = settings
        self.document = Document(settings, self)
        self._jobs = JobKeeper(self)
        self._history = history
        self._applying = False
        self.models = ModelsPanel(self._jobs)
        self.recipe = RecipePanel(self._jobs, settings)
        self.preflight = PreflightPanel()
        self.pictures = PicturesPanel()
        self.run = RunPanel()
        scores = ScoreStore(history.folder.parent / "scores")
        self.history = HistoryPanel(history, self._jobs, scores)
        self.evaluation = EvaluationPanel()
        places = Places(settings)
        self.log = LogPanel(places)
        self.training = TrainingPanel()
        self.trying = TryPanel(self._jobs, places)
        self.checker = Checker(self._jobs, Learned(history.folder), self)
        self.looking = Looking(self.pictures, self._jobs, self)
        self.comparing = Comparing(self.pictures, self._jobs, self)
        self.merger = Merger(history, self._jobs, self.looking, self.comparing, self.run, self.log, self)
        self._saver = PictureSaver(places, self)
        self.statusBar().setSizeGripEnabled(False)  # so that nothing moves when a note is shown
        self._panels = Panels(
            self.models,
            self.recipe,
            self.preflight,
            self.pictures,
            self.run,
            self.history,
            self.log,
            self.evaluation,
            self.training,
            self.trying,
        )
        self.recipes = Recipes(self.document, self._panels, places, self._jobs, self)
        self.studies = Studies(self.pictures, places, self._jobs, self)
        self._leftovers = Leftovers(self._jobs, self)
        self._opener = FolderOpener(self)
        self._overwriting = Overwriting(self.recipe.output, self)
        self._cancelling = Cancelling(self.merger, self)
        self.tasks = BackgroundTasks(history.folder.parent / "background", self)
        self.evaluating = Evaluating(self.evaluation, self.tasks, scores, self._jobs, self)
        self._evaluation_files = EvaluationFiles(self.evaluation, self.evaluating, places, self)
        self.making = Making(self.training, self.tasks, self._jobs, places, self)
        self._closing = Closing(self.merger, self._cancelling, self.tasks, self.recipes, self)
        self.layout_ = WindowLayout(self, self._panels)
        self._focus_marks = FocusMarks(self)
        self._focus_keeper = FocusKeeper(self.preflight.cancel_button, self.preflight.merge_button)
        self.actions_ = Actions(self, self._panels, self.document, self.recipes, self.layout_, settings)
        self._connect()
        self._setup = self.setup()
        self.document.begin(self._setup)
        self.layout_.restore(settings)
        self.history.refresh()
        self.checker.check_now(self._setup)
        self._update()
        self.tasks.follow()

    def _connect(self) -> None:
        self.models.changed.connect(self._on_changed)
        self.models.note_given.connect(self._note)
        self.recipe.changed.connect(self._on_changed)
        self.recipe.precision.devices_found.connect(self._on_devices_found)
        self.checker.began.connect(self.preflight.show_checking)
        self.checker.reported.connect(self._on_report)
        self.looking.misfit_found.connect(lambda report: self.models.set_states(report.states))
        self.preflight.merge_requested.connect(self._begin_merge)
        self.preflight.cancel_requested.connect(self.cancel_merge)
        self.preflight.show_requested.connect(self.show_problem)
        self.preflight.resume_requested.connect(self.resume_merge)
        self.preflight.removal_requested.connect(self._leftovers.ask_to_remove)
        self.preflight.free_name_requested.connect(self._overwriting.use_free_name)
        self.preflight.overwrite_requested.connect(self._overwriting.ask)
        self.preflight.base_requested.connect(self.models.set_base)
        self.preflight.wish_dropped.connect(self._note)
        self.pictures.built.connect(self.checker.warm_up)
        self.checker.compiling.connect(self.pictures.show_compiling)
        self.pictures.demo_requested.connect(self.recipes.open_demo)
        self.pictures.save_requested.connect(self.ask_where_to_save_picture)
        self.pictures.resampling.resamples_requested.connect(self.recipe.set_resamples)
        self.pictures.detail_requested.connect(self.layout_.show_detail)
        self.merger.planned.connect(self.history.refresh)
        self.merger.progressed.connect(self._update_title)
        self.merger.cancelling.connect(self.preflight.show_cancelling)
        self.merger.noted.connect(self._note)
        self.merger.succeeded.connect(self._on_succeeded)
        self.merger.failed.connect(self._on_failed)
        self.merger.ended.connect(self._on_ended)
        self.recipes.opened.connect(self._begin)
        self.recipes.reopened.connect(self._on_reopened)
        self.recipes.resumed.connect(self.resume_merge)
        self.recipes.noted.connect(self._note)
        self.recipes.failed.connect(self._show_failure)
        self.actions_.save_pictures.triggered.connect(self.ask_where_to_save_pictures)
        self.actions_.read_again.triggered.connect(self.refresh_models)
        self.actions_.merge.triggered.connect(self.start_merge)
        self.actions_.cancel.triggered.connect(self.cancel_merge)
        self.actions_.again.triggered.connect(self.merge_again)
        self._saver.saved.connect(self._note)
        self._saver.failed.connect(self._show_failure)
        self.run.again_requested.connect(self.merge_again)
        self.run.resume_requested.connect(self._resume_last)
        self.run.removal_requested.connect(self._leftovers.ask_to_remove)
        self._leftovers.removed.connect(self._on_removed)
        self._leftovers.failed.connect(self._show_failure)
        self._opener.failed.connect(self._show_failure)
        self._leftovers.ended.connect(self._check_again)
        self.history.reopen_requested.connect(self.recipes.reopen)
        self.history.resume_requested.connect(self.recipes.resume)
        self.history.loaded.connect(self.pictures.comparison.set_runs)
        self.history.loaded.connect(self._on_history_loaded)
        self.history.compare_requested.connect(self.comparing.show)
        self.history.open_folder_requested.connect(self._open_folder)
        self.history.loaded.connect(self.evaluating.set_runs)
        self.history.evaluate_requested.connect(self.evaluate)
        self.evaluating.scored.connect(self.history.refresh)
        self.evaluating.noted.connect(self.log.add)
        self._evaluation_files.saved.connect(self._note)
        self.run.evaluate_requested.connect(self.evaluate_merge)
        self.actions_.evaluate.triggered.connect(self.evaluate_merge)
        self.evaluating.evaluation_changed.connect(self.pictures.show_evaluation)
        named = self.pictures.named
        self.evaluation.marked.connect(named.mark)
        named.changed.connect(lambda: self.evaluation.show_marked(named.value))
        self.evaluating.started.connect(self.pictures.scores.prefer_evaluation)
        self.actions_.open_study.triggered.connect(self.studies.ask_what_to_open)
        self.studies.failed.connect(self._show_failure)
        for make in (self.actions_.make, self.models.actions_.make):
            make.triggered.connect(self.making.ask)
        self.making.ask_base(lambda: self.models.base_folder)
        self.making.shown.connect(self.layout_.show_training)
        self.making.made.connect(self._use_made)
        self.making.open_requested.connect(self._open_folder)
        self.making.noted.connect(self.log.add)
        self.making.remarked.connect(self._note)
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
        """Whether no job runs."""
        return self._jobs.idle

    def setup(self) -> MergeSetup:
        """What the fields say."""
        return self._panels.setup()

    @Slot()
    def warm_up(self) -> None:
        """Make the plots, then import and compile what a merge needs, before they are wanted."""
        self.pictures.build_soon()

    # -- recipes

    def new_recipe(self) -> None:
        self.recipes.new()

    def load_recipe(self, path: Path, out: Path | None = None) -> bool:
        """As `Recipes.load`."""
        return self.recipes.load(path, out)

    def reopen(self, entry: HistoryEntry) -> None:
        self.recipes.reopen(entry)

    @Slot(object)
    def ask_where_to_save_picture(self, picture: Picture) -> None:
        self._saver.ask_for_one(picture, self.recipes.beside_output)

    @Slot()
    def ask_where_to_save_pictures(self) -> None:
        if self.observer.findings is not None:
            self._saver.ask_for_all(self.observer.shown, self.recipes.beside_output)

    @Slot(object, object)
    def _begin(self, setup: MergeSetup, read: ReadRecipe | None) -> None:
        """Show `setup` as a new document."""
        self.run.message.clear()
        self.merger.forget_result()
        self._apply(setup)
        self.recipe.forget_values()
        if read is None:
            self.document.begin(self._setup)
        elif read.left_out:
            self.document.begin_from(self._setup, read.path)
        else:
            self.document.begin(self._setup, read.path, read.known)

    @Slot(object)
    def _on_reopened(self, entry: HistoryEntry) -> None:
        if entry.status == "done":
            self.looking.recall(entry, self._setup)

    # -- the set-up

    @Slot(object)
    def _on_restored(self, setup: MergeSetup) -> None:
        """After undo or redo; an output folder that was written meanwhile is not suggested again."""
        if setup.out and setup.out != self._setup.out:
            setup = replace(setup, out=str(free_name(Path(setup.out))))
        self._apply(replace(setup, overwrite=setup.overwrite and self._setup.overwrite))  # that is asked for

    def _apply(self, setup: MergeSetup) -> None:
        """Set every field from `setup`."""
        self._applying = True
        self._panels.apply(setup)
        self._applying = False
        self._on_changed()

    @Slot()
    def _on_changed(self) -> None:
        """A field changed."""
        if self._applying:
            return
        self._applying = True
        self._panels.show_method()
        self._applying = False
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
        self.recipe.precision.show_times(report.choice)
        self.recipe.show_tensors([row.name for row in report.ledger if row.action != "omitted"])
        self._update()

    @Slot()
    def refresh_models(self) -> None:
        """Read the models again: they may have changed on the disk."""
        self.models.refresh()
        self.observer.read_again()
        self.preflight.setup_changed()
        self.checker.check_now(self._setup)

    @Slot()
    def _on_devices_found(self) -> None:
        """What each would take is worth saying."""
        if not self.merging:
            self.checker.check_now(self._setup)

    @Slot(object)
    def _use_made(self, made: MadeModels) -> None:
        """The base and the sub-models of a training are those of the recipe from now on."""
        if not self.merging:
            self._suggest(
                free_name(made.folder.with_name(f"{made.folder.name}-merged"))
            )  # not among the runs
        self.models.take_over(made.base, made.models)
        self.layout_.show_setup()

    @Slot(object)
    def show_problem(self, problem: Problem) -> None:
        """Go to the field or the model that `problem` is about."""
        if problem.failure is not None:
            DetailsDialog(problem.failure, self).open()
            return
        self.layout_.show_setup()
        self._panels.go_to(problem)

    # -- merging

    @Slot()
    def start_merge(self) -> None:
        """As pressing Merge."""
        self.models.commit_edits()
        self.preflight.wish_merge()

    @Slot()
    def merge_again(self) -> None:
        """The same merge with another seed, at random, as soon as it has been checked."""
        if not self.merging and self.setup().draws:
            self.models.commit_edits()
            setup = self.setup()
            if setup.out and not setup.overwrite:  # it may have been written since it was suggested
                self._suggest(free_name(Path(setup.out)), insist=True)
            self.recipe.set_seed(secrets.randbelow(2**32))
            self.preflight.wish_merge()

    @Slot()
    def resume_merge(self) -> None:
        """Go on with what an earlier merge left in the output folder, once that has been checked anew."""
        if not self.merging:
            self.models.commit_edits()
            self.preflight.wish_resume()
            self.checker.check_now(self._setup)

    @Slot()
    def _resume_last(self) -> None:
        """Go on with the last merge, as the fields say now."""
        self.recipe.output_field.setText(self.merger.out)
        self.resume_merge()

    @Slot()
    def evaluate_merge(self) -> None:
        """Have the last merge among the models that are evaluated, and show them."""
        if self.merger.result is not None:
            self.evaluate([self.merger.result.out])

    @Slot(object)
    def evaluate(self, folders: Sequence[Path]) -> None:
        """Have `folders` among the models that are evaluated, and show them."""
        self.evaluating.add(folders)
        self.layout_.show_evaluation()
        self.evaluation.take_focus()

    @Slot()
    def cancel_merge(self) -> None:
        """Stop the merge that runs; asks where it has finished something."""
        self._cancelling.ask()

    @Slot(object)
    def _begin_merge(self, left: Leftover | None) -> None:
        if not self.merging:
            self.checker.stop()
            self.merger.begin(self._setup, left)
            self._update()

    @Slot(object)
    def _on_removed(self, folder: Path) -> None:
        self.run.forget_left(folder)
        self.log.add(f"Removed {folder}")
        self._note(f"Removed {folder.name}")

    @Slot()
    def _check_again(self) -> None:
        """The disk has changed."""
        self.history.refresh()
        if not self.merging:
            self.checker.check_now(self._setup)

    @Slot(object, object)
    def _on_succeeded(self, setup: MergeSetup, result: MergeResult) -> None:
        self.document.keep(setup)
        self.trying.show_output(result.out)
        if result.whole:
            self.preflight.set_measured(setup, result.seconds)

    @Slot(object)
    def _on_history_loaded(self, done: tuple[HistoryEntry, ...]) -> None:
        self.trying.set_outputs(list(dict.fromkeys(entry.out for entry in done)))

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if failure.details is not None and not self._closing.insists:
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
        self._closing.merge_ended()

    # -- state

    @Slot()
    def _update(self) -> None:
        """Bring everything that depends on the state up to date."""
        focus = QApplication.focusWidget()
        self.models.set_locked(self.merging)
        self.recipe.setEnabled(not self.merging)
        self.preflight.set_merging(self.merging)
        if self.merging:
            self._focus_keeper.locked(focus)
        else:
            self._focus_keeper.unlocked()
        self.trying.set_models(self._setup.base, [one.folder for one in self._setup.models])
        self.trying.set_merging(self.merging)
        self.recipes.set_merging(self.merging)
        self.history.set_merging(self.merging)
        self.training.set_merging(self.merging)
        self.recipe.output.origin = default_origin(self.document.path)
        draws = self._setup.draws
        self.actions_.update(
            merging=self.merging,
            draws=draws,
            can_merge=self.merge_button.isEnabled(),
            has_result=self.merger.result is not None,
            has_pictures=self.observer.findings is not None,
        )
        self._update_title()
        self.evaluating.set_setup(self._setup, self.models.adapters())
        self.looking.show_setup(self._setup, merging=self.merging)

    @Slot()
    def _update_title(self) -> None:
        progress = self.merger.progress
        so_far = f"{title_text(progress)} – " if progress is not None else ""
        self.setWindowTitle(f"{so_far}{self.document.title} – Paramosaic")
        self.setWindowModified(self.document.modified)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self.run.show_aside(failure)
        self.log.add(f"{failure.message} {failure.hint or ''}".strip(), "error")

    @Slot(str)
    def _note(self, text: str) -> None:
        self.statusBar().showMessage(message_text(text), _NOTE_MS)

    # -- Qt

    def focusNextPrevChild(self, forward: bool) -> bool:
        """As Qt does, but past what is behind the front tab of the docks."""
        for _ in self.findChildren(QWidget):
            if not super().focusNextPrevChild(forward):
                return False
            if not is_covered(QApplication.focusWidget()):
                return True
        return False

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():
            # What the window manager puts around the window is known a moment after it was shown.
            QTimer.singleShot(_FRAMED_MS, self, self.layout_.settle)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        dropped = what_is_dropped(event.mimeData())
        if dropped.anything:  # what cannot be used is answered, too
            event.acceptProposedAction()
            self.models.show_hover(dropped)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.models.show_hover(None)

    def dropEvent(self, event: QDropEvent) -> None:
        self.models.show_hover(None)
        dropped = what_is_dropped(event.mimeData())
        event.setDropAction(Qt.DropAction.CopyAction)  # or the file manager deletes them
        event.accept()
        recipe = dropped.recipe
        if recipe is None or self.merging:
            self.models.take_drop(dropped)
        else:
            self.recipes.open(recipe, lambda: self.models.take_drop(dropped))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ApplicationPaletteChange:
            self.preflight.update_accent()
        elif event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.checker.look_again()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.models.commit_edits()
        if not self._closing.may_close():
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

    def close_at_once(self) -> None:
        """Close without asking; a merge that runs is stopped first, and what it has finished is kept. Other
        processes go on."""
        self._closing.close_at_once()

    @Slot(object)
    def _open_folder(self, folder: Path) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
