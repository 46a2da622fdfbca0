"""The parts of the detail, placed by the shape of the room that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter

from gui.pictures.detail_model import DetailView
from gui.widgets.theme import GRID

if TYPE_CHECKING:
    from gui.pictures.part_plots import PartPlots
    from gui.pictures.tensor_map import TensorMap

__all__ = ["PART_PLOTS", "DetailParts"]

PART_PLOTS = ("Changed by m of K", "Left by n", "Sizes of deltas", "Cosines")
"""What the plots of a part show."""

_MOST = (1 << 24) - 1
"""Pixels; Qt's QWIDGETSIZE_MAX."""

_TALL = 1.1
"""Of the height to the width: from there on the parts stand below each other."""

_TABLE_BESIDE_TWO, _TABLE_BESIDE_ONE, _TABLE_TALL = 0.5, 0.7, 0.4
"""The most of the room that the numbers take: beside plots and map, beside plots, and above them."""

_WIDE = 120 * GRID
"""Of less width, nothing but an invitation to choose a tensor is no reason for a part beside the plots."""

_HINT_WIDTH, _HINT_HEIGHT, _OFFER_HEIGHT = 22 * GRID, 6 * GRID, 12 * GRID
"""What the sentence takes that stands where there is no map, and the height with a button below it."""

_LEAST = 20 * GRID, 13 * GRID, 15 * GRID
"""Widths of the parts while they stand beside each other."""


class DetailParts(QSplitter):
    """Numbers, plots and map, beside each other in a low and wide room and below each other in a tall one.

    The numbers take what they need and no more, and a map that there is not a few lines; the plots have the
    rest. What the user moved stays until the shape of the room, the numbers or the map are others.
    """

    def __init__(self, table: DetailView, plots: PartPlots, map_: TensorMap) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._table, self._plots, self._map = table, plots, map_
        self._moved = self._printed = self._invites = False
        self._arranged: tuple[object, ...] = ()
        self.setChildrenCollapsible(False)
        self.setHandleWidth(GRID)
        for part in (table, plots, map_):
            self.addWidget(part)
        self.splitterMoved.connect(self._on_moved)

    @property
    def is_tall(self) -> bool:
        return self.orientation() == Qt.Orientation.Vertical

    def set_inviting(self, inviting: bool) -> None:
        """Whether the map only says that a tensor can be chosen."""
        self._invites = inviting
        self.arrange()

    def arrange(self) -> None:
        """Give each part its room."""
        narrow = self.width() < max(sum(_LEAST), self.height() / _TALL)
        tall = narrow and not self._printed
        table, has_map, hint_height = self._table.size_of_all, self._map.shows_map, self._hint_height
        low = not tall and self.width() < _WIDE
        map_shown = has_map or not (self._printed or (self._invites and low))
        arranged = tall, has_map, hint_height, map_shown, table
        if arranged != self._arranged:
            self._arranged, self._moved = arranged, False
            self.setOrientation(Qt.Orientation.Vertical if tall else Qt.Orientation.Horizontal)
            for part, least in zip((self._table, self._plots, self._map), _LEAST, strict=True):
                part.setMinimumWidth(0 if tall else least)
            self._table.setMaximumSize(*((_MOST, table.height()) if tall else (table.width(), _MOST)))
            hint = (_MOST, hint_height) if tall else (_HINT_WIDTH, _MOST)
            self._map.setMaximumSize(*((_MOST, _MOST) if has_map else hint))
            self._map.setVisible(map_shown)
        if not self._moved:
            self._divide(tall)

    def print_beside(self) -> None:
        """Keep the parts beside each other: paper is as wide as they need."""
        self._printed = True

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.arrange()

    @property
    def _hint_height(self) -> int:
        return _HINT_HEIGHT if self._map.look_button.isHidden() else _OFFER_HEIGHT

    def _divide(self, tall: bool) -> None:
        has_map = self._map.shows_map
        seen = not self._map.isHidden()
        room = (self.height() if tall else self.width()) - (2 if seen else 1) * self.handleWidth()
        whole = self._table.size_of_all
        if tall:
            numbers, hint = min(whole.height(), _TABLE_TALL * room), self._hint_height
        else:
            most = _TABLE_BESIDE_TWO if seen else _TABLE_BESIDE_ONE
            numbers, hint = min(whole.width(), most * room), _HINT_WIDTH
        rest = room - numbers
        map_ = rest / 2 if has_map else hint if seen else 0
        self.setSizes([round(size) for size in (numbers, rest - map_, map_)])

    @Slot()
    def _on_moved(self) -> None:
        self._moved = True
