"""The map of layers and kinds of modules, coloured by the share of zero deltas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from core.deltas.findings import Findings, Part
from core.text import one_line
from core.units import share_text
from gui.pictures.left_out import LEFT_OUT, ZERO_DELTAS, What, left_out_table, text_of_left_out
from gui.pictures.picture import Picture, choice
from gui.pictures.scales import share_scale
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import capital, estimate_text, nothing_there, parameters_text
from gui.widgets.chips import model_chip

__all__ = ["ZeroDeltasPicture"]

_MEAN, _SPREAD = range(2)
_FIRST_MODEL = 2

_LEAST_SPAN = 20.0
"""Percentage points between the ends of the scale: 78 and 80 % look alike."""

Cell = tuple[int, int]


class ZeroDeltasPicture(Picture):
    """Layers from left to right, kinds of modules from top to bottom; the colour is the share of zero deltas.

    After a merge that has dropped changes, or elected a sign, it can be the share of these.

    Attributes:
        plot: the map.
        what_field: zero deltas, or what a merge left out; hidden where there is nothing to choose.
        show_field: the mean over the sub-models, their spread, or one of them.
    """

    file_name = "zero-deltas"
    title = "What fine-tuning left as it was"

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self._overview = _MEAN
        self.show_field = choice("Which sub-models are shown", ["Mean of all", "Spread"])
        self._offered = [ZERO_DELTAS]
        self.what_field = choice("What is shown", [ZERO_DELTAS.label])
        self.what_field.hide()
        self.what_field.activated.connect(self.refresh)
        self.controls.addWidget(self.what_field)
        self.controls.addWidget(self.show_field)
        self.show_field.activated.connect(self._on_show_chosen)

    def build(self) -> None:
        from gui.pictures.heat_map import HeatMap

        self.plot = HeatMap("Share of zero deltas by layer and kind of module", "Layer")
        self.fill(self.plot)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self.selection.clear)

    def draw(self) -> None:
        findings = self.findings
        if findings is None or not findings.grid.columns:
            self.say("There are no models to look at yet.")
            return
        self.say("")
        self._offer_what(findings)
        self._offer_models(findings)
        self.set_title(self._what.title)
        percent = self._percent(findings)
        spread = self._shows_spread
        colours = "cividis" if spread else "viridis"
        scale = share_scale(percent, self._unit(), colours, least=_LEAST_SPAN, falling=not spread)
        grid = findings.grid
        self.plot.show_cells(percent, [column.label for column in grid.columns], grid.kinds, scale)
        self.plot.select(self.selection.value.column, self.selection.value.kind)
        self.explanation.setText(self._explanation(findings))
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None:
            return []
        models = [text for model in findings.models for text in (model, f"{model} error")]
        headings = ["layer", "kind", "parameters", "looked at", "mean", "mean error", *models]
        rows = []
        for column, kind in sorted(findings.counts):
            each = zip(
                findings.zero_delta.value[column, kind], findings.zero_delta.error[column, kind], strict=True
            )
            rows.append(
                [
                    findings.grid.columns[column].label,
                    findings.grid.kinds[kind],
                    findings.parameters[column, kind],
                    findings.counts[column, kind].elements,
                    findings.mean_zero_delta.value[column, kind],
                    findings.mean_zero_delta.error[column, kind],
                    *(number for pair in each for number in pair),
                ]
            )
        tables = [Table(self.file_name, headings, rows)] if rows else []
        if findings.left_out:
            tables.append(left_out_table(f"{self.file_name}-left-out", findings))
        return tables

    def reset_view(self) -> None:
        self.plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()

    def text_of_cell(self, column: int, kind: int) -> str:
        """What is known of a cell, in a sentence."""
        findings = self.findings
        assert findings is not None
        if self._what is not ZERO_DELTAS:
            return self._left_out_text(findings.part(column, kind))
        place = capital(findings.grid.place(column, kind))
        counts = findings.counts.get((column, kind))
        if counts is None or not counts.parameters:
            return nothing_there(findings.part(column, kind))
        mean, each = counts.mean_zero_delta, counts.zero_delta
        share = estimate_text(float(mean.value), float(mean.error), exact=counts.exact)
        text = f"{place}: {share} zero deltas"
        model = self.selection.value.model
        if model is not None:
            own = estimate_text(float(each.value[model]), float(each.error[model]), exact=counts.exact)
            text += f", {own} in {findings.models[model]}"
        if len(each.value) > 1:
            low, high = share_text(float(each.value.min())), share_text(float(each.value.max()))
            text += f", {low} to {high} in the sub-models"
        return f"{text}; {parameters_text(counts.parameters)}"

    # -- inside

    def _left_out_text(self, part: Part) -> str:
        """What a merge left out of some tensors, in a sentence."""
        if part.left_out is None:
            return f"{capital(part.place)}: not merged yet" if part.tensors else nothing_there(part)
        assert self.findings is not None
        return text_of_left_out(self._what, part, self.findings.models, self.selection.value.model)

    @property
    def _shows_spread(self) -> bool:
        return self.selection.value.model is None and self._overview == _SPREAD

    def _percent(self, findings: Findings) -> NDArray[np.float64]:
        model, name = self.selection.value.model, self._what.name
        each = 100 * (findings.left_out_share(name) if name else findings.zero_delta.value)
        if model is not None:
            shown: NDArray[np.float64] = each[..., model]
        elif self._overview == _SPREAD:
            shown = each.max(axis=-1) - each.min(axis=-1)
        else:
            shown = each.mean(axis=-1) if name else 100 * findings.mean_zero_delta.value
        return shown

    def _unit(self) -> str:
        return "percentage points" if self._shows_spread else self._what.unit

    def _explanation(self, findings: Findings) -> str:
        model, what = self.selection.value.model, self._what
        shown = what.sentence.format(self.shown.merge)
        if model is not None:
            return f"{shown}{',' if what.name else ''} of {findings.models[model]}. {what.bright}"
        if self._overview == _SPREAD:
            most = "zero deltas" if what is ZERO_DELTAS else "of these"
            how = "How" if what is ZERO_DELTAS else f"{shown}: how"
            return f"{how} far apart the sub-models with the most and the fewest {most} are. Bright: far."
        return f"{shown}, mean of all sub-models. {what.bright}"

    @property
    def _what(self) -> What:
        """What is shown."""
        return self._offered[max(self.what_field.currentIndex(), 0)]

    def _offer_what(self, findings: Findings) -> None:
        """Zero deltas, and what a merge has left out."""
        total = findings.part().left_out
        found = [what for what in LEFT_OUT if total is not None and getattr(total, what.name) is not None]
        offered = [*([ZERO_DELTAS] if findings.counts or not found else []), *found]
        if offered != self._offered:
            before, self._offered = self._what, offered
            self.what_field.clear()
            self.what_field.addItems([what.label for what in self._offered])
            self.what_field.setCurrentIndex(self._offered.index(before) if before in self._offered else 0)
            self.what_field.setVisible(len(offered) > 1)

    def _offer_models(self, findings: Findings) -> None:
        field = self.show_field
        offered = [field.itemText(at) for at in range(_FIRST_MODEL, field.count())]
        names = [one_line(name) for name in findings.models]
        if offered != names:
            while field.count() > _FIRST_MODEL:
                field.removeItem(field.count() - 1)
            field.addItems(names)
        for number in range(len(names)):
            field.setItemIcon(_FIRST_MODEL + number, model_chip(number))  # its colour depends on the theme
        model = self.selection.value.model
        field.setCurrentIndex(self._overview if model is None else _FIRST_MODEL + model)

    @Slot(int)
    def _on_show_chosen(self, index: int) -> None:
        if index < _FIRST_MODEL:
            self._overview = index
        self.selection.select(model=None if index < _FIRST_MODEL else index - _FIRST_MODEL)
        self.refresh()

    @Slot(object)
    def _on_pointed(self, cell: Cell | None) -> None:
        """Say what is under the pointer, or else what is selected, or else the total."""
        findings, selected = self.findings, self.selection.value
        if findings is None or not findings.grid.columns:
            return
        if cell is None and selected.column is not None and selected.kind is not None:
            cell = selected.column, selected.kind
        if cell is not None:
            self.read(self.text_of_cell(*cell))
            return
        part = findings.part(selected.column, selected.kind)
        if self._what is not ZERO_DELTAS:
            self.read(self._left_out_text(part))
            return
        if part.counts is None or not part.counts.parameters:
            self.read(nothing_there(part))
            return
        mean = part.counts.mean_zero_delta
        share = estimate_text(float(mean.value), float(mean.error), exact=part.counts.exact)
        self.read(f"{capital(part.place)}: {share} zero deltas; {parameters_text(part.counts.parameters)}")

    @Slot(object)
    def _on_chosen(self, cell: Cell) -> None:
        findings = self.findings
        if findings is not None and cell in findings.grid.tensors:
            self.selection.select(column=cell[0], kind=cell[1])
