"""The orders of a training as a Qt item model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QObject, Qt

from core.units import about_text
from gui.training.progress import OrderProgress
from gui.widgets.chips import model_chip
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import Index, TableModel
from gui.words import grouped, percent_text

__all__ = ["Column", "OrdersModel", "measure_text"]


class Column(IntEnum):
    ORDER = 0
    PROGRESS = 1
    STEP = 2
    LOSS = 3
    EVAL = 4
    RATE = 5
    NORM = 6
    LEFT = 7


_TITLES = {
    Column.ORDER: "Order",
    Column.PROGRESS: "Progress",
    Column.STEP: "Step",
    Column.LOSS: "Loss",
    Column.EVAL: "Eval loss",
    Column.RATE: "Rate",
    Column.NORM: "Norm",
    Column.LEFT: "Left",
}
_HELP = {
    Column.ORDER: "One fine-tuning of the base, on the data in an order of its own",
    Column.PROGRESS: "How much of it is done",
    Column.STEP: "Steps that were done, of how many",
    Column.LOSS: "Of the last step's samples, nats a token (of a classifier: a row)",
    Column.EVAL: "Of the validation data, when it was measured last: nats a token (of a classifier: a row)",
    Column.RATE: "The learning rate of the last step",
    Column.NORM: "The norm of the last step's gradient, before it was clipped",
    Column.LEFT: "About how long its other steps take",
}


def measure_text(value: float, measure: str) -> str:
    """A loss with four decimals, a learning rate and a norm with three digits; "–" for nothing."""
    if not math.isfinite(value):
        return "–"
    if measure == "loss":
        return f"{value:.4f}".replace("-", "−")
    return f"{value:.2e}" if measure == "learning_rate" else f"{value:.3g}"


class OrdersModel(TableModel):
    """A line for each order. Its chip has the colour that its model has as a sub-model, in every picture."""

    titles = _TITLES
    help = _HELP

    @staticmethod
    def alignment(column: Any) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignLeft if column == Column.ORDER else Qt.AlignmentFlag.AlignRight
        return side | Qt.AlignmentFlag.AlignVCenter

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._orders: tuple[OrderProgress, ...] = ()
        self._running = False

    def show_orders(self, orders: Sequence[OrderProgress], *, running: bool) -> None:
        """Show `orders` as they are now; `running`: whether a process works on them."""
        self._running = running
        if len(orders) != len(self._orders):
            self.beginResetModel()
            self._orders = tuple(orders)
            self.endResetModel()
            return
        self._orders = tuple(orders)
        if orders:
            self.dataChanged.emit(self.index(0, 0), self.index(len(orders) - 1, len(Column) - 1))

    def count(self) -> int:
        return len(self._orders)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._orders):
            return None
        order, column = self._orders[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(order, column)
        if role == Qt.ItemDataRole.DecorationRole and column is Column.ORDER:
            return model_chip(order.number - 1)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self.alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(
                "\n".join(
                    f"{_TITLES[one]}: {self._text(order, one)}"
                    if one is not Column.ORDER
                    else f"order-{order.number}, epoch {order.epoch or '–'}"
                    for one in Column
                )
            )
        return None

    def _text(self, order: OrderProgress, column: Column) -> str:
        if column is Column.ORDER:
            return f"order-{order.number}"
        if column is Column.PROGRESS:
            return self._progress_text(order)
        if column is Column.STEP:
            return f"{grouped(order.step)} of {grouped(order.of)}" if order.of else "–"
        if column is Column.LEFT:
            left = order.remaining_s if self._running else None
            return about_text(left).removeprefix("about ") if left is not None else "–"
        if column is Column.EVAL:
            return measure_text(order.eval_loss, "loss")
        measure = {Column.LOSS: "loss", Column.RATE: "learning_rate", Column.NORM: "grad_norm"}[column]
        return measure_text(order.last(measure), measure)

    def _progress_text(self, order: OrderProgress) -> str:
        if order.done:
            return "done"
        if order.steps:
            return percent_text(order.share)
        return "waiting" if self._running else "–"
