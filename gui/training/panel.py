"""How the making of sub-models goes: a line for each order, small curves, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.text import one_line
from core.units import about_text
from gui.failure import Failure
from gui.training.orders import Orders
from gui.training.tools import TrainingTools
from gui.training.training import ShownTraining
from gui.widgets.messages import DetailsDialog, MessagePanel
from gui.widgets.plain import PlainLabel, tool_tip
from gui.widgets.theme import GRID, secondary
from gui.words import percent_text

if TYPE_CHECKING:
    from gui.training.curves import Curves

__all__ = ["TrainingPanel"]

_SHOW_MS = 300
"""Between two looks: a training of small models does many steps a second."""

_DETAILS = "Show the details"
_EMPTY = (
    "Make the sub-models yourself: one base, fine-tuned on your data in K orders, as the paper does.",
    "Training goes on in the background while you merge and look, and after this window is closed.",
)


class TrainingPanel(QStackedWidget):
    """Shows one training at a time. What it is told comes from the tasks; what it does is in its signals.

    Attributes:
        orders: their table and the plots. model, table: the orders.
        tools: the line above them; what is in there has the same names here.
        make_button: of the empty state.
        message: why it failed, or what can be done now.

    Signals:
        make_requested(): sub-models are to be made.
        chosen(object): the ShownTraining that is to be shown from now on.
        stop_requested(object), go_on_requested(object), use_requested(object), dismiss_requested(object): a
            ShownTraining is to be stopped, gone on with, taken into the recipe, or listed no more.
        open_requested(object): a folder, a Path, is to be shown.
    """

    make_requested = Signal()
    chosen = Signal(object)
    stop_requested = Signal(object)
    go_on_requested = Signal(object)
    use_requested = Signal(object)
    dismiss_requested = Signal(object)
    open_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._training: ShownTraining | None = None
        self._failure: Failure | None = None
        self._stale = False
        self._locked = False
        self.orders = Orders()
        self.model, self.table = self.orders.model, self.orders.table
        self.tools = TrainingTools()
        self.choice, self.note = self.tools.choice, self.tools.note
        self.stop_button, self.go_on_button = self.tools.stop_button, self.tools.go_on_button
        self.open_button, self.use_button = self.tools.open_button, self.tools.use_button
        self.dismiss_button = self.tools.dismiss_button
        self.make_button = QPushButton("Make sub-models…")
        self.make_button.clicked.connect(self.make_requested)
        self.message = MessagePanel(closable=False, takes_from=self.orders)
        self.message.action_requested.connect(self._on_message_action)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SHOW_MS)
        self._timer.timeout.connect(self._show_now)
        self.addWidget(self._empty())
        self.addWidget(self._content())
        self._connect()

    def _connect(self) -> None:
        for button, signal in (
            (self.stop_button, self.stop_requested),
            (self.go_on_button, self.go_on_requested),
            (self.use_button, self.use_requested),
            (self.dismiss_button, self.dismiss_requested),
        ):
            button.clicked.connect(lambda _=False, signal=signal: signal.emit(self._training))
        self.open_button.clicked.connect(self._on_open)
        self.choice.activated.connect(lambda at: self.chosen.emit(self.choice.itemData(at)))

    # -- called by whoever follows the tasks

    @property
    def curves(self) -> Curves | None:
        """The plots; None before the first training is shown."""
        return self.orders.curves

    @property
    def training(self) -> ShownTraining | None:
        """What is shown; None in the empty state."""
        return self._training

    def show_training(
        self,
        training: ShownTraining | None,
        others: Sequence[ShownTraining] = (),
        failure: Failure | None = None,
    ) -> None:
        """Show `training`, or what to do first.

        Args:
            training: one of `others`, or None.
            others: all that there are.
            failure: what went wrong when something was to be done with it; None for nothing.
        """
        other = training is not self._training
        self._training = training
        if training is None:
            self.setCurrentIndex(0)
            return
        self._failure = failure or training.task.failure
        self.choice.setVisible(len(others) > 1)
        self.choice.clear()
        for one in others:
            self.choice.addItem(one_line(one.out.name), one)
            self.choice.setItemData(
                self.choice.count() - 1, tool_tip(str(one.out)), Qt.ItemDataRole.ToolTipRole
            )
        self.choice.setCurrentIndex(next((at for at, one in enumerate(others) if one is training), -1))
        self.setCurrentIndex(1)
        if other:
            self.table.clearSelection()
        self._show_message()
        self._show_now()

    def show_soon(self) -> None:
        """More is known of what is shown."""
        if not self._timer.isActive():
            self._timer.start()

    def set_merging(self, merging: bool) -> None:
        """While a merge runs the recipe stays as it is."""
        self._locked = merging
        self._update_buttons()

    # -- inside

    @Slot()
    def _show_now(self) -> None:
        training = self._training
        if training is None:
            return
        self._stale = not self.isVisible()
        task = training.task
        orders = tuple(training.progress.orders.values())
        self.note.set_full_text(_note(training))
        self._update_buttons()
        if self._stale:
            return
        self.orders.show_orders(orders, running=task.running)

    def showEvent(self, event: object) -> None:
        super().showEvent(event)  # type: ignore[arg-type]
        if self._stale:
            self.show_soon()

    def _update_buttons(self) -> None:
        training = self._training
        if training is None:
            return
        task, done = training.task, training.progress.done
        self.stop_button.setVisible(task.running)
        self.stop_button.setEnabled(not task.stopping and task.is_here)
        self.stop_button.setText("Stopping…" if task.stopping else "Stop")
        self.go_on_button.setVisible(task.state in {"failed", "cancelled"})
        self.dismiss_button.setVisible(not task.running)
        self.use_button.setEnabled(not self._locked and (done > 1 or task.state == "done"))
        self.tools.fit()

    def _show_message(self) -> None:
        failure = self._failure
        if failure is None:
            self.message.clear()
        else:
            self.message.show_failure(failure, [_DETAILS] if failure.details else [])

    @Slot(str)
    def _on_message_action(self, words: str) -> None:
        if words == _DETAILS and self._failure is not None:
            DetailsDialog(self._failure, self.window()).open()

    @Slot()
    def _on_open(self) -> None:
        if self._training is not None:
            self.open_requested.emit(Path(self._training.out))

    def _empty(self) -> QWidget:
        empty = QWidget()
        layout = QVBoxLayout(empty)
        layout.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        layout.setSpacing(GRID)
        layout.addStretch(1)
        for at, text in enumerate(_EMPTY):
            label = PlainLabel(text)
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            if at:
                secondary(label)
            layout.addWidget(label)
        layout.addWidget(self.make_button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        return empty

    def _content(self) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID)
        layout.setSpacing(GRID // 2)
        layout.addWidget(self.tools)
        layout.addWidget(self.message)
        layout.addWidget(self.orders, 1)
        return content


def _note(training: ShownTraining) -> str:
    """ "34 %, about 12 min left: order 3 of 8"."""
    task = training.task
    if task.state == "done":
        return f"Done: {training.out}"
    if task.state == "cancelled":
        return f"Stopped at {percent_text(task.share)}: {training.out}"
    if task.state == "failed":
        return f"Failed at {percent_text(task.share)}: {training.out}"
    left = f", {about_text(task.remaining_s)} left" if task.remaining_s is not None else ""
    share = f"{percent_text(task.share)}{left}" if task.share or task.text else "Starting…"
    return f"{share}: {task.text}" if task.text else share
