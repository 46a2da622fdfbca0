"""Two runs beside each other: the difference of their maps, and how many elements of their outputs differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from core import Progress
from core.runs.difference import RunDifference
from core.runs.history import HistoryEntry
from gui.failure import Failure
from gui.pictures.picture import Picture, choice
from gui.pictures.run_fields import RunFields
from gui.pictures.run_texts import (
    nothing_text,
    of_text,
    only_elements,
    short_names,
    total_text,
)
from gui.pictures.scales import difference_scale, share_scale
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import capital
from gui.widgets.paths import short_paths
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID

__all__ = ["ComparisonPicture"]

_ELEMENTS, _DRAWS = "Elements that differ", "Resampling, by layer"
_NEEDS_TWO = "Merge twice, with something changed: here you see what that did."
_CHOOSE = "Choose two runs and press Compare."
_READING = "Reading the records…"
_SAME = "Choose two different runs."
_LATER = "Press Compare as soon as the merge is done."


class ComparisonPicture(Picture):
    """Two runs of the history, and a map of what is different.

    Attributes:
        left_field, right_field: the runs. compare_button: begins, or stops counting elements.
        map_field: what is compared.
        plot: the map.

    Signals:
        compare_requested(object, object): two HistoryEntries are to be compared.
        stop_requested(): the elements are not to be counted any more.
    """

    file_name = "comparison"
    title = "What another run changed"
    needs_models = False

    compare_requested = Signal(object, object)
    stop_requested = Signal()

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self._entries: tuple[HistoryEntry, ...] = ()
        self._names: dict[Path, str] = {}
        self._compared: tuple[HistoryEntry, HistoryEntry] | None = None
        self._difference: RunDifference | None = None
        self._state = ""
        self._running = False
        self._picked = False
        self._merging = False
        self.map_field = choice("What is compared", [_ELEMENTS])
        self.map_field.setMaximumWidth(45 * GRID)  # the name of a sub-model may be of any length
        self.controls.addWidget(self.map_field)
        self.compare_button = QPushButton("Compare")
        self._runs = RunFields(self.compare_button)
        self.left_field, self.right_field = self._runs.both
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, self._runs)
        self.map_field.activated.connect(self.refresh)
        for field in self._runs.both:
            field.activated.connect(self._on_picked)
        self.compare_button.clicked.connect(self._on_compare)

    def build(self) -> None:
        from gui.pictures.heat_map import HeatMap

        self.plot = HeatMap("Difference of two runs by layer and kind of module", "Layer")
        self.fill(self.plot)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self.selection.clear)

    @property
    def in_use(self) -> bool:
        """Whether runs are being compared, or were."""
        return self._running or self._difference is not None

    @property
    def source(self) -> str:
        """The runs are named in the picture itself."""
        return ""

    # -- what the window tells

    def set_runs(self, entries: Sequence[HistoryEntry]) -> None:
        """Offer other runs: finished ones whose output is still there, newest first."""
        chosen = [field.currentData() if self._picked else None for field in self._runs.both]
        self._entries = tuple(entries)
        names = self._names = short_paths(entry.out for entry in entries)
        self._runs.set_runs(entries, names)
        found = [field.findData(wanted) for field, wanted in zip(self._runs.both, chosen, strict=True)]
        for side, field in enumerate(self._runs.both):
            if found[side] < 0:  # a run that has gone gives way to one that is not on the other side
                others = (*range(side, len(entries)), *range(min(side, len(entries))))
                free = (at for at in others if at != found[1 - side])
                found[side] = next(free, -1 if side or not entries else 0)
            field.setCurrentIndex(found[side])
        self._on_other_runs()

    def compare(self, left: HistoryEntry, right: HistoryEntry) -> None:
        """Compare `left` with `right` at once; while a merge runs they are chosen only."""
        for field, entry in zip(self._runs.both, (left, right), strict=True):
            field.setCurrentIndex(field.findData(entry.id))
        self._picked = True
        self._on_other_runs()
        chosen = self._chosen
        if self._merging:
            self._state = _LATER
        elif chosen is not None:
            self._begin(chosen)
        self.refresh()

    def set_merging(self, merging: bool) -> None:
        """While a merge runs nothing else reads the disk."""
        self._merging = merging
        self._update_button()

    @Slot(object)
    def show_difference(self, difference: RunDifference) -> None:
        if self._compared is None:  # other runs were chosen meanwhile
            return
        self._difference = difference
        self._state = "Counting elements…" if difference.elements is None else ""
        maps = [_ELEMENTS, *difference.maps, *([_DRAWS] if difference.draws is not None else [])]
        if [self.map_field.itemText(at) for at in range(self.map_field.count())] != maps:
            chosen = self.map_field.currentText()
            self.map_field.clear()
            self.map_field.addItems(maps)
            self.map_field.setCurrentIndex(maps.index(chosen) if chosen in maps else 0)
        self.refresh()

    @Slot(object)
    def show_progress(self, progress: Progress) -> None:
        if self._compared is None:
            return
        self._state = f"Counting elements: {int(100 * progress.fraction)} %"
        if self.sentence.startswith("Counting"):
            self.say(self._state)
        self._on_pointed(None)

    @Slot(object)
    def show_failure(self, failure: Failure) -> None:
        if self._compared is None:
            return
        self._state = f"{failure.message} {failure.hint or ''}".strip()
        self.refresh()

    @Slot()
    def show_end(self) -> None:
        self._running = False
        if self._state.startswith("Counting"):
            self._state = "The elements were not counted."
        elif self._difference is None and self._state == _READING:
            self._state = ""
        self._update_button()
        self.refresh()

    # -- the picture

    def draw(self) -> None:
        self._update_button()
        self.map_field.setToolTip(tool_tip(f"What is compared: {self.map_field.currentText()}"))
        difference = self._difference
        if difference is None or self._compared is None:
            self._show_between()
            same = self.left_field.currentData() == self.right_field.currentData()
            self.say(self._state or (_NEEDS_TWO if len(self._entries) < 2 else _SAME if same else _CHOOSE))
            return
        nothing = self._nothing_text(difference)
        if nothing:
            self._show_between()
            self.say(nothing)
            return
        self.say("")
        values, shares = self._values(difference)
        shown = 100 * values
        scale = share_scale(shown, "% differ") if shares else difference_scale(shown, "percentage points")
        labels = [column.label for column in difference.grid.columns]
        self.plot.show_cells(shown, labels, self._rows(difference), scale)
        column, kind = self._selected(difference)
        self.plot.select(column, None if self._shows_draws else kind)
        one, other = short_names(*self._compared, self._names)
        self._show_between()
        self.explanation.setText(
            f"Share of elements that differ between {one} and {other}.{only_elements(*self._compared)}"
            if shares
            else f"{self.map_field.currentText()}: {one} minus {other}. Orange: more in {one}."
        )
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        difference = self._difference
        if difference is None:
            return []
        grid = difference.grid
        rows = [
            [
                grid.columns[column].label,
                grid.kinds[kind],
                None if difference.elements is None else difference.elements[column, kind],
                None if difference.differ is None else difference.differ[column, kind],
                *(values[column, kind] for values in difference.maps.values()),
            ]
            for column, kind in grid.tensors
        ]
        headings = ["layer", "kind", "elements compared", "elements that differ"]
        tables = [Table(self.file_name, [*headings, *difference.maps], rows)]
        if difference.draws is not None:
            labels = (column.label for column in grid.columns)
            tables.append(
                Table(
                    f"{self.file_name}-resampling",
                    ["layer", "n", "left on a zero delta"],
                    [
                        [label, n, left]
                        for label, lefts in zip(labels, difference.draws, strict=True)
                        for n, left in enumerate(lefts)
                    ],
                )
            )
        return tables

    def set_printing(self, printing: bool) -> None:
        self._runs.setVisible(not printing)  # the explanation names them
        super().set_printing(printing)

    def reset_view(self) -> None:
        self.plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()

    # -- inside

    def _nothing_text(self, difference: RunDifference) -> str:
        """What to say in the place of a map that would be empty; "" where it is not."""
        values, shares = self._values(difference)
        if np.isfinite(values).any() or self._compared is None:
            return ""
        if shares and difference.elements is None and not difference.unlike:
            return self._state
        return nothing_text(difference, *self._compared, self._names)

    def _show_between(self) -> None:
        """ "minus" only where one run is subtracted from the other."""
        difference = self._difference
        shares = difference is None or difference.unlike or self._values(difference)[1]
        self._runs.show_subtracted(not shares)

    @property
    def _shows_draws(self) -> bool:
        return self.map_field.currentText() == _DRAWS

    def _values(self, difference: RunDifference) -> tuple[NDArray[np.float64], bool]:
        """The map that is chosen, NaN where it is not known, and whether it is one of shares."""
        name = self.map_field.currentText()
        if self._shows_draws and difference.draws is not None:
            return difference.draws, False
        if name in difference.maps:
            return difference.maps[name], False
        return difference.share, True

    def _rows(self, difference: RunDifference) -> Sequence[str]:
        if self._shows_draws and difference.draws is not None:
            return [f"n = {n}" for n in range(difference.draws.shape[1])]
        return difference.grid.kinds

    def _selected(self, difference: RunDifference) -> tuple[int | None, int | None]:
        """Where what is selected in the other pictures stands here; they may be of other models."""
        findings, selected = self.findings, self.selection.value
        if findings is None:
            return None, None
        column = kind = None
        if selected.column is not None:
            wanted = findings.grid.columns[selected.column]
            column = next((at for at, one in enumerate(difference.grid.columns) if one == wanted), None)
        if selected.kind is not None and findings.grid.kinds[selected.kind] in difference.grid.kinds:
            kind = difference.grid.kinds.index(findings.grid.kinds[selected.kind])
        return column, kind

    @Slot(object)
    def _on_chosen(self, cell: tuple[int, int]) -> None:
        findings, difference = self.findings, self._difference
        if difference is None:
            return
        column = difference.grid.columns[cell[0]]
        chosen = {}
        if findings is not None and column in findings.grid.columns:
            chosen["column"] = findings.grid.columns.index(column)
        if findings is not None and not self._shows_draws:
            kind = difference.grid.kinds[cell[1]]
            if kind in findings.grid.kinds:
                chosen["kind"] = findings.grid.kinds.index(kind)
        self.selection.select(**chosen)
        self.plot.select(*cell)  # also where it is no part of the models that are open
        self._on_pointed(cell)

    @Slot(object)
    def _on_pointed(self, cell: tuple[int, int] | None) -> None:
        difference = self._difference
        if difference is None or self.sentence:
            return
        self.read(self._text_of(difference, *cell) if cell else self._state or total_text(difference))

    def _text_of(self, difference: RunDifference, column: int, row: int) -> str:
        values, shares = self._values(difference)
        points = f"{100 * values[column, row]:+.2f} percentage points".replace("-", "−")
        if self._shows_draws:
            place = f"{capital(difference.grid.place(column, None))}, n = {row}"
            return f"{place}: {points if np.isfinite(values[column, row]) else 'nothing compared'}"
        texts = [] if shares or not np.isfinite(values[column, row]) else [points]
        if difference.elements is not None and difference.differ is not None:
            elements, differ = int(difference.elements[column, row]), int(difference.differ[column, row])
            layer = int(difference.differ[column].sum()), int(difference.elements[column].sum())
            if elements:
                texts.append(f"{of_text(differ, elements)} elements differ")
                texts.append(f"{of_text(*layer)} in this layer")
        return f"{capital(difference.grid.place(column, row))}: {', '.join(texts) or 'nothing compared'}"

    @property
    def _chosen(self) -> tuple[HistoryEntry, HistoryEntry] | None:
        """Two different runs; None where there are none."""
        by_id = {entry.id: entry for entry in self._entries}
        left, right = (by_id.get(field.currentData()) for field in self._runs.both)
        return (left, right) if left is not None and right is not None and left.id != right.id else None

    @Slot()
    def _on_picked(self) -> None:
        """From now on newer runs do not take the place of those that are chosen."""
        self._picked = True
        self._on_other_runs()

    def _on_other_runs(self) -> None:
        """A picture of runs that are not chosen any more goes."""
        chosen, compared = self._chosen, self._compared
        if compared is not None and (
            chosen is None or [run.id for run in chosen] != [run.id for run in compared]
        ):
            self._compared = self._difference = None
            self._state = ""
            if self._running:
                self.stop_requested.emit()
        self._update_button()
        self.refresh()

    @Slot()
    def _on_compare(self) -> None:
        if self._running:
            self.stop_requested.emit()
            return
        chosen = self._chosen
        if chosen is None:
            return
        self._begin(chosen)

    def _begin(self, chosen: tuple[HistoryEntry, HistoryEntry]) -> None:
        self._compared, self._picked = chosen, True
        self._difference, self._running, self._state = None, True, _READING
        self._update_button()
        self.refresh()
        self.compare_requested.emit(*chosen)

    def _update_button(self) -> None:
        self.compare_button.setText("Stop" if self._running else "Compare")
        self.compare_button.setEnabled(self._running or (self._chosen is not None and not self._merging))
        self.compare_button.setToolTip(
            "As soon as the merge is done" if self._merging else "Show what differs between the two runs"
        )
        self._runs.update_tool_tips()
