"""Looks at single tensors element by element, when it is wanted and nothing else is in the way."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core import MergePlan
from core.deltas.tensor_view import TensorView, view_tensor
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.looking.look_jobs import LookJob
from gui.looking.subject import Subject

__all__ = ["TensorViewer"]

_AFTER_MS = 250
"""A pause in going from cell to cell."""

_UNASKED_BYTES = 1_000_000_000
"""So much is read of a tensor without asking."""


class TensorViewer(QObject):
    """Reads the tensor that is wanted, once for the same models.

    Signals:
        forgotten(): what was viewed is of other models.
        viewed(object): a TensorView, better ones as the reading goes on.
        offered(object): so many bytes, an int, would have to be read; insist where that is wanted.
        told(str): there is no view, and why.
    """

    forgotten = Signal()
    viewed = Signal(object)
    offered = Signal(object)
    told = Signal(str)

    def __init__(self, jobs: JobKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._subject: Subject | None = None
        self._name = ""
        self._seen = ""
        self._job: ViewJob | None = None
        self._held = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_AFTER_MS)
        self._pause.timeout.connect(self._on_pause)

    @Slot(object)
    def set_subject(self, subject: Subject | None) -> None:
        """The models; None for none."""
        self._stop()
        before, self._subject = self._subject, subject
        if before is not None and (subject is None or subject.models != before.models):
            self._seen = ""
            self.forgotten.emit()
        self.want(self._name)

    def hold(self, held: bool) -> None:
        """Read nothing while a merge runs."""
        self._held = held
        if held:
            self._stop()
        self.want(self._name)

    @Slot(str)
    def want(self, name: str) -> None:
        """View the tensor `name`; "" for none."""
        self._stop()
        if name != self._name:
            self._name, self._seen = name, ""
        if name == self._seen:
            return
        if name and self._held:
            self.told.emit("Where its deltas are is looked at when the merge is done.")
        elif name and self._subject is not None:
            self._pause.start()

    @Slot(str)
    def insist(self, name: str) -> None:
        """View the tensor `name`, however large it is."""
        self._stop()
        if self._subject is not None and not self._held:
            self._name = name
            self._start()

    def _stop(self) -> None:
        self._pause.stop()
        if self._job is not None:
            self._job.cancel()
            self._job = None

    @Slot()
    def _on_pause(self) -> None:
        assert self._subject is not None
        plan = self._subject.plan
        size = 0 if plan is None else _bytes_of(plan, self._name)
        if size > _UNASKED_BYTES:
            self.offered.emit(size)
        else:
            self._start()

    def _start(self) -> None:
        assert self._subject is not None
        self._job = ViewJob(self._subject.setup, self._subject.plan, self._name)
        self._job.found.connect(self._on_found)
        self._job.failed.connect(self._on_failed)
        self.told.emit("Looking at every element…")
        self._jobs.start(self._job)

    @Slot(object)
    def _on_found(self, view: TensorView) -> None:
        if self.sender() is self._job:
            self._seen = view.name if view.statistics is not None else ""
            self.viewed.emit(view)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.sender() is self._job:
            self.told.emit(f"{failure.message} {failure.hint or ''}".strip())


class ViewJob(LookJob):
    """Looks at one tensor; what it finds are TensorViews."""

    def __init__(self, setup: MergeSetup, plan: MergePlan | None, name: str) -> None:
        super().__init__(setup, plan)
        self._name = name

    def look(self, plan: MergePlan) -> None:
        self._on_view(view_tensor(plan, self._name, cancel=self.token, on_view=self._on_view))

    def _on_view(self, view: TensorView) -> None:
        if not self.token.cancelled:
            self.found.emit(view)


def _bytes_of(plan: MergePlan, name: str) -> int:
    return sum(
        source.bytes_to_read
        for tensor in plan.tensors
        if tensor.output.name == name
        for source in tensor.inputs
    )
