"""What resampling does and would do: the share left on a zero delta, and where that levels off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedLayout, QVBoxLayout, QWidget

from core.deltas.advice import advice_on_n
from core.deltas.findings import Findings, MergeName, Part
from core.deltas.measures import flattens_at
from core.units import share_text
from gui.pictures.picture import Picture, choice
from gui.pictures.scales import difference_scale, share_scale
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import (
    capital,
    drawing_method,
    draws_no_model,
    merged_text,
    nothing_there,
    text_of_draw,
)

__all__ = ["ResamplingPicture"]

_CURVE, _LAYERS, _DIFFERENCE = range(3)

_NOT_YET = "The curve is there as soon as the models were looked at."

Floats = NDArray[np.float64]


class ResamplingPicture(Picture):
    """The curve over n, expected and counted, with advice on n; or a map of it, layer by layer.

    Attributes:
        view_field: the curve, the map, or the map of what was counted beyond the expected.
        plot: the curve. layers_plot: the map.
        use_button: takes over the n where the curve levels off.

    Signals:
        resamples_requested(int): this n is wanted in the recipe.
    """

    file_name = "resampling"
    title = "What resampling brings"

    resamples_requested = Signal(int)

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self._n: int | None = None
        self._without = ""
        self._flat: int | None = None
        self._at: int | None = None
        self.view_field = choice("How it is shown", ["Curve", "By layer", "Counted − expected"])
        self.use_button = QPushButton("Use this n")
        self.use_button.hide()
        self.controls.addWidget(self.view_field)
        advice = QHBoxLayout()
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.removeWidget(self.read_out)
        advice.addWidget(self.read_out, 1)
        advice.addWidget(self.use_button)
        layout.insertLayout(layout.indexOf(self._source), advice)
        self.view_field.activated.connect(self.refresh)
        self.use_button.clicked.connect(self._on_use)

    def build(self) -> None:
        from gui.pictures.draws_plot import DrawsPlot
        from gui.pictures.heat_map import HeatMap

        self.plot = DrawsPlot()
        self.layers_plot = HeatMap("Share left on a zero delta by layer and n", "Layer")
        self._views = QStackedLayout(self.body)
        self._views.addWidget(self.plot)
        self._views.addWidget(self.layers_plot)
        self.plot.pointed.connect(self._on_draw_pointed)
        self.plot.chosen.connect(self._on_draw_pointed)
        self.plot.cleared.connect(self._on_cleared)
        self.layers_plot.pointed.connect(self._on_pointed)
        self.layers_plot.chosen.connect(self._on_chosen)
        self.layers_plot.cleared.connect(self._on_cleared)

    def set_method(self, title: str, *, draws: bool, drops: bool = False, leaves_out: bool = False) -> None:
        """The method of the recipe.

        Of one that draws no sub-models, or only what it `drops`, the curve says nothing; of one that
        `leaves_out` changes, it says how it would be without that.
        """
        without = " Expected: if nothing were dropped or elected against." if leaves_out else ""
        if not draws:
            does = draws_no_model(title, drops=drops)
            without = f" {does}: this is what “{drawing_method()}” would do."
        if without != self._without:
            self._without = without
            self.refresh()

    def set_resamples(self, n: int | None, *, fixed: bool = False) -> None:
        """Mark the recipe's n; None where it has none, or several. `fixed` where it cannot be changed now."""
        self.use_button.setEnabled(not fixed)
        if n != self._n:
            self._n = n
            self.refresh()

    def draw(self) -> None:
        findings = self.findings
        part = self._part
        self._flat = None
        if findings is None or part is None:
            self.say(_NOT_YET)
        elif not part.tensors:
            self.say(nothing_there(part))
        elif part.predicted is None and part.drawn is None:
            self.say(_NOT_YET)
        elif self.view_field.currentIndex() == _CURVE:
            self.say("")
            self._views.setCurrentWidget(self.plot)
            self._draw_curve(findings, part)
        else:
            self.say("")
            self._views.setCurrentWidget(self.layers_plot)
            self._draw_layers(findings)
        self._offer_n()

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None:
            return []
        kind = self.selection.value.kind
        named = "all" if kind is None else findings.grid.kinds[kind]
        headings = [
            "layer",
            "kind",
            "n",
            "expected",
            "expected error",
            "counted",
            "expected of what was counted",
        ]
        rows: list[Sequence[object]] = []
        labels = ["all", *(column.label for column in findings.grid.columns)]
        for label, part in zip(labels, (findings.part(None, kind), *findings.columns(kind)), strict=True):
            drawn = part.drawn
            counted = drawn.left if drawn is not None else np.zeros(0)
            expected = drawn.expected_left if drawn is not None else None
            size = max(len(counted), 0 if part.predicted is None else len(part.predicted.value))
            rows += [
                [
                    label,
                    named,
                    n,
                    None if part.predicted is None else _at(part.predicted.value, n),
                    None if part.predicted is None else _at(part.predicted.error, n),
                    _at(counted, n),
                    None if expected is None else _at(expected, n),
                ]
                for n in range(size)
            ]
        return [Table(self.file_name, headings, rows)] if rows else []

    def reset_view(self) -> None:
        self.layers_plot.reset_view()
        self.plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()
        self.layers_plot.recolour()

    def set_printing(self, printing: bool) -> None:
        super().set_printing(printing)
        if printing:
            self.use_button.hide()
        else:
            self._offer_n()

    # -- the curve

    @property
    def _part(self) -> Part | None:
        if self.findings is None:
            return None
        return self.findings.part(self.selection.value.column, self.selection.value.kind)

    def _draw_curve(self, findings: Findings, part: Part) -> None:
        predicted = np.zeros(0) if part.predicted is None else part.predicted.value
        counted = np.zeros(0) if part.drawn is None else part.drawn.left
        whole = findings.part().predicted
        beside = part is not findings.part() and whole is not None
        self.plot.show_curves(
            predicted, counted, whole.value if beside and whole is not None else np.zeros(0)
        )
        self._flat = flattens_at(predicted) if len(predicted) else None
        self.plot.mark(self._n, self._flat)
        place = "" if part is findings.part() else f" in {part.place}"
        dots = (
            f" Dots: counted by the merge with {self.shown.merge}"
            f"{merged_text(part, ' in the {} merged so far')}."
            if part.drawn is not None
            else ""
        )
        more = " Line: all modules." if beside else ""
        self.explanation.setText(
            f"Share of parameters left on a zero delta{place}. Rings: expected.{dots}{more}{self._without}"
        )
        self.read(self._advice(part))

    def _offer_n(self) -> None:
        shown = self.view_field.currentIndex() == _CURVE and not self.sentence
        wanted = self._flat is not None and self._n is not None and self._n != self._flat
        self.use_button.setVisible(shown and wanted)
        self.use_button.setText(f"Use n = {self._flat}")

    def _advice(self, part: Part) -> str:
        if part.predicted is None:
            drawn = part.drawn
            if drawn is None:
                return ""
            first, last = share_text(float(drawn.left[0])), share_text(float(drawn.left[-1]))
            return f"{first} counted with n = 0, {last} with n = {len(drawn.left) - 1}."
        return advice_on_n(part.predicted.value)

    @Slot(object)
    def _on_draw_pointed(self, n: int | None) -> None:
        part = self._part
        if part is not None and not self.sentence:
            self.read((text_of_draw(part, n) if n is not None else "") or self._advice(part))

    @Slot()
    def _on_use(self) -> None:
        if self._flat is not None:
            self.resamples_requested.emit(self._flat)

    @Slot()
    def _on_cleared(self) -> None:
        self._at = None
        self.plot.leave()
        self.selection.clear()
        self.refresh()

    # -- layer by layer

    def _draw_layers(self, findings: Findings) -> None:
        kind = self.selection.value.kind
        parts = findings.columns(kind)
        counted = any(part.drawn is not None for part in parts)
        difference = self.view_field.currentIndex() == _DIFFERENCE
        curves = [_difference_of(part) if difference else _curve_of(part, counted) for part in parts]
        draws = max((len(curve) for curve in curves), default=0)
        values = np.full((len(curves), draws), np.nan)
        for column, curve in enumerate(curves):
            values[column, : len(curve)] = 100 * curve
        label = "percentage points" if difference else "% left on a zero delta"
        scale = difference_scale(values, label) if difference else share_scale(values, label, falling=True)
        labels = [column.label for column in findings.grid.columns]
        self.layers_plot.show_cells(values, labels, [f"n = {n}" for n in range(draws)], scale)
        if difference and not np.isfinite(values).any():
            self.say(
                "What was counted is there when a merge has run, and what was expected for equal weights."
            )
            return
        of = "" if kind is None else f" of {findings.grid.kinds[kind]}"
        self.explanation.setText(_explanation(difference, self.shown.merge if counted else None, of))
        self._show_place()

    def _show_place(self) -> None:
        """Frame the cell that was gone to, or the column that is selected, and read it out."""
        column = self.selection.value.column
        if column is None:
            self._at = None
        self.layers_plot.select(column, self._at)
        self._on_pointed(None)

    @Slot(object)
    def _on_chosen(self, cell: tuple[int, int]) -> None:
        self._at = cell[1]
        self.selection.select(column=cell[0])
        self._show_place()

    @Slot(object)
    def _on_pointed(self, cell: tuple[int, int] | None) -> None:
        column, at = self.selection.value.column, self._at
        if cell is None and column is not None and at is not None:
            cell = column, at
        if self.findings is None:
            return
        if cell is None:
            part = self.findings.part(column, self.selection.value.kind)
            self.read(f"{capital(part.place)}: {self._advice(part)}" if part.tensors else nothing_there(part))
            return
        part = self.findings.part(cell[0], self.selection.value.kind)
        text = text_of_draw(part, cell[1])
        self.read(f"{capital(part.place)}, {text}" if text else nothing_there(part))


def _explanation(difference: bool, merge: MergeName | None, of: str) -> str:
    if difference:
        return (
            f"How much more{of} the merge with {merge} left on a zero delta "
            "than the overlap of the sub-models predicts."
        )
    how = f"counted by the merge with {merge}" if merge is not None else "expected"
    return f"Share of parameters{of} left on a zero delta, layer by layer, {how}. Bright: few."


def _curve_of(part: Part, counted: bool) -> Floats:
    if counted:
        return np.zeros(0) if part.drawn is None else part.drawn.left
    return np.zeros(0) if part.predicted is None else part.predicted.value


def _difference_of(part: Part) -> Floats:
    drawn = part.drawn
    if drawn is None or drawn.expected_left is None:
        return np.zeros(0)
    return drawn.left - drawn.expected_left


def _at(values: Floats, n: int) -> float | None:
    return float(values[n]) if n < len(values) else None
