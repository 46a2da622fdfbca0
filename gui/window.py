"""The main window: left is what you do, right is what you see, bottom is what happened."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from core import MergeError, load_recipe
from core.units import bytes_text
from gui.actions import Actions
from gui.choosing import choose_folder, choose_recipe, choose_recipe_to_save
from gui.dropped import dropped_paths, sort_dropped
from gui.export import write_pictures
from gui.jobs import Job, JobKeeper, MergeJob
from gui.merge_setup import MergeSetup, free_name, output_beside, rest_of_recipe, why_not_ready
from gui.messages import DetailsDialog
from gui.models_panel import ModelsPanel
from gui.pictures_panel import PicturesPanel
from gui.recipe_files import save_recipe
from gui.recipe_panel import RecipePanel
from gui.reports import Failure, MergeResult, PlanSummary
from gui.run_panel import RunPanel
from gui.text import plural
from gui.theme import GRID, accent_button, secondary
from resources import DEMO_FOLDER

__all__ = ["MainWindow"]


class MainWindow(QMainWindow):
    """The whole workbench.

    Attributes:
        models, recipe, pictures, run: its four parts.
        merge_button, cancel_button: start and stop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Paramosaic")
        self.setAcceptDrops(True)
        self._jobs = JobKeeper(self)
        self._merge: MergeJob | None = None
        self._result: MergeResult | None = None
        self._closing = False
        self._recipe_folder = Path.cwd()
        self.models = ModelsPanel(self._jobs)
        self.recipe = RecipePanel()
        self.pictures = PicturesPanel()
        self.run = RunPanel()
        self.merge_button = QPushButton("&Merge")
        self.merge_button.setMinimumHeight(4 * GRID)
        self.merge_button.setDefault(True)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setMinimumHeight(4 * GRID)
        self._ready = QLabel()
        self._ready.setWordWrap(True)
        secondary(self._ready)
        self.setCentralWidget(self._lay_out())
        self.actions_ = Actions(self)
        accent_button(self.merge_button)
        self.merge_button.clicked.connect(self.start_merge)
        self.cancel_button.clicked.connect(self.cancel_merge)
        self.models.changed.connect(self._on_changed)
        self.models.note_given.connect(lambda note: self.statusBar().showMessage(note, 5000))
        self.recipe.changed.connect(self._on_changed)
        self.pictures.demo_requested.connect(self.open_demo)
        self.resize(1280, 800)
        self._on_changed()

    @property
    def merging(self) -> bool:
        return self._merge is not None

    def setup(self) -> MergeSetup:
        """What the fields say."""
        return MergeSetup(
            method=self.recipe.method.name,
            base=self.models.base.folder,
            models=self.models.taking_part(),
            parameters=self.recipe.parameters,
            seed=self.recipe.seed,
            out=self.recipe.output,
            rest=self.recipe.rest,
        )

    def start_job(self, job: Job) -> None:
        """Run `job` and keep it until its thread has ended."""
        self._jobs.start(job)

    # -- recipes

    def open_recipe(self, path: Path, out: Path | None = None) -> bool:
        """Load `path` into the fields; says why not where it cannot.

        Args:
            path: the recipe.
            out: the output folder to suggest; None for one beside the recipe.
        """
        try:
            recipe = load_recipe(path)
        except MergeError as error:
            self.run.show_failure(Failure.of(error))
            return False
        self._recipe_folder = path.absolute().parent
        self.run.message.clear()
        self._forget_result()
        self.models.replace_all(
            recipe.base, list(zip((entry.path for entry in recipe.models), recipe.weights, strict=True))
        )
        self.recipe.set_method(recipe.method, recipe.parameters)
        self.recipe.seed_field.setText(str(recipe.seed))
        self.recipe.set_rest(rest_of_recipe(recipe))
        self.recipe.suggest_output(out or output_beside(path), insist=True)
        return True

    @Slot()
    def open_demo(self) -> None:
        """The demo models, to be merged into a folder of the current directory."""
        self.open_recipe(DEMO_FOLDER / "recipe.yaml", free_name(Path.cwd() / "paramosaic-demo"))

    @Slot()
    def ask_for_recipe(self) -> None:
        path = choose_recipe(self, self._recipe_folder)
        if path is not None:
            self.open_recipe(path)

    @Slot()
    def ask_where_to_save_recipe(self) -> None:
        try:
            recipe = self.setup().recipe()
            path = choose_recipe_to_save(self, self._recipe_folder)
            if path is not None:
                save_recipe(recipe, path)
                self.statusBar().showMessage(f"Saved {path.name}", 5000)
        except MergeError as error:
            self.run.show_failure(Failure.of(error))

    @Slot()
    def ask_where_to_save_pictures(self) -> None:
        folder = choose_folder(self, "Choose a folder for the pictures", self._recipe_folder)
        if folder is None or self._result is None:
            return
        try:
            written = write_pictures(self._result.record, folder)
            self.statusBar().showMessage(f"Saved {' and '.join(path.name for path in written)}", 5000)
        except MergeError as error:
            self.run.show_failure(Failure.of(error))

    # -- merging

    @Slot()
    def start_merge(self) -> None:
        if self.merging or not self.merge_button.isEnabled():
            return
        self._forget_result()
        self._merge = MergeJob(self.setup())
        self._merge.planned.connect(self._on_planned)
        self._merge.progressed.connect(self.run.show_progress)
        self._merge.pictures_changed.connect(self.pictures.show_pictures)
        self._merge.succeeded.connect(self._on_succeeded)
        self._merge.failed.connect(self._on_failed)
        self._merge.cancelled.connect(self._on_cancelled)
        self._merge.ended.connect(self._on_ended)
        self.run.begin()
        self._on_changed()
        self.start_job(self._merge)

    @Slot()
    def cancel_merge(self) -> None:
        if self._merge is not None:
            self.run.show_cancelling()
            self.cancel_button.setEnabled(False)
            self._merge.cancel()

    @Slot(object)
    def _on_planned(self, plan: PlanSummary) -> None:
        self.run.show_plan(plan)
        if plan.pictures is not None:
            self.pictures.show_pictures(plan.pictures)
        else:
            self.pictures.say_no_deltas(self.recipe.method.title)

    @Slot(object)
    def _on_succeeded(self, result: MergeResult) -> None:
        self._result = result
        if result.pictures is not None:
            self.pictures.show_pictures(result.pictures)
        self.run.show_result(result)
        self.recipe.suggest_output(free_name(result.out), insist=True)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.run.show_failure(failure)
        if failure.details is not None and not self._closing:
            DetailsDialog(failure, self).open()

    @Slot()
    def _on_cancelled(self) -> None:
        self.run.show_cancelled()

    @Slot()
    def _on_ended(self) -> None:
        self._merge = None
        self._on_changed()
        if self._closing:
            self.close()

    def _forget_result(self) -> None:
        self._result = None
        self.pictures.say_next()

    # -- state

    @Slot()
    def _on_changed(self) -> None:
        """Bring everything that depends on the fields up to date."""
        setup = self.setup()
        if setup.models and not setup.out and not self.recipe.output_field.hasFocus():
            self.recipe.suggest_output(output_beside(setup.models[0][0]))
            setup = self.setup()
        summaries = self.models.summaries()
        reason = why_not_ready(setup, self.models.base.summary, summaries)
        if self.merging:
            self._ready.setText("Merging…")
        elif reason is not None:
            self._ready.setText(reason)
        else:
            read = [
                s
                for s in ([self.models.base.summary] if self.recipe.method.needs_base else []) + summaries
                if s
            ]
            total = bytes_text(sum(summary.size_bytes for summary in read))
            self._ready.setText(f"Ready: reads {total} from {plural(len(read), 'model')}.")
        self.merge_button.setEnabled(reason is None and not self.merging)
        self.merge_button.setToolTip(reason or "")
        self.cancel_button.setEnabled(self.merging)
        self.models.setEnabled(not self.merging)
        self.recipe.setEnabled(not self.merging)
        self.actions_.update(merging=self.merging, ready=reason is None, has_pictures=self._has_pictures())
        if self._result is None and not self.merging:
            if self.models.base.folder is None and not setup.models:
                self.pictures.say_what_to_do()
            else:
                self.pictures.say_next(reason)

    def _has_pictures(self) -> bool:
        return self._result is not None and self._result.pictures is not None

    # -- layout

    def _lay_out(self) -> QWidget:
        doing = QWidget()
        column = QVBoxLayout(doing)
        column.setContentsMargins(2 * GRID, 2 * GRID, GRID, 2 * GRID)
        column.setSpacing(2 * GRID)
        column.addWidget(self.models, 1)
        column.addWidget(self.recipe)
        column.addWidget(self._ready)
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.merge_button, 1)
        buttons.addWidget(self.cancel_button)
        column.addLayout(buttons)
        scrolled = QScrollArea()
        scrolled.setWidget(doing)
        scrolled.setWidgetResizable(True)
        scrolled.setFrameShape(QFrame.Shape.NoFrame)
        scrolled.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scrolled.setMinimumWidth(48 * GRID)
        seeing = QWidget()
        right = QVBoxLayout(seeing)
        right.setContentsMargins(GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        right.setSpacing(0)
        right.addWidget(self.pictures, 1)
        right.addWidget(self.run)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(scrolled)
        splitter.addWidget(seeing)
        splitter.setStretchFactor(0, 0)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([54 * GRID, 106 * GRID])
        return splitter

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
        if dropped.recipe is not None:
            self.open_recipe(dropped.recipe)
        self.models.add_sub_models(dropped.folders)
        if dropped.unusable:
            self.statusBar().showMessage(f"{dropped.unusable[0].name} is neither a model nor a recipe", 5000)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ApplicationPaletteChange:
            accent_button(self.merge_button)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._merge is not None:
            event.ignore()
            if not self._closing:
                self._ask_to_close()
            return
        self.hide()
        self._jobs.stop_all()
        event.accept()

    def close_at_once(self) -> None:
        """Close without asking; a running merge is cancelled first."""
        self._closing = True
        self.cancel_merge()
        self.close()

    def _ask_to_close(self) -> None:
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Paramosaic")
        box.setText("A merge is running.")
        box.setInformativeText("Cancel it and close? Nothing of it will be left.")
        stop = box.addButton("Cancel the merge and close", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Go on merging", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        stop.clicked.connect(self.close_at_once)
        box.open()
