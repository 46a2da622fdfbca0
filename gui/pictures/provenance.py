"""What the merged model is made of: the share of each sub-model, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Slot
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QWidget

from core.units import share_text
from gui.pictures.left_out import left_out_text
from gui.pictures.legend import Legend
from gui.pictures.picture import Picture
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import (
    base_text,
    capital,
    drawing_method,
    draws_no_model,
    merged_text,
    nothing_there,
)
from gui.widgets.theme import model_colour

if TYPE_CHECKING:
    import pyqtgraph as pg


__all__ = ["ProvenancePicture"]

_MOST_WITH_GAPS = 40

_MERGING = "The merge is running. The bars fill in as soon as it has finished the first tensors."

_FAINT = 70
"""Of 255: how much of the colour of sub-models that are not selected is left."""


class ProvenancePicture(Picture):
    """A bar for each layer, stacked of the sub-models' shares; a line for what is left at the base.

    Attributes:
        plot: the bars.
    """

    file_name = "provenance"
    title = "What the result is made of"

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self._left_share = np.zeros(0)
        self._before, self._draws = "Nothing has been merged yet.", True
        self._bars: list[pg.BarGraphItem] = []

    def build(self) -> None:
        import pyqtgraph as pg

        from gui.pictures.columns_plot import ColumnsPlot
        from gui.pictures.marks import Discs

        self.plot = ColumnsPlot("Share of each sub-model by layer", "Layer", "% of the parameters")
        self._under, self._left = (pg.PlotCurveItem(antialias=True) for _ in range(2))
        self._dots = Discs(6)
        for item in (self._under, self._left, self._dots):
            self.plot.addItem(item, ignoreBounds=True)
        self._legend = Legend()
        self.fill(self.plot, self._legend)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self.selection.clear)

    def set_method(self, title: str, *, draws: bool, drops: bool = False) -> None:
        """The method of the recipe; one that draws no sub-models, or only what it `drops`, takes of every
        one."""
        sentence = "Press Merge: the bars fill in while it runs."
        if not draws:
            sentence = (
                f"{draws_no_model(title, drops=drops)}: every parameter of the result is computed from all "
                f"models, and taken from none of them. Choose “{drawing_method()}” to see shares here."
            )
        if sentence != self._before:
            self._before, self._draws = sentence, draws
            self.refresh()

    def draw(self) -> None:
        findings = self.findings
        if findings is None or not findings.merged:
            merging = self.shown.activity == "merging" and self._draws
            self.say(_MERGING if merging else self._left_out_text() or self._before)
            return
        self.say("")
        kind, model = self.selection.value.kind, self.selection.value.model
        named = findings.grid.columns
        self.plot.show_columns([column.label for column in named], [column.stack for column in named])
        columns = np.arange(len(named))
        shares, left = self._shares()
        import pyqtgraph as pg

        for bar in self._bars:
            self.plot.removeItem(bar)
        self._bars = []
        below = np.zeros(len(columns))
        known = np.isfinite(left)
        width = 0.86 if len(columns) <= _MOST_WITH_GAPS else 1.0
        for number in range(len(findings.models)):
            colour = model_colour(number, self.palette())
            if model not in (None, number):
                colour.setAlpha(_FAINT)
            height = shares[:, number]
            bar = pg.BarGraphItem(
                x=columns[known], y0=below[known], height=height[known], width=width, brush=colour, pen=None
            )
            bar.setZValue(-1)
            self.plot.addItem(bar)
            self._bars.append(bar)
            below = below + height
        for line in (self._under, self._left):
            line.setData(columns[known], left[known], connect=self.plot.joined(left)[known])
        self._left_share = left
        self._draw_dots()
        self.plot.fit(100.0)
        self.plot.select(self.selection.value.column)
        of = "" if kind is None else f" of {findings.grid.kinds[kind]}"
        self.explanation.setText(
            f"Share{of} that came from each sub-model in the merge with {self.shown.merge}. "
            f"Line: the share that is {base_text(findings)}."
        )
        self._legend.show_models(findings.models)
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None or not findings.merged:
            return []
        kind = self.selection.value.kind
        named = "all" if kind is None else findings.grid.kinds[kind]
        rows = []
        labels = ["all", *(column.label for column in findings.grid.columns)]
        for label, part in zip(labels, (findings.part(None, kind), *findings.columns(kind)), strict=True):
            if part.drawn is not None:
                shares = part.drawn.provenance
                rows.append([label, named, part.drawn.elements, part.drawn.left[-1], *shares])
        headings = ["layer", "kind", "parameters merged", f"left {base_text(findings)}", *findings.models]
        return [Table(self.file_name, headings, rows)]

    def reset_view(self) -> None:
        self.plot.reset_view()

    def recolour(self) -> None:
        import pyqtgraph as pg

        self.plot.recolour()
        colours = self.palette()
        self._under.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Base), width=4))
        self._left.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Text), width=1))
        self._draw_dots()

    def _left_out_text(self) -> str:
        """What a merge that draws no sub-models has left out of them; "" where none has."""
        if self.findings is None or not (left_out := left_out_text(self.findings.part())):
            return ""
        return (
            f"In the merge with {self.shown.merge}, every parameter of the result is computed from all "
            f"models, and taken from none of them. Of a sub-model's parameters, on average: {left_out}. "
            "“Zero deltas” can show where, and the detail has the numbers of what you select."
        )

    def _draw_dots(self) -> None:
        colours = self.palette()
        points = [(at, share) for at, share in enumerate(self._left_share.tolist()) if np.isfinite(share)]
        text, ground = colours.color(QPalette.ColorRole.Text), colours.color(QPalette.ColorRole.Base)
        self._dots.show_discs(points, [text] * len(points), ground)

    def _shares(self) -> tuple[np.ndarray, np.ndarray]:
        """In percent; NaN where nothing is merged yet. [C, K] and [C]"""
        assert self.findings is not None
        parts = self.findings.columns(self.selection.value.kind)
        shares = np.full((len(parts), len(self.findings.models)), np.nan)
        left = np.full(len(parts), np.nan)
        for number, part in enumerate(parts):
            if part.drawn is not None and part.drawn.elements:
                shares[number] = 100 * part.drawn.provenance
                left[number] = 100 * part.drawn.left[-1]
        return shares, left

    @Slot(object)
    def _on_pointed(self, point: tuple[int, float] | None) -> None:
        findings = self.findings
        if findings is None or not findings.merged:
            return
        selected = self.selection.value
        column = selected.column if point is None else point[0]
        part = findings.part(column, selected.kind)
        if part.drawn is None or not part.drawn.elements:
            self.read(nothing_there(part) if part.is_empty else f"{capital(part.place)}: not merged yet")
            return
        model = self._model_at(point) if point is not None else selected.model
        shares = part.drawn.provenance
        left = share_text(float(part.drawn.left[-1]))
        so_far = merged_text(part, ", of the {} merged so far")
        text = f"{capital(part.place)}: {left} {base_text(findings)}"
        if model is not None:
            text += f", {share_text(float(shares[model]))} from {findings.models[model]}"
        elif len(shares) > 1:
            low, high = int(shares.argmin()), int(shares.argmax())
            least, most = share_text(float(shares[low])), share_text(float(shares[high]))
            text += (
                f"; each sub-model has a share of {least}"
                if least == most
                else f"; the sub-models' shares are {least} ({findings.models[low]}) "
                f"to {most} ({findings.models[high]})"
            )
        self.read(text + so_far)

    @Slot(object)
    def _on_chosen(self, point: tuple[int, float]) -> None:
        model = self._model_at(point)
        if model is None:
            self.selection.select(column=point[0])
        else:
            self.selection.select(column=point[0], model=model)

    def _model_at(self, point: tuple[int, float]) -> int | None:
        """The sub-model whose part of a bar is at a height."""
        assert self.findings is not None
        column, height = point
        drawn = self.findings.part(column, self.selection.value.kind).drawn
        if drawn is None or not 0 <= height < 100:
            return None
        return int(
            np.searchsorted(np.cumsum(100 * drawn.provenance), height, side="right").clip(
                0, len(drawn.selected) - 1
            )
        )
