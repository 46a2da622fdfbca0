"""The models: the base, the sub-models, and how many of them take part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QAction, QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSpinBox, QToolButton, QVBoxLayout, QWidget

from core.methods import METHODS, MethodSpec
from gui.document.merge_setup import ModelChoice
from gui.jobs import JobKeeper
from gui.models.actions import ModelActions
from gui.models.base_row import BaseRow
from gui.models.known_models import KnownModels
from gui.models.read_jobs import FindModelsJob, FoundModels, ReadModelsJob
from gui.models.summary import ModelSummary
from gui.models.table_model import SubModelsModel
from gui.models.table_view import SubModelsView
from gui.widgets.choosing import choose_folder, choose_folders
from gui.widgets.fields import defer_to_window
from gui.widgets.messages import MessagePanel
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, heading
from gui.words import plural

__all__ = ["ModelsPanel"]


class ModelsPanel(QWidget):
    """Where models are chosen. Their headers are read in jobs.

    Attributes:
        base: the row of the base.
        sub_models_model: the list of sub-models.
        table: shows it.
        k_box: how many take part.
        message: what is wrong with the selected model, or else with the base or the first other one.
        actions_: what can be done with the selected sub-models.
        last_folder: where the next dialog begins.

    Signals:
        changed(): the base, the list, a weight or K changed; once for each call and each act of the user.
        summaries_changed(): more is known of the models; about ten times a second while they are read.
        note_given(str): a remark of no consequence, for the status bar.
    """

    changed = Signal()
    summaries_changed = Signal()
    note_given = Signal(str)

    def __init__(self, jobs: JobKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._known = KnownModels()
        self._being_read: set[Path] = set()
        self.last_folder = Path.cwd()
        self.base = BaseRow(self._known)
        self.sub_models_model = SubModelsModel(self._known, self)
        self.table = SubModelsView(self.sub_models_model)
        self.message = MessagePanel(closable=False, takes_from=self.table)
        self.k_box = QSpinBox()
        self.k_box.setRange(0, 0)
        self.k_box.setKeyboardTracking(False)
        defer_to_window(self.k_box)
        self.k_box.setAccessibleName("K, the number of sub-models that take part")
        self.actions_ = ModelActions(self.table, self)
        self._lay_out()
        self._connect()
        self.set_method(next(iter(METHODS.values())))
        self._on_selection_changed()

    def _connect(self) -> None:
        self.base.choose_requested.connect(self.ask_for_base)
        self.base.clear_requested.connect(lambda: self.set_base(None))
        self.base.dropped.connect(self.set_base)
        self.k_box.valueChanged.connect(self.sub_models_model.set_k)
        self.sub_models_model.changed.connect(self._on_changed)
        self.sub_models_model.refused.connect(self.note_given)
        self.sub_models_model.folders_dropped.connect(self.add_from)
        self.table.selectionModel().selectionChanged.connect(self._on_selection_changed)
        for action, slot in (
            (self.actions_.add, self.ask_for_sub_models),
            (self.actions_.add_run, self.ask_for_run_folder),
            (self.actions_.toggle, self.toggle_selected),
            (self.actions_.only, self.enable_only_selected),
            (self.actions_.weight, self.table.edit_weight),
            (self.actions_.up, lambda: self.move_selected(-1)),
            (self.actions_.down, lambda: self.move_selected(1)),
            (self.actions_.base, self.make_selected_the_base),
            (self.actions_.open, self.open_selected_folder),
            (self.actions_.remove, self.remove_selected),
        ):
            action.triggered.connect(slot)

    def _lay_out(self) -> None:
        actions = self.actions_
        add = QToolButton()
        add.setText("&Add…")
        add.setToolTip("Add the folders of fine-tuned models")
        add.setAccessibleName("Add sub-models")
        add.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        add.clicked.connect(self.ask_for_sub_models)
        menu = QMenu(add)
        menu.addActions([actions.add, actions.add_run])
        add.setMenu(menu)
        remove = _button(actions.remove)
        up = _button(actions.up, Qt.ArrowType.UpArrow)
        down = _button(actions.down, Qt.ArrowType.DownArrow)
        label = PlainLabel("&K")
        label.setBuddy(self.k_box)
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        for widget in (add, remove, up, down):
            buttons.addWidget(widget)
            widget.setMinimumHeight(self.k_box.sizeHint().height())
        buttons.addStretch(1)
        buttons.addWidget(label)
        buttons.addWidget(self.k_box)
        self._heading = heading("Models")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self._heading)
        layout.addWidget(self.base)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.message)
        layout.addLayout(buttons)

    def set_room(self, *, spacing: int, headings: bool) -> None:
        """How much room there is: pixels between the parts, and whether there is any for the heading."""
        self._heading.setVisible(headings)
        layout = self.layout()
        assert layout is not None
        layout.setSpacing(spacing)

    # -- state, for the window

    @property
    def base_folder(self) -> Path | None:
        return self.base.folder

    @property
    def k(self) -> int:
        """How many take part."""
        return self.sub_models_model.sub_models.k

    def choices(self) -> tuple[ModelChoice, ...]:
        """Every row of the list, also those that take no part."""
        return self.sub_models_model.choices

    def summaries(self) -> dict[Path, ModelSummary]:
        """What the headers say, as far as they are read."""
        return {
            folder: self._known.summaries[folder]
            for folder in self._folders()
            if folder in self._known.summaries
        }

    # -- called by the window

    def apply(self, base: Path | None, choices: Sequence[ModelChoice], k: int) -> None:
        """Replace all models; reads only folders that are not known yet."""
        if (base, tuple(choices), k) == (self.base_folder, self.choices(), self.k):
            return
        selected = {choice.folder for choice in self._selected_choices()}
        self.base.set_folder(base)
        self._read(folder for folder in self._unknown([base, *(choice.folder for choice in choices)]))
        self.sub_models_model.replace_all(choices, k)
        self.table.select_rows([row for row, choice in enumerate(choices) if choice.folder in selected])
        if self._folders():
            self.last_folder = self._folders()[-1].parent

    def set_method(self, method: MethodSpec) -> None:
        """Ask for what `method` takes: weights or none, and how many sub-models."""
        tip = "The first K ticked sub-models of the list take part."
        if (method.least_models, method.most_models) != (1, None):
            tip += f" {method.title} takes {method.models_text()}."
        self.k_box.setToolTip(tip)
        self.sub_models_model.set_method(method)

    def set_base(self, folder: Path | None) -> None:
        self.base.set_folder(folder)
        if folder is not None:
            self.last_folder = folder.parent
            self._read([folder])
        self._on_changed()

    def add_sub_models(self, folders: Sequence[Path]) -> None:
        """Append folders; one that is in the list already is left out, with a note."""
        present = {choice.folder for choice in self.choices()}
        new = [folder for folder in dict.fromkeys(folders) if folder not in present]
        if new:
            self.last_folder = new[-1].parent
            self._read(new)
            self.sub_models_model.add([ModelChoice(folder) for folder in new])
        elif folders:
            rest = f" and {len(folders) - 1} more are" if len(folders) > 1 else " is"
            self.note_given.emit(f"{folders[0].name}{rest} in the list already")

    @Slot(object)
    def add_from(self, folders: Sequence[Path], *, runs: bool = False) -> None:
        """Append models as soon as the folders were searched; a training run stands for its checkpoints.

        Args:
            folders: of models, or of training runs that hold checkpoint-* folders.
            runs: whether they are all training runs, also where they hold a model beside the checkpoints.
        """
        job = FindModelsJob(folders, runs=runs)
        job.found.connect(self._on_found)
        self._jobs.start(job)

    def set_states(self, states: Mapping[Path, str | None]) -> None:
        """Why models are not compatible, in plain words; None for one that is; absent while not known."""
        self._known.reasons = dict(states)
        self._show_known()

    def refresh(self) -> None:
        """Read all models again: they may have changed on the disk."""
        self._read(self._folders())

    def show_base(self) -> None:
        """Put the focus on the base."""
        self.base.choose_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_model(self, folder: Path) -> None:
        """Select the row of `folder`, scroll to it and put the focus there; or the focus on the base."""
        rows = [row for row, choice in enumerate(self.choices()) if choice.folder == folder]
        if rows:
            self.table.select_rows(rows)
            self.table.setFocus(Qt.FocusReason.OtherFocusReason)
        elif folder == self.base_folder:
            self.show_base()

    # -- commands of the user

    @Slot()
    def ask_for_base(self) -> None:
        folder = choose_folder(self, "Choose the base model", self.last_folder)
        if folder is not None:
            self.set_base(folder)

    @Slot()
    def ask_for_sub_models(self) -> None:
        folders = choose_folders(self, "Add sub-models", self.last_folder)
        if folders:
            self.add_from(folders)

    @Slot()
    def ask_for_run_folder(self) -> None:
        folder = choose_folder(self, "Add all checkpoints of a training run", self.last_folder)
        if folder is not None:
            self.last_folder = folder.parent
            self.add_from([folder], runs=True)

    @Slot()
    def remove_selected(self) -> None:
        rows = self.table.selected_rows()
        if rows:
            self.table.clearSelection()
            self.sub_models_model.remove(rows)
            if self.choices():
                self.table.select_rows([min(rows[0], len(self.choices()) - 1)])

    def move_selected(self, by: int) -> None:
        """Move the selected rows `by` rows down; they end up next to each other."""
        rows = self.table.selected_rows()
        if rows:
            self.sub_models_model.move(rows, max(rows[0] + by, 0) if by < 0 else rows[-1] + 1 + by)
            self.table.scrollTo(self.table.currentIndex())

    def enable_selected(self, enabled: bool) -> None:
        rows = self.table.selected_rows()
        if rows:
            self.sub_models_model.enable(rows, enabled)

    @Slot()
    def toggle_selected(self) -> None:
        """Tick the selected rows, or clear their ticks where all have one."""
        self.enable_selected(not all(choice.enabled for choice in self._selected_choices()))

    @Slot()
    def enable_only_selected(self) -> None:
        """The selected rows take part, and no others."""
        rows = self.table.selected_rows()
        if rows:
            self.apply(
                self.base_folder,
                [
                    ModelChoice(choice.folder, choice.weight, row in rows)
                    for row, choice in enumerate(self.choices())
                ],
                len(rows),
            )

    @Slot()
    def make_selected_the_base(self) -> None:
        """The selected sub-model becomes the base; the base before, if any, replaces it in the list."""
        selected, before = self._selected_choices(), self.base_folder
        if len(selected) != 1:
            self.note_given.emit("Select one sub-model to be the base")
            return
        row = self.table.selected_rows()[0]
        self.base.set_folder(selected[0].folder)
        if before is None or before in {choice.folder for choice in self.choices()}:
            self.sub_models_model.remove([row])
        else:
            self.sub_models_model.set_folder(row, before)

    @Slot()
    def open_selected_folder(self) -> None:
        for choice in self._selected_choices():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(choice.folder)))

    def commit_edits(self) -> None:
        """Take over what is being typed."""
        self.k_box.interpretText()
        self.table.commit_edit()

    # -- inside

    def _folders(self) -> list[Path]:
        """Of the base and all sub-models."""
        base = [self.base_folder] if self.base_folder is not None else []
        return [*base, *(choice.folder for choice in self.choices())]

    def _selected_choices(self) -> list[ModelChoice]:
        return [self.choices()[row] for row in self.table.selected_rows()]

    def _unknown(self, folders: Iterable[Path | None]) -> list[Path]:
        known = self._known.summaries.keys() | self._being_read
        return [folder for folder in folders if folder is not None and folder not in known]

    def _read(self, folders: Iterable[Path]) -> None:
        wanted = list(dict.fromkeys(folders))
        if wanted:
            self._being_read.update(wanted)
            job = ReadModelsJob(wanted)
            job.read.connect(self._on_read)
            self._jobs.start(job)

    @Slot(object)
    def _on_read(self, summaries: tuple[ModelSummary, ...]) -> None:
        self._known.add(summaries)
        self._being_read.difference_update(summary.folder for summary in summaries)
        self._show_known()
        self.summaries_changed.emit()

    @Slot(object)
    def _on_found(self, found: FoundModels) -> None:
        before = len(self.choices())
        self.add_sub_models(found.folders)
        added = len(self.choices()) - before
        if found.empty:
            self.note_given.emit(f"{found.empty[0].name} holds no checkpoint-* folders")
        elif found.runs and added:
            where = found.runs[0].name if len(found.runs) == 1 else plural(len(found.runs), "training run")
            self.note_given.emit(f"Added {plural(added, 'model')} of {where}")

    @Slot()
    def _on_changed(self) -> None:
        sub_models = self.sub_models_model.sub_models
        enabled = sub_models.enabled
        self.k_box.blockSignals(True)
        self.k_box.setRange(sub_models.lowest, sub_models.highest)
        self.k_box.setValue(self.k)
        self.k_box.setSuffix(f" of {enabled}" if enabled else "")
        self.k_box.setEnabled(bool(enabled))
        self.k_box.blockSignals(False)
        self._on_selection_changed()
        self.changed.emit()

    @Slot()
    def _on_selection_changed(self) -> None:
        weighted = self.sub_models_model.weight is not None
        self.actions_.update(self.table.selected_rows(), self.choices(), weighted=weighted)
        self._show_problem()

    def _show_known(self) -> None:
        self.base.show_known()
        self.sub_models_model.show_known()
        self._show_problem()

    def _show_problem(self) -> None:
        folders = [choice.folder for choice in self._selected_choices()]
        if self.base_folder is not None:
            folders.append(self.base_folder)
        folders += [choice.folder for choice in self.choices() if choice.enabled]
        problems = (problem for folder in folders if (problem := self._known.problem(folder)) is not None)
        problem = next(problems, None)
        if problem is not None:
            self.message.show_failure(problem)
        else:
            self.message.clear()


def _button(action: QAction, arrow: Qt.ArrowType | None = None) -> QToolButton:
    button = QToolButton()
    button.setDefaultAction(action)
    button.setAccessibleName(action.text())
    button.setToolTip(f"{action.text()} ({action.shortcut().toString()})")
    if arrow is not None:
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        button.setArrowType(arrow)
    return button
