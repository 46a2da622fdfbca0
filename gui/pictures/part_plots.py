"""Plots of what is known of some cells together: all of them, or one at a time where there is little room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from core.deltas.findings import Part
from core.units import share_text
from gui.pictures.agreement_scale import likeness_scale
from gui.pictures.columns_plot import ColumnsPlot
from gui.pictures.draws_plot import DrawsPlot
from gui.pictures.heat_map import HeatMap, without_diagonal
from gui.pictures.histogram_plot import HistogramPlot
from gui.pictures.plot import Plot
from gui.pictures.texts import pair_text, text_of_draw
from gui.widgets.theme import GRID, accent_of, model_colour

__all__ = ["PartPlots"]

_FAINT = 60

_ROOM_OF_FOUR = {4: (124 * GRID, 12 * GRID), 2: (60 * GRID, 52 * GRID)}
"""The least width and height in which all four are shown, by the number of them in a row."""


class PartPlots(QWidget):
    """The overlap, the curve over n, the histogram and the cosines of a Part, as many as there is room for.

    Where only one has room, `setCurrentIndex` chooses it.

    Attributes:
        overlap: changed by m of K. draws: left by n. sizes: the histogram of |τ|. pairs: the cosines.

    Signals:
        told(str): what is pointed at, in words; "" for nothing.
        cleared(): Escape was pressed in one of them.
        all_shown(bool): there is room for all of them now, or for one.
    """

    told = Signal(str)
    cleared = Signal()
    all_shown = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._part: Part | None = None
        self._models: Sequence[str] = ()
        self._model: int | None = None
        self._current = 0
        self._in_a_row = 0
        self.overlap = ColumnsPlot(
            "Share of parameters by how many changed them", "Changed by m of K", "% of the parameters"
        )
        self._bars = pg.BarGraphItem(x=[], height=[], width=0.8)
        self.overlap.addItem(self._bars)
        self.draws = DrawsPlot()
        self.sizes = HistogramPlot()
        self.pairs = HeatMap("Cosines of the task vectors, pair by pair", "Sub-model")
        for plot, words in (
            (self.overlap, self._overlap_text),
            (self.draws, self._draw_text),
            (self.sizes, self._size_text),
            (self.pairs, self._pair_text),
        ):
            plot.pointed.connect(lambda thing, words=words: self._tell(thing, words))
            plot.chosen.connect(lambda thing, words=words: self._tell(thing, words))
            plot.cleared.connect(self._on_cleared)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GRID)
        self._place()

    @property
    def plots(self) -> tuple[Plot, ...]:
        return self.overlap, self.draws, self.sizes, self.pairs

    def show_part(self, part: Part, models: Sequence[str], model: int | None) -> None:
        """Show another part.

        Args:
            part: what is known.
            models: the names of the sub-models.
            model: the one that is selected; None for none.
        """
        self._part, self._models, self._model = part, models, model
        self._show_current()

    @property
    def shows_all(self) -> bool:
        return self._in_a_row > 0

    def currentIndex(self) -> int:
        """Which one is shown where there is room for one only."""
        return self._current

    @Slot(int)
    def setCurrentIndex(self, index: int) -> None:
        self._current = index
        self._place()

    def reset_view(self) -> None:
        for plot in self.plots:
            plot.reset_view()

    def recolour(self) -> None:
        for plot in self.plots:
            plot.recolour()
        self._bars.setOpts(brush=accent_of(self.palette()), pen=None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        fitting = (
            in_a_row
            for in_a_row, (width, height) in _ROOM_OF_FOUR.items()
            if self.width() >= width and self.height() >= height
        )
        in_a_row = next(fitting, 0)
        if in_a_row != self._in_a_row:
            self._in_a_row = in_a_row
            self._place()
            self.all_shown.emit(self.shows_all)

    # -- inside

    def _place(self) -> None:
        """Show as many as there is room for."""
        for number, plot in enumerate(self.plots):
            self._grid.addWidget(plot, *divmod(number, self._in_a_row or 1))
            plot.setVisible(self.shows_all or number == self._current)
        for line in range(len(self.plots)):
            # A plot's hint of a size is that of its scene, and would make the rows unequal.
            used = line * self._in_a_row < len(self.plots) if self.shows_all else line == self._current
            self._grid.setRowStretch(line, int(used))
            self._grid.setColumnStretch(line, int(line < max(1, self._in_a_row)))
        self._show_current()

    def _show_current(self) -> None:
        """Draw what can be seen."""
        shows = (self._show_overlap, self._show_draws, self._show_sizes, self._show_pairs)
        if self._part is None:
            return
        for number, show in enumerate(shows):
            if self.shows_all or number == self._current:
                show(self._part)

    def _show_overlap(self, part: Part) -> None:
        if part.counts is None:
            self._bars.setOpts(x=[], height=[])
            return
        shares = np.nan_to_num(100 * part.counts.changed_by.value)
        self.overlap.show_columns([str(m) for m in range(len(shares))])
        self._bars.setOpts(x=np.arange(len(shares)), height=shares)
        self.overlap.fit(min(100.0, max(1.0, 1.1 * float(shares.max()))))

    def _show_draws(self, part: Part) -> None:
        nothing = np.zeros(0)
        self.draws.show_curves(
            nothing if part.predicted is None else part.predicted.value,
            nothing if part.drawn is None else part.drawn.left,
        )

    def _show_sizes(self, part: Part) -> None:
        colours = [model_colour(number, self.palette()) for number in range(len(self._models))]
        for number, colour in enumerate(colours):
            if self._model not in (None, number):
                colour.setAlpha(_FAINT)
        self.sizes.show_histogram(part.details, colours)

    def _show_pairs(self, part: Part) -> None:
        models = len(self._models)
        cosines = np.full((models, models), np.nan)
        if part.details is not None:
            cosines = without_diagonal(part.details.cosine.value)
        numbers = [str(number + 1) for number in range(models)]
        colours = [model_colour(number, self.palette()) for number in range(models)]
        self.pairs.show_cells(cosines, numbers, numbers, likeness_scale(cosines), write=True, discs=colours)
        self.pairs.select(None, self._model)

    def _tell(self, thing: object, words: object) -> None:
        known = self._part is not None and thing is not None
        self.told.emit(words(self._part, thing) if known and callable(words) else "")

    @Slot()
    def _on_cleared(self) -> None:
        self.overlap.select(None)
        self.draws.leave()
        self.sizes.leave()
        self.cleared.emit()

    def _overlap_text(self, part: Part, point: tuple[int, float]) -> str:
        if part.counts is None:
            return ""
        m = point[0]
        share = share_text(float(part.counts.changed_by.value[m]))
        who = "by no sub-model" if m == 0 else f"by exactly {m} of {part.counts.models}"
        return f"{share} of the parameters were changed {who}"

    def _draw_text(self, part: Part, n: int) -> str:
        return text_of_draw(part, n)

    def _size_text(self, part: Part, exponent: int) -> str:
        return self.sizes.text_of(exponent)

    def _pair_text(self, part: Part, cell: tuple[int, int]) -> str:
        return "" if part.details is None else pair_text(part.details, self._models, cell[1], cell[0])
