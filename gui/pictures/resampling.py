"""What resampling does and would do: the share left on a zero delta, and where that levels off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedLayout, QVBoxLayout, QWidget

from core.deltas.findings import Findings, Part
from core.deltas.measures import flattens_at
from core.units import share_text
from gui.pictures.heat_map import HeatMap
from gui.pictures.picture import Picture, choice
from gui.pictures.plot import Plot
from gui.pictures.scales import difference_scale, share_scale
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.theme import accent_of

__all__ = ["ResamplingPicture"]

_CURVE, _LAYERS, _DIFFERENCE = range(3)

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
        self._flat: int | None = None
        self.view_field = choice("How it is shown", ["Curve", "By layer", "Counted − expected"])
        self.use_button = QPushButton("Use this n")
        self.use_button.hide()
        self.controls.addWidget(self.view_field)
        self.plot = _DrawsPlot("n, the resamples", "% left on a zero delta")
        self._whole = self.plot.plot([], [], antialias=True)
        self._expected = self.plot.plot([], [], symbol="o", symbolSize=9, antialias=True)
        self._counted = self.plot.plot([], [], symbol="o", symbolSize=7, antialias=True)
        self._flat_line = pg.InfiniteLine(
            angle=90, label="", labelOpts={"position": 0.92, "anchors": [(0, 0)] * 2}
        )
        self._n_line = pg.InfiniteLine(
            angle=90, label="", labelOpts={"position": 0.8, "anchors": [(0, 0)] * 2}
        )
        for line in (self._flat_line, self._n_line):
            self.plot.addItem(line, ignoreBounds=True)
        self.layers_plot = HeatMap("Layer")
        curve = QWidget()
        column = QVBoxLayout(curve)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        self._views = QStackedLayout(self.body)
        self._views.addWidget(curve)
        self._views.addWidget(self.layers_plot)
        advice = QHBoxLayout()
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.removeWidget(self.read_out)
        advice.addWidget(self.read_out, 1)
        advice.addWidget(self.use_button)
        layout.addLayout(advice)
        self.view_field.activated.connect(self.refresh)
        self.use_button.clicked.connect(self._on_use)
        self.plot.pointed.connect(self._on_draw_pointed)
        self.plot.cleared.connect(selection.clear)
        self.layers_plot.pointed.connect(self._on_pointed)
        self.layers_plot.chosen.connect(lambda cell: selection.select(column=cell[0]))
        self.layers_plot.cleared.connect(selection.clear)

    def set_resamples(self, n: int | None, *, fixed: bool = False) -> None:
        """Mark the recipe's n; None where it has none, or several. `fixed` where it cannot be changed now."""
        self.use_button.setEnabled(not fixed)
        if n != self._n:
            self._n = n
            self.refresh()

    def draw(self) -> None:
        findings = self.findings
        part = self._part
        if findings is None or part is None or (part.predicted is None and part.drawn is None):
            self.say("The curve is there as soon as the models were looked at.")
            return
        self.say("")
        if self.view_field.currentIndex() == _CURVE:
            self._views.setCurrentIndex(0)
            self._draw_curve(findings, part)
        else:
            self._views.setCurrentIndex(1)
            self._draw_layers(findings)

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None:
            return []
        headings = ["layer", "n", "expected", "expected error", "counted", "expected of what was counted"]
        rows: list[Sequence[object]] = []
        labels = ["all", *(column.label for column in findings.grid.columns)]
        for label, part in zip(labels, (findings.part(), *findings.columns()), strict=True):
            drawn = part.drawn
            counted = drawn.left if drawn is not None else np.zeros(0)
            expected = drawn.expected_left if drawn is not None else None
            size = max(len(counted), 0 if part.predicted is None else len(part.predicted.value))
            rows += [
                [
                    label,
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
        self._fit()

    def recolour(self) -> None:
        colours = self.palette()
        self.plot.recolour()
        self.layers_plot.recolour()
        accent = accent_of(colours)
        ground = colours.color(QPalette.ColorRole.Base)
        quiet = colours.color(QPalette.ColorRole.PlaceholderText)
        self._whole.setPen(pg.mkPen(colours.color(QPalette.ColorRole.Dark), width=1))
        self._expected.setPen(pg.mkPen(quiet, style=Qt.PenStyle.DotLine))
        self._expected.setSymbolBrush(ground)
        self._expected.setSymbolPen(pg.mkPen(quiet))
        self._counted.setPen(pg.mkPen(accent))
        self._counted.setSymbolBrush(accent)
        self._counted.setSymbolPen(pg.mkPen(accent))
        for line, colour in ((self._flat_line, quiet), (self._n_line, accent)):
            line.setPen(pg.mkPen(colour, style=Qt.PenStyle.DashLine))
            line.label.setColor(colours.color(QPalette.ColorRole.Text))
            line.label.fill = pg.mkBrush(ground)

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
        show_whole = part is not findings.part() and whole is not None
        _set(self._expected, predicted)
        _set(self._counted, counted)
        _set(self._whole, whole.value if show_whole and whole is not None else np.zeros(0))
        self._flat = flattens_at(predicted) if len(predicted) else None
        level = self._n is not None and self._n == self._flat
        _mark(self._flat_line, None if level else self._flat, f"levels off at n = {self._flat}")
        _mark(self._n_line, self._n, f"n = {self._n}, levels off" if level else f"n = {self._n}")
        self._fit()
        place = "" if part is findings.part() else f" in {part.place}"
        more = " Line: all modules." if show_whole else ""
        self.explanation.setText(
            f"Share of parameters left on a zero delta{place}. Rings: expected. Dots: counted.{more}"
        )
        self.use_button.setVisible(self._flat is not None and self._n is not None and self._n != self._flat)
        self.use_button.setText(f"Use n = {self._flat}")
        self._say(self._advice(part))

    def _advice(self, part: Part) -> str:
        if part.predicted is None:
            drawn = part.drawn
            if drawn is None:
                return " "
            return f"From {share_text(float(drawn.left[0]))} at n = 0 to {share_text(float(drawn.left[-1]))}."
        left = part.predicted.value
        if not np.isfinite(left).all():
            return " "
        first, last = share_text(float(left[0])), share_text(float(left[-1]))
        if self._flat is None:
            return f"{first} with n = 0, {last} with n = 20, and each resample still moves more than 0.5 %."
        at = share_text(float(left[self._flat]))
        return (
            f"{first} with n = 0, {at} with n = {self._flat}, {last} with n = 20. "
            f"From n = {self._flat} on, each resample moves less than 0.5 % of the parameters."
        )

    def _fit(self) -> None:
        curves = [item.getData()[1] for item in (self._expected, self._counted, self._whole)]
        values = np.concatenate([curve for curve in curves if curve is not None] or [np.zeros(1)])
        known = values[np.isfinite(values)]
        top = float(known.max()) if known.size else 1.0
        draws = max(*(0 if curve is None else len(curve) for curve in curves), 2)
        self.plot.setLimits(xMin=-1, xMax=draws, yMin=-5, yMax=110, minXRange=1, minYRange=0.1)
        self.plot.setRange(xRange=(-0.4, draws - 0.6), yRange=(0, 1.15 * max(top, 0.1)), padding=0)
        self.plot.getPlotItem().getAxis("bottom").setTicks(
            [[(n, str(n)) for n in range(0, draws, 2 if draws > 12 else 1)]]
        )

    @Slot(object)
    def _on_draw_pointed(self, n: int | None) -> None:
        part = self._part
        if part is None or self.sentence:
            return
        text = self._text_of(part, n) if n is not None else ""
        self._say(text or self._advice(part))

    def _text_of(self, part: Part, n: int) -> str:
        parts = []
        if part.predicted is not None and 0 <= n < len(part.predicted.value):
            left = part.predicted.value
            parts.append(f"{share_text(float(left[n]))} expected")
            if n + 1 < len(left):
                parts.append(f"one more would move {share_text(float(left[n] - left[n + 1]))}")
        if part.drawn is not None and 0 <= n < len(part.drawn.left):
            parts.insert(0, f"{share_text(float(part.drawn.left[n]))} counted")
        return f"n = {n}: {', '.join(parts)}" if parts else ""

    @Slot()
    def _on_use(self) -> None:
        if self._flat is not None:
            self.resamples_requested.emit(self._flat)

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
        scale = difference_scale(values, label) if difference else share_scale(values, label)
        labels = [column.label for column in findings.grid.columns]
        self.layers_plot.show_cells(values, labels, [f"n = {n}" for n in range(draws)], scale)
        self.layers_plot.select(self.selection.value.column, None)
        of = "" if kind is None else f" of {findings.grid.kinds[kind]}"
        self.explanation.setText(_explanation(difference, counted, of))
        self.use_button.hide()
        self._say(" ")
        if difference and not np.isfinite(values).any():
            self.say(
                "What was counted is there when a merge has run, and what was expected for equal weights."
            )

    @Slot(object)
    def _on_pointed(self, cell: tuple[int, int] | None) -> None:
        if cell is None or self.findings is None:
            self._say(" ")
            return
        column, n = cell
        part = self.findings.part(column, self.selection.value.kind)
        text = self._text_of(part, n)
        self._say(f"{part.place[:1].upper()}{part.place[1:]}, {text}" if text else " ")

    def _say(self, text: str) -> None:
        self.read_out.setText(text)
        self.setAccessibleDescription(text)


class _DrawsPlot(Plot):
    """What is pointed at is n."""

    def thing_at(self, x: float, y: float) -> int:
        return round(x)


def _explanation(difference: bool, counted: bool, of: str) -> str:
    if difference:
        return f"How much more{of} a merge left on a zero delta than the overlap of the sub-models predicts."
    how = "counted by the merge" if counted else "expected"
    return f"Share of parameters{of} left on a zero delta, layer by layer, {how}."


def _curve_of(part: Part, counted: bool) -> Floats:
    if counted:
        return np.zeros(0) if part.drawn is None else part.drawn.left
    return np.zeros(0) if part.predicted is None else part.predicted.value


def _difference_of(part: Part) -> Floats:
    drawn = part.drawn
    if drawn is None or drawn.expected_left is None:
        return np.zeros(0)
    return drawn.left - drawn.expected_left


def _set(curve: pg.PlotDataItem, shares: Floats) -> None:
    known = np.flatnonzero(np.isfinite(shares))
    curve.setData(known, 100 * shares[known])


def _mark(line: pg.InfiniteLine, at: int | None, text: str) -> None:
    line.setVisible(at is not None)
    if at is not None:
        line.setPos(at)
        line.label.setText(text)


def _at(values: Floats, n: int) -> float | None:
    return float(values[n]) if n < len(values) else None
