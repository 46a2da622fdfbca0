"""Where in a matrix the deltas are, or what stands in the way of knowing it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from core.deltas.tensor_view import TensorView
from core.units import bytes_text, share_text
from gui.pictures.heat_map import HeatMap
from gui.pictures.scales import share_scale
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import secondary
from gui.words import grouped

__all__ = ["TensorMap"]


class TensorMap(QStackedWidget):
    """The share of zero deltas in each tile of a matrix, or a sentence.

    Attributes:
        plot: the map. look_button: asks for it where it takes a while.

    Signals:
        insisted(): it is wanted, however long it takes.
        told(str): what is pointed at, in words; "" for nothing.
    """

    insisted = Signal()
    told = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: TensorView | None = None
        self._at: tuple[int, int] | None = None
        self.plot = HeatMap("Share of zero deltas by rows and columns of the matrix", "Column", "Row")
        self._sentence = PlainLabel()
        self._sentence.setWordWrap(True)
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        secondary(self._sentence)
        self.look_button = QPushButton("Look at every element")
        offer = QWidget()
        column = QVBoxLayout(offer)
        column.addStretch(1)
        column.addWidget(self._sentence)
        column.addWidget(self.look_button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        self.addWidget(offer)
        self.addWidget(self.plot)
        self.look_button.clicked.connect(self.insisted)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)

    @property
    def sentence(self) -> str:
        """What is said in the place of the map; "" while it is there."""
        return "" if self.shows_map else self._sentence.text()

    @property
    def shows_map(self) -> bool:
        return self.currentWidget() is self.plot

    def say(self, text: str) -> None:
        """There is no map, and why."""
        self._sentence.setText(text)
        self.look_button.hide()

    def offer(self, size_bytes: int) -> None:
        """It takes a while to read so much: ask first."""
        self._sentence.setText(f"Where its deltas are is found by reading {bytes_text(size_bytes)}.")
        self.look_button.show()

    def show_view(self, view: TensorView | None, model: int | None) -> None:
        """Show where sub-model `model` or, for None, all on average have zero deltas; no view, no map."""
        others = view is None or self._view is None or view.name != self._view.name
        self._view = view
        if others:
            self.leave()
        if view is None or not view.changed.size:
            self.setCurrentIndex(0)
            return
        self.setCurrentWidget(self.plot)
        changed = view.share.mean(axis=0) if model is None else view.share[model]
        zero = 100 * (1 - changed.T)
        columns, rows = ([str(first) for first in firsts[:-1]] for firsts in (view.columns, view.rows))
        self.plot.show_cells(zero, columns, rows, share_scale(zero, "% zero", falling=True))

    def leave(self) -> None:
        """Go nowhere any more."""
        self._at = None
        self.plot.select(None, None)

    # -- inside

    def _on_pointed(self, tile: tuple[int, int] | None) -> None:
        self.told.emit(self._text_of(tile or self._at))

    def _on_chosen(self, tile: tuple[int, int]) -> None:
        self._at = tile
        self.plot.select(*tile)
        self.told.emit(self._text_of(tile))

    def _text_of(self, tile: tuple[int, int] | None) -> str:
        view = self._view
        if view is None or tile is None:
            return ""
        column, row = tile
        rows, columns = view.rows[row : row + 2], view.columns[column : column + 2]
        share = float(self.plot.values[column, row]) / 100
        known = f"{share_text(share)} zero deltas" if np.isfinite(share) else "not read yet"
        return f"{_span('Row', rows)}, {_span('column', columns)}: {known}"


def _span(noun: str, ends: np.ndarray) -> str:
    """ "Rows 0 to 15", or "Row 3"."""
    first, last = int(ends[0]), int(ends[1]) - 1
    return f"{noun} {grouped(first)}" if first == last else f"{noun}s {grouped(first)} to {grouped(last)}"
