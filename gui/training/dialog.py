"""Asks what sub-models are made of, and how."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPushButton, QVBoxLayout, QWidget

from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.training.estimate_job import Estimate, EstimateJob, Known
from gui.training.form import MakeForm, Start
from gui.training.request import Request
from gui.widgets.messages import MessagePanel, without_icons
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID, accent_button

__all__ = ["MakeDialog"]

_PAUSE_MS = 300
"""A pause in typing, after which is looked at what is asked for."""


class MakeDialog(QDialog):
    """Asks for a Request. What is filled in is looked at in jobs, while it is.

    Attributes:
        form: the fields.
        estimate: what is known of what they say; None while that is being found out.
        message: why it cannot begin.
        start_button: begins.

    Signals:
        requested(object): a Request is to be carried out; whoever does closes the dialog, or says why not.
    """

    requested = Signal(object)

    def __init__(self, start: Start, jobs: JobKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Make sub-models")
        self._jobs = jobs
        self._known = Known()
        self._job: EstimateJob | None = None
        self.estimate: Estimate | None = None
        self.form = MakeForm(start)
        self.message = MessagePanel(closable=False)
        room = QWidget()  # so that nothing moves when there is something to be said
        room.setFixedHeight(2 * self.fontMetrics().lineSpacing() + 4 * GRID)
        in_room = QVBoxLayout(room)
        in_room.setContentsMargins(0, 0, 0, 0)
        in_room.addStretch(1)
        in_room.addWidget(self.message)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.start_button = QPushButton("&Start")
        buttons.addButton(self.start_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.rejected.connect(self.reject)
        without_icons(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        layout.addWidget(self.form)
        layout.addStretch(1)
        layout.addWidget(room)
        layout.addWidget(buttons)
        accent_button(self.start_button)
        self.start_button.setDefault(True)
        self.start_button.clicked.connect(self._on_start)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.look_now)
        self.form.changed.connect(self._on_changed)
        self.setMinimumWidth(80 * GRID)
        self.look_now()

    def show_failure(self, failure: Failure) -> None:
        """Say why it did not begin."""
        self.message.show_failure(failure)

    @Slot()
    def look_now(self) -> None:
        """Look at what is filled in."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
        self.estimate = None
        self._job = EstimateJob(self.form.asked(), self._known)
        self._job.found.connect(self._on_found)
        self._jobs.start(self._job)
        self._update()

    def done(self, result: int) -> None:
        """Closed, one way or another."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
        super().done(result)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        first = "data" if self.form.path("base") is not None else "base"
        self.form.fields[first].setFocus(Qt.FocusReason.OtherFocusReason)

    # -- inside

    @Slot()
    def _on_changed(self) -> None:
        self.estimate = None
        self.message.clear()
        self._timer.start()
        self._update()

    @Slot(object)
    def _on_found(self, estimate: Estimate) -> None:
        if estimate.asked != self.form.asked():
            return  # something was typed since
        self.estimate, self._job = estimate, None
        self.form.show_texts(estimate.texts, estimate.problems)
        self._update()

    def _update(self) -> None:
        """What stands in the way is said beside the button that it keeps from being pressed."""
        request, found = self.form.request(), self.estimate
        missing = request if isinstance(request, Failure) else None
        wrong = None if found is None else found.problems.get("") or next(iter(found.problems.values()), None)
        self.start_button.setEnabled(found is not None and missing is None and wrong is None)
        said = wrong or missing
        self.start_button.setToolTip("" if said is None else tool_tip(said.message))
        if found is None:
            return
        if wrong is not None:
            self.message.show_failure(wrong)
        elif missing is not None:
            self.message.show_note(missing.message, missing.hint)
        else:
            self.message.clear()

    @Slot()
    def _on_start(self) -> None:
        request = self.form.request()
        if isinstance(request, Request) and self.estimate is not None and not self.estimate.problems:
            self.requested.emit(request)
