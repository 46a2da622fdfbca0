"""How large the task vectors are, layer by layer, and how their magnitudes are distributed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QSplitter, QWidget

from core.deltas.findings import Findings, Part
from core.deltas.measures import straying
from core.deltas.statistics import LOWEST_EXPONENT, MAGNITUDE_BINS
from core.units import share_text
from gui.pictures.legend import Legend
from gui.pictures.picture import Picture, choice
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import capital, nothing_there, too_many_text
from gui.widgets.theme import GRID, model_colour

__all__ = ["MagnitudePicture"]

_RELATIVE, _ABSOLUTE = range(2)
_FAINT = 60

_MOST_LINES = 12
"""Of more sub-models only those that stray, and the one that is selected, have lines of their own."""

_MOST_NAMED = 4
"""Straying sub-models whose lines are named."""

_FEWEST_COMPARED = 3
"""Sub-models; of fewer it cannot be told which one strays."""

Floats = NDArray[np.float64]


class MagnitudePicture(Picture):
    """The norms of the sub-models, layer by layer; beside them the histogram of |τ| of what is selected.

    Attributes:
        norm_field: beside the norm of the base, or by itself.
        plot: the norms.
        histogram_plot: the histogram.
    """

    file_name = "magnitude"
    title = "How far fine-tuning went"

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self.norm_field = choice("Which norm is shown", ["‖τ‖ / ‖base‖", "‖τ‖"])
        self.controls.addWidget(self.norm_field)
        self.norm_field.activated.connect(self._on_norm_chosen)

    def build(self) -> None:
        from gui.pictures.histogram_plot import HistogramPlot
        from gui.pictures.norms_plot import NormsPlot

        self.plot = NormsPlot()
        self.histogram_plot = HistogramPlot()
        self._legend = Legend()
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(2 * GRID)
        splitter.addWidget(self.plot)
        splitter.addWidget(self.histogram_plot)
        splitter.setSizes([560, 340])
        self.fill(splitter, self._legend)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self.selection.clear)
        self.histogram_plot.pointed.connect(self._on_step_pointed)
        self.histogram_plot.chosen.connect(self._on_step_pointed)
        self.histogram_plot.cleared.connect(self._on_cleared)

    def draw(self) -> None:
        findings = self.findings
        if findings is None or not findings.inspected:
            self.say("Norms are there as soon as the models were looked at.")
            return
        if findings.part().details is None:
            self.say(too_many_text(len(findings.models)))
            return
        kind = self.selection.value.kind
        part = findings.part(self.selection.value.column, kind)
        self.say("")
        self._draw_norms(findings)
        colours = [self._colour(number) for number in range(len(findings.models))]
        self.histogram_plot.show_histogram(part.details, colours)
        self.explanation.setText(self._explanation(findings, part))
        self._legend.show_models(findings.models, _strays(findings.part(None, kind)))
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None or findings.part().details is None:
            return []
        kind = self.selection.value.kind
        named = "all" if kind is None else findings.grid.kinds[kind]
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
                [label, named, model, *(values[at] for values in columns)]
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
            Table(self.file_name, ["layer", "kind", "sub-model", *headings], norms),
            Table(f"{self.file_name}-histogram", ["where", "floor(log2 |τ|)", *findings.models], steps),
        ]

    def reset_view(self) -> None:
        self.plot.reset_view()
        self.histogram_plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()
        self.histogram_plot.recolour()

    # -- inside

    def _explanation(self, findings: Findings, part: Part) -> str:
        kind = self.selection.value.kind
        of = "" if kind is None else f" of {findings.grid.kinds[kind]}"
        marks = ["box: middle half", "dash: median"] if len(self.plot.medians) else []
        how = f" ({', '.join(marks)})" if marks else ""
        if self.plot.bottom > 0:
            unit = " %" if self.norm_field.currentIndex() == _RELATIVE else ""
            how += f", the axis from {self.plot.bottom:.2g}{unit} and not from 0"
        text = f"Left: size of the task vectors{of}, by layer{how}"
        return f"{text}. Right: sizes of deltas, {part.place}."

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
        self.plot.setLabel("left", "norm of τ, % of the base" if relative else "norm of τ")
        self.plot.fit_labels()
        models, kind = findings.models, self.selection.value.kind
        strays = _strays(findings.part(None, kind))
        for part in parts:
            strays |= _strays(part)
        apart = set(range(len(models))) if len(models) <= _MOST_LINES else set(strays)
        if self.selection.value.model is not None:
            apart.add(self.selection.value.model)
        named = {number: f"{models[number]} strays" for number in sorted(strays)[:_MOST_NAMED]}
        self.plot.show_norms(norms, [self._colour(at) for at in range(len(models))], apart, named)
        self.plot.select(self.selection.value.column)

    def _colour(self, number: int) -> QColor:
        colour = model_colour(number, self.palette())
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
        if part.details is None:
            self.read(nothing_there(part))
            return
        model = selected.model if point is None else self._nearest(part, point[1])
        self.read(_text_of(findings.models, part, model))

    @Slot()
    def _on_norm_chosen(self) -> None:
        self.refresh()
        if not self.sentence:
            self.plot.reset_view()

    @Slot(object)
    def _on_step_pointed(self, exponent: int | None) -> None:
        findings = self.findings
        if findings is None or self.sentence:
            return
        if exponent is None:
            self._on_pointed(None)
            return
        part = findings.part(self.selection.value.column, self.selection.value.kind)
        self.read(f"{capital(part.place)}: {self.histogram_plot.text_of(exponent)}")

    @Slot()
    def _on_cleared(self) -> None:
        self.histogram_plot.leave()
        self.selection.clear()
        self._on_pointed(None)

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


def _text_of(models: Sequence[str], part: Part, model: int | None) -> str:
    """The norm of one sub-model, or the span of all."""
    details = part.details
    assert details is not None
    relative = details.relative_norm.value
    place = capital(part.place)
    if model is None and len(models) == 1:
        model = 0
    if model is not None:
        norm = f"{details.norm.value[model]:.3g}".replace("-", "−")
        mean = f"{details.mean_magnitude.value[model]:.2g}".replace("-", "−")
        share = _share_text(float(relative[model]))
        return f"{place}, {models[model]}: ‖τ‖ = {norm}, {share} of ‖base‖; mean |τ| {mean}"
    if not np.isfinite(relative).any():
        return f"{place}: the norm of the base is zero"
    low, high = _span_texts(float(np.nanmin(relative)), float(np.nanmax(relative)))
    strays = _strays_text(models, part)
    if not strays and len(models) >= _FEWEST_COMPARED:
        strays = ". None strays: no sub-model outweighs the others in a merge"
    norms = f"{low} in each sub-model" if low == high else f"from {low} to {high}"
    return f"{place}: ‖τ‖ / ‖base‖ {norms}{strays}"


def _share_text(value: float) -> str:
    return share_text(value) if np.isfinite(value) else "no share"


def _span_texts(low: float, high: float) -> tuple[str, str]:
    """Both ends with the same number of decimals where they are alike."""
    if low < 0.01 <= high < 2 * low:
        return f"{100 * low:.2f} %", f"{100 * high:.2f} %"
    return share_text(low), share_text(high)


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
