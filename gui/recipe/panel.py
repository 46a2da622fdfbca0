"""The recipe: method, its parameters, the seed, where the result goes, and how it is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QEvent, QModelIndex, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from core.methods import MethodSpec, ParameterValue
from gui.document.merge_setup import MergeSetup
from gui.jobs import JobKeeper
from gui.recipe.form_area import FormArea
from gui.recipe.method_box import MethodBox
from gui.recipe.method_help import HelpButton, HelpLabel
from gui.recipe.others import Others
from gui.recipe.output_field import OutputField
from gui.recipe.parameter_form import ParameterForm
from gui.recipe.precision_form import PrecisionForm
from gui.recipe.rules.panel import RulesPanel
from gui.recipe.seed_field import SeedField
from gui.recipe.slices.panel import SlicesPanel
from gui.settings import Settings
from gui.widgets.fields import (
    align_labels,
    form_layout,
    show_focus,
    side_by_side,
)
from gui.widgets.fold import Fold
from gui.widgets.plain import PlainLabel
from gui.widgets.rest import Rest
from gui.widgets.theme import GRID, heading

__all__ = ["RecipePanel"]

_LEAST_LINES = 2
"""Of fields of the method, with the seed, that are in sight however low the window is."""

_BESIDE_UNFOLDED, _UNFOLDED_LINES = 2, 6
"""Lines that the method's fields keep beside what is unfolded, and those that this has first."""


class RecipePanel(QWidget):
    """Where a merge is described. The method, its parameters, the seed and the output are always in sight;
    what most people leave alone scrolls below them.

    Attributes:
        method_box: the merge methods.
        help_label, help_button: what the chosen one does; one of the two, as there is room.
        parameters: the form of the chosen one.
        seed, output: the fields.
        others: what was opened with a recipe and has no field.
        slices_fold, slices: which layers of which models, and what opens it.
        rules_fold, rules: values for some tensors only, and what opens them.
        precision_fold, precision: what most people leave alone, and what opens it.

    Signals:
        changed(): any field changed.
        refolded(): a part was folded or unfolded by the user or by `show_field`, or has more in it.
    """

    changed = Signal()
    refolded = Signal()

    def __init__(self, jobs: JobKeeper, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._applying = False
        self._reference: Path | None = None
        self._rules_wanted = False
        self.method_box = MethodBox()
        self.help_label = HelpLabel()
        self.help_button = HelpButton()
        self.parameters = ParameterForm()
        self.seed = SeedField()
        self.output = OutputField(jobs)
        self.others = Others()
        self.rules = RulesPanel(self.method, self.parameters.values)
        self.rules_fold = Fold(
            "Rules by layer", "Show or hide values that only some tensors have", self.rules
        )
        self.slices = SlicesPanel()
        self.slices_fold = Fold(
            "Layers", "Show or hide which layers of which models the result is made of", self.slices
        )
        self.precision = PrecisionForm(jobs)
        self.precision_fold = Fold(
            "Precision and device",
            "Show or hide zero tolerance, types, tokens, device, threads and file size",
            self.precision,
        )
        self._lay_out()
        self._show_method()
        self.precision.apply(
            replace(
                MergeSetup(self.method.name, None, (), 0),
                device=settings.device,
                threads=settings.threads,
                shard_size_bytes=settings.shard_size_bytes,
            )
        )
        self._show_summaries()
        self.precision_fold.unfold(settings.recipe_unfolded)
        self.method_box.currentIndexChanged.connect(self._on_method_changed)
        self.others.forgotten.connect(self._on_changed)
        self.precision_fold.toggled.connect(self._on_precision_toggled)
        self.slices_fold.toggled.connect(self._on_slices_toggled)
        self.slices.model.modelReset.connect(self._on_slices_counted)
        self.rules_fold.toggled.connect(self._on_rules_toggled)
        self.rules.found.connect(self._show_summaries)
        self.rules.table.selectionModel().currentChanged.connect(self._on_rule_chosen)
        rules = self.rules.model
        for counted in (rules.rowsInserted, rules.rowsRemoved, rules.modelReset):
            counted.connect(self._on_rules_counted)
        self.parameters.reshaped.connect(self._on_reshaped)
        self.parameters.method_wanted.connect(self._on_method_wanted)
        for part in (self.parameters, self.seed, self.output, self.slices, self.rules, self.precision):
            part.changed.connect(self._on_changed)

    # -- values

    @property
    def method(self) -> MethodSpec:
        return self.method_box.method

    @property
    def output_field(self) -> QLineEdit:
        return self.output.edit

    @property
    def is_sliced(self) -> bool:
        """Whether the result is put together from layers."""
        return bool(self.slices.model.slices)

    def read_into(self, setup: MergeSetup) -> MergeSetup:
        """`setup` with what the fields say."""
        return replace(
            self.slices.read_into(
                self.rules.read_into(self.precision.read_into(self.others.read_into(setup)))
            ),
            method=self.method.name,
            parameters=self.parameters.values(),
            seed=self.seed.seed,
            out=self.output.folder,
            overwrite=self.output.overwrite,
            unread={
                **self.parameters.unread(),
                **(self.seed.unread() if self._draws else {}),
                **self.precision.unread(),
                **self.rules.unread(),
            },
        )

    def apply(self, setup: MergeSetup) -> None:
        """Set every field; `changed` is emitted once, at the end. Rules that come with a recipe are shown."""
        self._applying = True
        self.method_box.choose(setup.method)
        self.parameters.set_values(setup.parameters, setup.unread)
        self.show_models(setup)
        had_rules = bool(self.rules.model.rows)
        self.rules.apply(setup)
        if bool(self.rules.model.rows) != had_rules and not self._rules_wanted:
            self.rules_fold.unfold(not had_rules)
            self._on_refolded(None)
        if (had_slices := bool(self.slices.model.slices)) != bool(setup.slices):
            self.slices_fold.unfold(not had_slices)
            self._scrolled.verticalScrollBar().setValue(0)  # where they begin
            self._on_refolded(None)
        self.slices.apply(setup)
        self.others.apply(setup)
        self.seed.set_seed(setup.seed, setup.unread.get("seed"))
        self.output.set_folder(setup.out)
        self.output.set_overwrite(setup.out if setup.overwrite else "")
        self.precision.apply(setup)
        self._applying = False
        self._on_changed()

    def show_models(self, setup: MergeSetup) -> None:
        """Which sub-models there are; to be called whenever anything changes that the fields say."""
        if (reference := _reference(setup)) != self._reference:
            self._reference = reference
            self.rules.show_tensors(())
        self.rules.show_models(setup)
        self.slices.show_models(setup)
        self.parameters.show_ruled(setup.ruled_out)

    def show_tensors(self, names: Sequence[str]) -> None:
        """Which tensors are merged, by name, for the rules.

        Args:
            names: none where that was not found out this time: the last ones count until the base changes.
        """
        if names:
            self.rules.show_tensors(names)
            self.slices.show_tensors(names)

    def set_seed(self, seed: int) -> None:
        self.seed.set_seed(seed)

    @Slot(int)
    def set_resamples(self, n: int) -> None:
        """Draw `n` more times where a delta is zero, if that is something the method does."""
        draws = self.method.draws
        if draws is not None and draws.resamples is not None:
            self.parameters.set_value(draws.resamples, n)

    def forget_values(self) -> None:
        """What the fields of other methods said belongs to another recipe."""
        self.parameters.forget()

    def suggest_output(self, out: Path, *, insist: bool = False) -> None:
        """Fill in an output folder, unless the user has typed one (`insist`: even then)."""
        self.output.suggest(out, insist=insist)

    def show_field(self, target: str) -> bool:
        """Give the focus to the field named `target` as in MergeSetup or the method. Whether there is one."""
        if target == "rules":
            if self.rules_fold.isHidden():
                return False
            if not self.rules_fold.unfolded:
                self.rules_fold.unfold(True)
                self._on_rules_toggled(True)
            self.rules.focus()
            return True
        if target == "slices":
            if not self.slices_fold.unfolded:
                self.slices_fold.unfold(True)
                self._on_slices_toggled(True)
            self.slices.focus()
            return True
        if target in self.precision.fields and not self.precision_fold.unfolded:
            self.precision_fold.unfold(True)
            self._on_precision_toggled(True)
        fields: dict[str, QWidget] = {
            "method": self.method_box,
            "out": self.output.edit,
            **({"seed": self.seed.edit} if self._draws else {}),
            **self.others.fields,
            **self.parameters.fields,
            **self.precision.fields,
        }
        if target not in fields or fields[target].isHidden():
            return False
        show_focus(fields[target])
        return True

    # -- inside

    @property
    def _draws(self) -> bool:
        """Whether anything is drawn, as the fields say."""
        return MergeSetup(self.method.name, None, (), 0, self.parameters.values()).draws

    def _show_method(self) -> None:
        self.parameters.set_method(self.method)
        self.help_label.show_method(self.method)
        self.help_button.show_method(self.method)
        self._below.setRowVisible(self.seed, self.method.draws is not None)
        self._keep_height()
        self.rules.set_method(self.method)
        self.rules_fold.setVisible(bool(self.rules.model.parameters()))
        self._align()
        self._set_order_of_tabs()

    @Slot()
    def _on_changed(self) -> None:
        if self._applying:
            return
        self.others.take_vocab(self.precision.vocab.currentData())
        machine = self.precision.read_into(MergeSetup("", None, (), 0))
        self._settings.device = machine.device
        self._settings.threads = machine.threads
        self._settings.shard_size_bytes = machine.shard_size_bytes
        self._show_summaries()
        self.changed.emit()

    @Slot()
    def _on_method_changed(self) -> None:
        self._show_method()
        self._on_changed()

    @Slot(str, object)
    def _on_method_wanted(self, name: str, values: Mapping[str, ParameterValue]) -> None:
        """The same by another method; one step to be undone."""
        self._applying = True
        self.method_box.choose(name)
        self.parameters.set_values(values)
        self._applying = False
        self._on_changed()

    @Slot()
    def _on_reshaped(self) -> None:
        """There are more fields, or fewer, than before."""
        self._keep_height()
        self._align()
        self._on_refolded(None)

    @Slot(bool)
    def _on_precision_toggled(self, unfolded: bool) -> None:
        self._settings.recipe_unfolded = unfolded
        self._on_refolded(self.precision if unfolded else None)

    @Slot(bool)
    def _on_slices_toggled(self, unfolded: bool) -> None:
        self._on_refolded(self.slices if unfolded else None)

    @Slot()
    def _on_slices_counted(self) -> None:
        if self.slices_fold.unfolded:
            self._on_refolded(None)

    @Slot(bool)
    def _on_rules_toggled(self, unfolded: bool) -> None:
        self._rules_wanted = unfolded
        self._on_refolded(self.rules if unfolded else None)

    def _on_refolded(self, part: QWidget | None) -> None:
        """`part` was unfolded; None after folding one."""
        # Qt lays out what has become visible when it comes back to its events.
        QTimer.singleShot(0, self, lambda: self._on_laid_out(part))

    def _on_laid_out(self, part: QWidget | None = None) -> None:
        self._share()
        self._scrolled.updateGeometry()
        self.refolded.emit()
        if part is not None:
            folds = {self.rules: self.rules_fold, self.slices: self.slices_fold}
            self._scrolled.show_from_top(folds.get(part, self.precision_fold))

    @Slot()
    def _on_rules_counted(self) -> None:
        """There are more rules, or fewer, than before."""
        if self.rules_fold.unfolded:
            self._on_refolded(None)

    @Slot(QModelIndex)
    def _on_rule_chosen(self, index: QModelIndex) -> None:
        """Scroll to the rule at `index`: its table is as high as all of them and scrolls nothing."""
        table = self.rules.table
        self.rules.layout().activate()  # type: ignore[union-attr]
        place = table.visualRect(index)
        at = table.viewport().mapTo(self._scrolled.content, place.center())
        self._scrolled.ensureVisible(at.x(), at.y(), 0, place.height())

    @Slot()
    def _show_summaries(self) -> None:
        self.seed.setEnabled(self._draws)
        self.slices_fold.set_summary(self.slices.summary())
        self.rules_fold.set_summary(self.rules.summary())
        self.precision_fold.set_summary(self.precision.summary())

    # -- layout

    def set_room(self, *, spacing: int, headings: bool, help_lines: bool) -> None:
        """How much room there is.

        Args:
            spacing: between the fields, in pixels.
            headings: whether there is any for the heading.
            help_lines: whether what the method does can be said in the form.
        """
        self._heading.setVisible(headings)
        self.help_label.setVisible(help_lines)
        self.help_button.setVisible(not help_lines)
        for layout in (self._lines, self._above, self.parameters.form, self._below):
            layout.setSpacing(spacing)
        self._above.setHorizontalSpacing(2 * GRID)
        self._below.setHorizontalSpacing(2 * GRID)
        self.parameters.form.setHorizontalSpacing(GRID)
        self._keep_height()

    def _lay_out(self) -> None:
        above, below = QWidget(), QWidget()
        self._above, self._below = form_layout(above), form_layout(below)
        method = QVBoxLayout()
        method.setSpacing(GRID // 2)
        method.addLayout(side_by_side(self.method_box, self.help_button))
        method.addWidget(self.help_label)
        self._above.addRow(_label("Me&thod", self.method_box), method)
        self._below.addRow(_label("&Seed", self.seed.edit), self.seed)
        self._below.addRow(_label("O&utput", self.output.edit), self.output)
        rest = QWidget()
        column = QVBoxLayout(rest)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        column.addWidget(self.others)
        for fold in (self.slices_fold, self.rules_fold, self.precision_fold):
            column.addWidget(fold)
        column.addStretch(1)
        self._scrolled = Rest(rest)
        self._heading = heading("Recipe")
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._form = FormArea(self.parameters)
        for widget in (self._heading, above, self._form, below):
            self._lines.addWidget(widget)
        self._lines.addWidget(self._scrolled, 1)
        self.set_room(spacing=GRID, headings=True, help_lines=True)

    def _keep_height(self) -> None:
        """Have the panel take the same room for every method: what a method has fewer lines than are kept for
        them, what scrolls has more; and the fields of one that has more lines scroll in a low window."""
        spacing = self._lines.spacing()
        row = self.method_box.sizeHint().height() + spacing
        kept = _LEAST_LINES - int(self.method.draws is not None)
        self._form.setVisible(bool(self.parameters.fields))
        self._form.set_least(min(self.parameters.lines, kept) * row - spacing)
        used = -spacing if self._form.isHidden() else self._form.least_height()
        spare = kept * row - used if self.parameters.lines < kept else 0
        self._scrolled.setMinimumHeight(self._scrolled.least_height() + spare)
        self._share()

    def _share(self) -> None:
        """Leave some room for what is unfolded, also beside a form of many lines."""
        folds = (self.slices_fold, self.rules_fold, self.precision_fold)
        row = self.method_box.sizeHint().height() + self._lines.spacing()
        both = self._form.height() + self._scrolled.height()
        most = max(_BESIDE_UNFOLDED * row, both - _UNFOLDED_LINES * row)
        self._form.set_most(most if any(fold.unfolded for fold in folds) else None)

    def _align(self) -> None:
        width = align_labels([self._above, self._below, self.precision.form], self.parameters.left_labels)
        self.parameters.form.setColumnMinimumWidth(0, width + GRID)  # as far from the fields as in the others

    def _set_order_of_tabs(self) -> None:
        order: list[QWidget] = [
            self.method_box,
            self.help_button,
            self.help_label,
            *self.parameters.fields.values(),
            self.parameters.choices.button,
            self.seed.edit,
            self.seed.dice_button,
            self.seed.copy_button,
            self.output.edit,
            self.output.choose_button,
            self.others.forget_button,
            self.slices_fold.button,
            *self.slices.fields,
            self.rules_fold.button,
            *self.rules.fields,
            self.precision_fold.button,
            *self.precision.fields.values(),
        ]
        for before, after in pairwise(order):
            QWidget.setTabOrder(before, after)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._align()


def _reference(setup: MergeSetup) -> Path | None:
    """The model whose tensors are the result's."""
    if setup.base is not None:
        return setup.base
    return setup.taking_part[0].folder if setup.taking_part else None


def _label(text: str, field: QWidget) -> QLabel:
    label = PlainLabel(text)
    label.setBuddy(field)
    return label
