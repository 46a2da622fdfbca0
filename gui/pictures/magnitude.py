"""How large the task vectors are, layer by layer, and how their magnitudes are distributed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from core.deltas.findings import Findings, Part
from core.deltas.measures import straying
from core.kernels.delta_sums import LOWEST_EXPONENT, MAGNITUDE_BINS
from core.units import share_text
from gui.pictures.agreement import too_many_text
from gui.pictures.columns_plot import ColumnsPlot
from gui.pictures.picture import Legend, Picture, choice
from gui.pictures.plot import Plot
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.theme import GRID, model_colour

__all__ = ["MagnitudePicture"]

_RELATIVE, _ABSOLUTE = range(2)
_FAINT = 60

Floats = NDArray[np.float64]


class MagnitudePicture(Picture):
    """A line of norms for each sub-model; beside it the histogram of |τ| of what is selected.

    Attributes:
        norm_field: beside the norm of the base, or by itself.
        plot: the norms. histogram_plot: the histogram.
    """

    file_name = "magnitude"
    title = "How far fine-tuning went"

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self.norm_field = choice("Which norm is shown", ["‖τ‖ / ‖base‖", "‖τ‖"])
        self.controls.addWidget(self.norm_field)
        self.plot = ColumnsPlot("Layer", "‖τ‖")
        self.histogram_plot = Plot("|τ|, powers of two", "% of the parameters")
        self._lines: list[pg.PlotDataItem] = []
        self._steps: list[pg.PlotDataItem] = []
        self._legend = Legend()
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(2 * GRID)
        splitter.addWidget(self.plot)
        splitter.addWidget(self.histogram_plot)
        splitter.setSizes([560, 340])
        body = QVBoxLayout(self.body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(splitter, 1)
        body.addWidget(self._legend)
        self.norm_field.activated.connect(self.refresh)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(selection.clear)

    def draw(self) -> None:
        findings = self.findings
        if findings is None or not findings.inspected:
            self.say("Norms are there as soon as the models were looked at.")
            return
        if findings.part().details is None:
            self.say(too_many_text(len(findings.models)))
            return
        self.say("")
        self._draw_norms(findings)
        self._draw_histogram(findings)
        kind = self.selection.value.kind
        of = "" if kind is None else f" of {findings.grid.kinds[kind]}"
        part = findings.part(self.selection.value.column, kind)
        self.explanation.setText(
            f"Left: size of the task vectors{of}, by layer. Right: sizes of deltas, {part.place}."
        )
        self._legend.show_models(findings.models, _strays(findings.part()))
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None or findings.part().details is None:
            return []
        kind = self.selection.value.kind
        labels = ["all", *(column.label for column in findings.grid.columns)]
        parts = [findings.part(None, kind), *findings.columns(kind)]
        norms: list[Sequence[object]] = []
        for label, part in zip(labels, parts, strict=True):
            if part.details is None:
                continue
            details = part.details
            columns = (
                details.norm.value,
                details.norm.error,
                details.relative_norm.value,
                details.relative_norm.error,
                details.mean_magnitude.value,
                details.mean_magnitude.error,
                details.largest,
            )
            norms += [
                [label, model, *(values[at] for values in columns)]
                for at, model in enumerate(findings.models)
            ]
        headings = ["norm", "norm error", "relative norm", "relative norm error"]
        headings += ["mean |τ|", "mean |τ| error", "largest |τ| seen"]
        chosen = findings.part(self.selection.value.column, kind)
        steps = []
        if chosen.details is not None:
            for at in range(MAGNITUDE_BINS):
                counts = chosen.details.histogram[:, at]
                if counts.any():
                    steps.append([chosen.place, at + LOWEST_EXPONENT, *counts])
        return [
            Table(self.file_name, ["layer", "sub-model", *headings], norms),
            Table(f"{self.file_name}-histogram", ["where", "floor(log2 |τ|)", *findings.models], steps),
        ]

    def reset_view(self) -> None:
        self.plot.reset_view()
        self.histogram_plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()
        self.histogram_plot.recolour()

    # -- inside

    def _norms(self, part: Part) -> Floats | None:
        if part.details is None:
            return None
        relative = self.norm_field.currentIndex() == _RELATIVE
        return 100 * part.details.relative_norm.value if relative else part.details.norm.value

    def _draw_norms(self, findings: Findings) -> None:
        parts = findings.columns(self.selection.value.kind)
        norms = np.full((len(parts), len(findings.models)), np.nan)
        for column, part in enumerate(parts):
            found = self._norms(part)
            if found is not None:
                norms[column] = found
        norms[~np.isfinite(norms)] = np.nan
        columns = findings.grid.columns
        self.plot.show_columns([column.label for column in columns], [column.stack for column in columns])
        relative = self.norm_field.currentIndex() == _RELATIVE
        self.plot.setLabel("left", "‖τ‖ in % of ‖base‖" if relative else "‖τ‖")
        self._lines = _drawn(self.plot, self._lines, len(findings.models))
        for number, line in enumerate(self._lines):
            colour = self._colour(number)
            values = norms[:, number]
            line.setPen(pg.mkPen(colour, width=1))
            line.setSymbolBrush(colour)
            line.setData(np.arange(len(values)), values, connect=self.plot.joined(values))
        known = norms[np.isfinite(norms)]
        self.plot.fit(1.08 * float(known.max()) if known.size and known.max() > 0 else 1.0)
        self.plot.select(self.selection.value.column)

    def _draw_histogram(self, findings: Findings) -> None:
        part = findings.part(self.selection.value.column, self.selection.value.kind)
        self._steps = _drawn(self.histogram_plot, self._steps, len(findings.models))
        details = part.details
        if details is None or not details.parameters:
            for step in self._steps:
                step.setData([], [])
            return
        shares = 100 * details.histogram / details.parameters
        filled = np.flatnonzero(shares.any(axis=0))
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 1)
        edges = np.arange(first, last + 1) + LOWEST_EXPONENT
        for number, step in enumerate(self._steps):
            step.setPen(pg.mkPen(self._colour(number), width=1))
            step.setData(edges, shares[number, first:last], stepMode="center")
        self.histogram_plot.getPlotItem().getAxis("bottom").setTicks([_powers(int(edges[0]), int(edges[-1]))])
        top = 1.08 * float(shares.max()) or 1.0
        self.histogram_plot.setLimits(
            xMin=edges[0] - 1, xMax=edges[-1] + 1, yMin=-0.02 * top, yMax=1.05 * top, minXRange=2
        )
        self.histogram_plot.setRange(xRange=(edges[0] - 0.3, edges[-1] + 0.3), yRange=(0, top), padding=0)

    def _colour(self, number: int) -> object:
        colour = model_colour(number)
        if self.selection.value.model not in (None, number):
            colour.setAlpha(_FAINT)
        return colour

    @Slot(object)
    def _on_pointed(self, point: tuple[int, float] | None) -> None:
        findings = self.findings
        if findings is None or self.sentence:
            return
        selected = self.selection.value
        column = selected.column if point is None else point[0]
        part = findings.part(column, selected.kind)
        details = part.details
        if details is None:
            self.read_out.setText(" ")
            return
        relative = details.relative_norm.value
        place = f"{part.place[:1].upper()}{part.place[1:]}"
        model = selected.model if point is None else self._nearest(part, point[1])
        if model is not None:
            share = share_text(float(relative[model]))
            text = (
                f"{place}, {findings.models[model]}: ‖τ‖ = {details.norm.value[model]:.3g}, {share} of ‖base‖"
            )
            text += f"; mean |τ| {details.mean_magnitude.value[model]:.2g}"
        else:
            text = (
                f"{place}: ‖τ‖ / ‖base‖ from {share_text(float(relative.min()))} "
                f"to {share_text(float(relative.max()))}"
            )
            text += _strays_text(findings.models, part)
        self.read_out.setText(text)
        self.setAccessibleDescription(text)

    def _nearest(self, part: Part, height: float) -> int | None:
        norms = self._norms(part)
        if norms is None or not np.isfinite(norms).any():
            return None
        return int(np.nanargmin(np.abs(norms - height)))

    @Slot(object)
    def _on_chosen(self, point: tuple[int, float]) -> None:
        column, height = point
        if height < 0 or self.findings is None:
            self.selection.select(column=column)
            return
        part = self.findings.part(column, self.selection.value.kind)
        self.selection.select(column=column, model=self._nearest(part, height))


def _drawn(plot: pg.PlotWidget, lines: list[pg.PlotDataItem], count: int) -> list[pg.PlotDataItem]:
    """As many lines as there are sub-models."""
    while len(lines) > count:
        plot.removeItem(lines.pop())
    while len(lines) < count:
        symbol = {"symbol": "o", "symbolSize": 5, "symbolPen": None} if isinstance(plot, ColumnsPlot) else {}
        lines.append(plot.plot([], [], **symbol))
    return lines


def _strays(part: Part) -> set[int]:
    if part.details is None:
        return set()
    return set(np.flatnonzero(straying(part.details.relative_norm.value)).tolist())


def _strays_text(models: Sequence[str], part: Part) -> str:
    assert part.details is not None
    norms = part.details.relative_norm.value
    middle = float(np.nanmedian(norms)) if np.isfinite(norms).any() else 0.0
    texts = [f"{models[at]} strays: {norms[at] / middle:.2g} × the median" for at in sorted(_strays(part))]
    return f". {'; '.join(texts)}" if texts else ""


def _powers(first: int, last: int) -> list[tuple[float, str]]:
    """Some of 2⁻⁴⁸ … 2¹⁵."""
    step = max(1, -(-(last - first) // 6))
    return [(power, f"2{str(power).translate(_SUPERSCRIPTS)}") for power in range(first, last + 1, step)]


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
