"""The orders of a training: their table, and beside it the curves of those that are selected."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

from gui.training.progress import OrderProgress
from gui.training.table_model import OrdersModel
from gui.training.table_view import OrdersView
from gui.widgets.theme import GRID

if TYPE_CHECKING:
    from gui.training.curves import Curves

__all__ = ["Orders"]

_CURVE, _TABLE = 28 * GRID, 44 * GRID
"""Pixels for one plot of curves, and as much for each of three; and for the columns that matter most."""


class Orders(QSplitter):
    """Attributes:
    model, table: the orders.
    curves: the plots; None before the first order is shown.
    """

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.curves: Curves | None = None
        self.model = OrdersModel(self)
        self.table = OrdersView(self.model)
        self._orders: Sequence[OrderProgress] = ()
        self._moved = False  # the user has said how wide the table is
        self.setChildrenCollapsible(False)
        self.addWidget(self.table)
        self.table.selectionModel().selectionChanged.connect(self._show_curves)

    def show_orders(self, orders: Sequence[OrderProgress], *, running: bool) -> None:
        """Show how far each is; `running`: whether they go on."""
        self._orders = tuple(orders)
        self.model.show_orders(self._orders, running=running)
        self._show_curves()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share()

    @Slot()
    def _show_curves(self) -> None:
        if not self.isVisible():
            return
        if self.curves is None:
            self._begin_curves()
            return
        selected = {index.row() + 1 for index in self.table.selectionModel().selectedRows()}
        self.curves.show_orders(tuple(self._orders), selected)

    def _begin_curves(self) -> None:
        """Make the plots, which takes a while, and so one at a time; nobody needs them before."""
        from gui.training.curves import Curves

        self.curves = Curves()
        self.addWidget(self.curves)
        self.splitterMoved.connect(self._on_splitter_moved)
        self._share()
        QTimer.singleShot(0, self, self._build_curves)

    @Slot()
    def _build_curves(self) -> None:
        assert self.curves is not None
        if self.curves.build_next():
            QTimer.singleShot(0, self, self._build_curves)
        stops: tuple[QWidget, ...] = (self.table, self.curves.choice, *self.curves.plots.values())
        for before, after in pairwise(stops):  # they come into the window last
            QWidget.setTabOrder(before, after)
        self._show_curves()

    def _share(self) -> None:
        """Give the table what its columns take, up to half the room, and the curves the rest."""
        if self.curves is not None and not self._moved:
            width = self.width()
            least = min(width - _CURVE, _TABLE)
            table = min(self.table.wanted_width, max(width // 2, width - 3 * _CURVE, least))
            self.setSizes([table, width - table])

    @Slot()
    def _on_splitter_moved(self) -> None:
        self._moved = True
