"""Which layers of which models the result is put together of: a strip, a table, what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction, QPalette
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.checkpoint.layer_stacks import find_stack
from core.methods import METHODS
from gui.document.merge_setup import MergeSetup
from gui.recipe.slices.rows import SliceRow, added, joined, moved, removed, rows_of, shifted
from gui.recipe.slices.strip import LayerStrip
from gui.recipe.slices.table_model import Column, SlicesModel
from gui.recipe.slices.table_view import SlicesView
from gui.widgets.action_button import action_button
from gui.widgets.theme import GRID, quiet_label
from gui.words import plural

__all__ = ["SlicesPanel"]


class SlicesPanel(QWidget):
    """Where a model is put together from layers.

    Attributes:
        model: the slices.
        strip: shows the layers of the result; hidden while there are no slices.
        table: shows and edits the slices, a row for each source.
        invitation: says what slices are for, while there are none.
        message_label: why what was typed is not taken.
        add_button: appends a slice; join_button a further model to a slice; whole_button takes all away.

    Signals:
        changed(): the slices changed; once for each act of the user.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers = 0
        self._at = 0
        self._most_models: int | None = None
        self.model = SlicesModel(self)
        self.strip = LayerStrip(self.model.number_of, self.model.name_of)
        self.table = SlicesView(self.model)
        self.invitation = quiet_label()
        self.message_label = quiet_label()
        self.message_label.setForegroundRole(QPalette.ColorRole.WindowText)
        self.add_button = QPushButton("Add layers")
        self.add_button.setToolTip("Take layers of a model, after those of the chosen row")
        self.join_button = QPushButton("Add model")
        self.join_button.setToolTip("Merge the same layers of another model into those of the chosen row")
        self.whole_button = QPushButton("All layers")
        self.whole_button.setToolTip("Merge all layers of every model again: take these rows away")
        self.up = self._action("Move up", "Alt+Up", lambda: self._move(-1))
        self.down = self._action("Move down", "Alt+Down", lambda: self._move(1))
        self.remove = self._action("Remove", "Del", self._remove)
        self._buttons = [
            action_button(self.remove),
            action_button(self.up, Qt.ArrowType.UpArrow),
            action_button(self.down, Qt.ArrowType.DownArrow),
        ]
        self._lay_out()
        self.add_button.clicked.connect(self._on_add)
        self.join_button.clicked.connect(self._on_join)
        self.whole_button.clicked.connect(lambda: self.model.change(()))
        self.strip.slice_chosen.connect(self._on_slice_chosen)
        self.strip.edge_dragged.connect(self._on_edge_dragged)
        self.strip.edge_dropped.connect(self._on_edge_dropped)
        self.table.selectionModel().currentRowChanged.connect(self._on_row_changed)
        self.model.modelAboutToBeReset.connect(self._remember_row)
        self.model.modelReset.connect(self._select_remembered)
        self.model.refused.connect(self._on_refused)
        self.model.found.connect(self._update)
        self.model.changed.connect(self.changed)
        self._update()

    # -- values

    def read_into(self, setup: MergeSetup) -> MergeSetup:
        return replace(setup, slices=self.model.slices)

    def apply(self, setup: MergeSetup) -> None:
        """Show the slices of `setup`; `changed` is not emitted."""
        self.message_label.clear()
        self.show_models(setup)
        self.model.set_slices(setup.slices)

    def show_models(self, setup: MergeSetup) -> None:
        """Which models there are, and how many of them a slice can take."""
        self._most_models = METHODS[setup.method].most_models
        self.model.set_models(setup)
        self._update_buttons()

    def show_tensors(self, names: Sequence[str]) -> None:
        """Which tensors the models have, by name: they say how many layers a new slice takes."""
        stack = None if self.model.slices else find_stack(names, None)
        self._layers = stack.count if stack is not None else self._layers

    def summary(self) -> str:
        """ "48 layers of 2 models"; "" where all layers are merged."""
        if not self.model.slices:
            return ""
        models = {row.model for row in self.model.rows}
        return f"{plural(self.strip.layers, 'layer')} of {plural(len(models), 'model')}"

    def focus(self, entry: int | None = None) -> None:
        """Give the focus to the slice of that number, or to what adds one."""
        if not self.model.rows:
            self.add_button.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)
        self._on_slice_chosen(entry or 0)

    @property
    def fields(self) -> list[QWidget]:
        """What can have the focus, in the order of tabs."""
        return [self.table, self.whole_button, self.add_button, self.join_button, *self._buttons]

    # -- what the user does

    @Slot()
    def _on_add(self) -> None:
        if not self.model.models:
            self._on_refused("Add a sub-model first: its layers can be taken then.")
            return
        row, slices = self._row, self.model.slices
        at = 0 if not slices else len(slices) if row is None else row.slice + 1
        models = list(self.model.models)
        self.model.try_change(lambda: added(slices, row, models, self._layers))
        self._on_slice_chosen(at)
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _on_join(self) -> None:
        row, models = self._row, self.model.models
        if row is not None and self.model.try_change(lambda: joined(self.model.slices, row, models)):
            rows = self.model.rows
            self._select(max(at for at, other in enumerate(rows) if other.slice == row.slice))
            self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _move(self, by: int) -> None:
        row = self._row
        if row is not None and 0 <= row.slice + by < len(self.model.slices):
            self.model.change(moved(self.model.slices, row, by))
            self._on_slice_chosen(row.slice + by)

    def _remove(self) -> None:
        row = self._row
        if row is None:
            return
        at = self.table.currentIndex().row()
        self.model.change(removed(self.model.slices, row))
        if self.model.rows:
            self._select(min(at, len(self.model.rows) - 1))
        else:
            self.add_button.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- inside

    @property
    def _row(self) -> SliceRow | None:
        index = self.table.currentIndex()
        return self.model.rows[index.row()] if index.isValid() else None

    @Slot()
    def _remember_row(self) -> None:
        self._at = self.table.currentIndex().row()

    @Slot()
    def _select_remembered(self) -> None:
        """What was typed into a row, or undone there, leaves it the chosen one."""
        if self._at >= 0 and self.model.rows:
            self._select(min(self._at, len(self.model.rows) - 1))

    def _select(self, row: int) -> None:
        self.table.setCurrentIndex(self.model.index(row, Column.LAYERS))

    @Slot(int)
    def _on_slice_chosen(self, slice_: int) -> None:
        found = (at for at, row in enumerate(self.model.rows) if row.slice == slice_)
        if (at := next(found, None)) is not None:
            self._select(at)

    @Slot(int, int)
    def _on_edge_dragged(self, slice_: int, by: int) -> None:
        self.strip.show_rows(rows_of(shifted(self.model.slices, slice_, by)))

    @Slot(int, int)
    def _on_edge_dropped(self, slice_: int, by: int) -> None:
        self.model.change(shifted(self.model.slices, slice_, by))
        self._on_slice_chosen(slice_)

    @Slot()
    def _on_row_changed(self) -> None:
        self._update()

    @Slot(str)
    def _on_refused(self, refusal: str) -> None:
        self.message_label.setText(refusal)

    @Slot()
    def _update(self) -> None:
        """Show what fits the slices and the current row."""
        count, row = len(self.model.slices), self._row
        self.strip.show_rows(self.model.rows)
        self.strip.set_current(row.slice if row is not None else None)
        self._update_buttons()
        self.invitation.setText(
            "All layers of every model are merged. Layers of several models, one after the other, make a "
            "deeper or a shallower one."
        )
        self.invitation.setVisible(not count)
        for widget in (self.strip, self.table, self.join_button, self.whole_button, *self._buttons):
            widget.setVisible(bool(count))
        self.table.fit()

    def _update_buttons(self) -> None:
        row, slices = self._row, self.model.slices
        self.remove.setEnabled(row is not None)
        self.up.setEnabled(row is not None and row.slice > 0)
        self.down.setEnabled(row is not None and row.slice < len(slices) - 1)
        sources = len(slices[row.slice].sources) if row is not None else 0
        is_room = self._most_models is None or sources < self._most_models
        self.join_button.setEnabled(0 < sources < len(self.model.models) and is_room)

    def _action(self, text: str, keys: str, slot: object) -> QAction:
        action = QAction(text, self)
        action.setShortcut(keys)
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda: slot())  # type: ignore[operator]
        self.table.addAction(action)
        return action

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID // 2)  # so that they fit the narrowest column
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.join_button)
        for button in self._buttons:
            button.setMinimumHeight(self.add_button.sizeHint().height())
            buttons.addWidget(button)
        buttons.addStretch(1)
        below = QHBoxLayout()
        below.setSpacing(GRID)
        below.addWidget(self.message_label, 1)
        below.addWidget(self.whole_button, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        for widget in (self.invitation, self.strip, self.table):
            layout.addWidget(widget)
        layout.addLayout(below)
        layout.addLayout(buttons)
