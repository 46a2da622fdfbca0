"""The models: the base, the sub-models, and how many of them take part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from core.methods import METHODS, MethodSpec
from gui.document.merge_setup import ModelChoice
from gui.jobs import JobKeeper
from gui.models.actions import ModelActions
from gui.models.adding import Adding, hover_texts
from gui.models.base_row import BaseRow
from gui.models.k_box import KBox
from gui.models.known_models import KnownModels
from gui.models.message import ModelsMessage
from gui.models.reader import Reader
from gui.models.summary import ModelSummary
from gui.models.table_model import SubModelsModel
from gui.models.table_view import SubModelsView
from gui.widgets.action_button import action_button
from gui.widgets.choosing import choose_folder, choose_folders
from gui.widgets.dropped import Dropped
from gui.widgets.fields import defer_to_window, show_focus
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, heading

__all__ = ["ModelsPanel"]


class ModelsPanel(QWidget):
    """Where models are chosen. Their headers are read in jobs.

    Attributes:
        base: the row of the base.
        sub_models_model: the list of sub-models.
        table: shows it.
        k_box: how many take part.
        message: why what was dropped or chosen last is not taken, or else what is wrong with the selected
            model, or else with the base or the first other one.
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
        self._known = KnownModels()
        self._reader = Reader(self._known, jobs, self)
        self._locked = False
        self.last_folder = Path.cwd()
        self.base = BaseRow(self._known)
        self.sub_models_model = SubModelsModel(self._known, self)
        self.table = SubModelsView(self.sub_models_model)
        self._told = ModelsMessage(
            self._known,
            self.sub_models_model,
            self.table.selected_rows,
            lambda: self.base_folder,
            self.table,
            self,
        )
        self.message = self._told.message
        self._adding = Adding(jobs, lambda: (self.base_folder, self._listed()), self)
        self.k_box = KBox()
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
        self.base.dropped.connect(lambda dropped: self.take_drop(dropped, onto_base=True))
        self.k_box.valueChanged.connect(self.sub_models_model.set_k)
        self.k_box.refused.connect(self.note_given)
        self.sub_models_model.changed.connect(self._on_changed)
        self.sub_models_model.refused.connect(self.note_given)
        self.sub_models_model.dropped.connect(self.take_drop)
        self.base.hovered.connect(lambda dropped: self.show_hover(dropped, onto_base=True))
        self.table.hovered.connect(self.show_hover)
        self._reader.learnt.connect(self._on_learnt)
        self._told.base_requested.connect(self.ask_for_base)
        self._adding.decided.connect(self._on_decided)
        self._adding.answered.connect(self._told.answer)
        self._adding.noted.connect(self.note_given)
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
        add = self._add_button = QToolButton()
        add.setText("&Add…")
        add.setToolTip("Add the folders of fine-tuned models")
        add.setAccessibleName("Add sub-models")
        add.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        add.clicked.connect(self.ask_for_sub_models)
        menu = QMenu(add)
        menu.addActions([actions.add, actions.add_run, actions.make])
        add.setMenu(menu)
        remove = action_button(actions.remove)
        up = action_button(actions.up, Qt.ArrowType.UpArrow)
        down = action_button(actions.down, Qt.ArrowType.DownArrow)
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

    def adapters(self) -> tuple[Path, ...]:
        """The folders of those that are adapters and name no model that they are put on."""
        summaries = self.summaries()
        return tuple(folder for folder, one in summaries.items() if one.adapter and " on " not in one.adapter)

    # -- called by the window

    def apply(
        self, base: Path | None, choices: Sequence[ModelChoice], k: int, made: Sequence[Path] = ()
    ) -> None:
        """Replace all models; reads only folders that are not known yet, and none that are `made` first."""
        self._known.set_made(made)
        if (base, tuple(choices), k) == (self.base_folder, self.choices(), self.k):
            return
        selected = {choice.folder for choice in self._selected_choices()}
        self.base.set_folder(base)
        self._reader.read_unknown([base, *(choice.folder for choice in choices)])
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
            self._reader.read([folder])
        self._on_changed()

    def take_over(self, base: Path, folders: Sequence[Path]) -> None:
        """Have these models, and no others, and all of them take part; one step to be undone."""
        if self._is_locked():
            return
        self.apply(base, [ModelChoice(folder) for folder in folders], len(folders))
        self._reader.read([base, *folders])  # they may be others than those that were known by these names

    def add_sub_models(self, folders: Sequence[Path]) -> None:
        """Append folders; one that is in the list already is left out, with a note."""
        present = {choice.folder for choice in self.choices()}
        new = [folder for folder in dict.fromkeys(folders) if folder not in present]
        if new:
            self.last_folder = new[-1].parent
            self._reader.read(new)
            before = len(self.choices())
            self.sub_models_model.add([ModelChoice(folder) for folder in new])
            self.table.scroll_to_rows(before, before + len(new) - 1)
        elif folders:
            rest = f" and {len(folders) - 1} more are" if len(folders) > 1 else " is"
            self.note_given.emit(f"{folders[0].name}{rest} in the list already")

    def add_from(self, places: Sequence[Path], *, runs: bool = False) -> None:
        """Append the models in `places` as soon as these were searched, in natural order.

        A training run stands for its checkpoints, a folder of models for them, after a question; and it is
        asked whether one of them is the base. Why a place is none of these is said in `message`.

        Args:
            places: folders, or files of weights.
            runs: whether they are all training runs, also where they hold a model beside the checkpoints.
        """
        self._told.answer(None)
        self._adding.add(places, runs=runs)

    @Slot(object)
    def take_drop(self, dropped: Dropped, *, onto_base: bool = False) -> None:
        """Take what was dropped on the list, or `onto_base`; a recipe in it is the window's to open."""
        self._told.answer(None)
        if self._is_locked():
            return
        self._adding.take(dropped, onto_base=onto_base)

    @Slot(object)
    def show_hover(self, dropped: Dropped | None, *, onto_base: bool = False) -> None:
        """Show where what is held above the window, or `onto_base`, would go; None for nothing."""
        base, listed = hover_texts(dropped, onto_base=onto_base) if dropped and not self._locked else ("", "")
        self.base.show_hover(base)
        self.table.show_hover(listed)

    def set_locked(self, locked: bool) -> None:
        """Let nothing be changed while a merge runs; everything stays legible, in its colours."""
        self._locked = locked
        self.base.set_locked(locked)
        self.table.set_locked(locked)
        self.sub_models_model.set_locked(locked)
        self._add_button.setEnabled(not locked)
        self.actions_.set_locked(locked)
        self._on_selection_changed()
        self._enable_k()

    def set_states(self, states: Mapping[Path, str | None]) -> None:
        """Why models are not compatible, in plain words; None for one that is; absent while not known."""
        self._known.reasons = dict(states)
        self._show_known()

    def refresh(self) -> None:
        """Read all models again: they may have changed on the disk."""
        self._reader.read(self._folders())

    def show_base(self) -> None:
        """Put the focus on the base."""
        show_focus(self.base.choose_button)

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

    def _listed(self) -> list[Path]:
        return [choice.folder for choice in self.choices()]

    def _selected_choices(self) -> list[ModelChoice]:
        return [self.choices()[row] for row in self.table.selected_rows()]

    @Slot()
    def _on_learnt(self) -> None:
        self._show_known()
        self.summaries_changed.emit()

    @Slot(object, object)
    def _on_decided(self, base: Path | None, models: Sequence[Path]) -> None:
        """Add what was found; both together are one step to be undone."""
        if self._is_locked():  # a merge began while it was looked for, or asked
            return
        if base is not None:
            self.base.set_folder(base)
            self.last_folder = base.parent
            self._reader.read_unknown([base])
        before = self.choices()
        self.add_sub_models([model for model in models if model != base])
        if base is not None and self.choices() == before:
            self._on_changed()

    @Slot()
    def _on_changed(self) -> None:
        sub_models = self.sub_models_model.sub_models
        enabled = sub_models.enabled
        self.k_box.blockSignals(True)
        self.k_box.setRange(sub_models.lowest, sub_models.highest)
        self.k_box.setValue(self.k)
        self.k_box.setSuffix(f" of {enabled}" if enabled else "")
        self._enable_k()
        self.k_box.blockSignals(False)
        self._on_selection_changed()
        self.changed.emit()

    def _is_locked(self) -> bool:
        """Whether nothing may be changed, which is said."""
        if self._locked:
            self.note_given.emit("Models can be added when the merge is done, or after Cancel")
        return self._locked

    def _enable_k(self) -> None:
        self.k_box.setEnabled(self.sub_models_model.sub_models.highest > 0 and not self._locked)

    @Slot()
    def _on_selection_changed(self) -> None:
        weighted = self.sub_models_model.weight is not None
        self.actions_.update(self.table.selected_rows(), self.choices(), weighted=weighted)
        self._told.show()

    def _show_known(self) -> None:
        self.base.show_known()
        self.sub_models_model.show_known()
        self._told.show()
