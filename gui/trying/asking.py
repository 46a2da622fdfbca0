"""Asking the models: the process in which they answer, begun when it is needed and ended when it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.trying.child import AnswerProcess, TryEvent

__all__ = ["Asking", "Options"]

_IDLE_MS = 10 * 60 * 1000
"""After which the models are let go: others need the memory, too."""


@dataclass(frozen=True)
class Options:
    """How the models are asked.

    Attributes:
        system: the system prompt; "" for none.
        chat: whether chat templates are used.
        max_new_tokens: the most tokens of an answer.
        temperature: 0 for the likeliest token each time.
        seed: of what is drawn at other temperatures.
    """

    system: str = ""
    chat: bool = True
    max_new_tokens: int = 200
    temperature: float = 0.0
    seed: int = 0


class Asking(QObject):
    """Has models answer, one prompt at a time.

    Attributes:
        running: whether they are answering.
        stopping: whether they were told to stop.

    Signals:
        said(object): a TryEvent about one of them.
        failed(object): a Failure of all of them.
        changed(): `running` or `stopping` has changed.
    """

    said = Signal(object)
    failed = Signal(object)
    changed = Signal()

    def __init__(
        self,
        jobs: JobKeeper,
        parent: QObject | None = None,
        *,
        process: Callable[[], AnswerProcess] = AnswerProcess,
    ) -> None:
        """Args:
        jobs: keeps the process.
        process: makes one.
        """
        super().__init__(parent)
        self._jobs, self._make = jobs, process
        self._process: AnswerProcess | None = None
        self._number = 0
        self.running = self.stopping = False
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(_IDLE_MS)
        self._idle.timeout.connect(self.let_go)

    def ask(self, prompt: str, models: Sequence[Path], options: Options) -> None:
        """Have `models` answer `prompt`; nothing while others do."""
        if self.running:
            return
        self._idle.stop()
        self._number += 1
        self.running, self.stopping = True, False
        if self._process is None:
            process = self._process = self._make()
            process.said.connect(self._on_said)
            process.ended.connect(self._on_process_ended)
            self._jobs.start(process)
        self._process.send(
            {
                "id": self._number,
                "prompt": prompt,
                "models": [str(model) for model in models],
                "system": options.system,
                "chat": options.chat,
                "max_new_tokens": options.max_new_tokens,
                "temperature": options.temperature,
                "seed": options.seed,
            }
        )
        self.changed.emit()

    def stop(self) -> None:
        """Have them stop where they are; told again, at once, whatever that costs."""
        if not self.running or self._process is None:
            return
        if self.stopping:
            self._process.kill()
            return
        self.stopping = True
        self._process.send({"cancel": True})
        self.changed.emit()

    @Slot()
    def let_go(self) -> None:
        """Free the memory that the models take, unless they are answering."""
        self._idle.stop()
        if self._process is not None and not self.running:
            process, self._process = self._process, None
            process.cancel()

    @Slot(object)
    def _on_said(self, event: TryEvent) -> None:
        if event.request != self._number or not self.running:
            return
        if event.kind == "ended":
            self._end()
        elif event.model is None:
            if event.kind == "failed":
                self.failed.emit(Failure(event.text, event.hint))
        else:
            self.said.emit(event)

    @Slot(object)
    def _on_process_ended(self, failure: Failure | None) -> None:
        if self.sender() is not self._process:
            return  # it was let go
        self._process = None
        if self.running:
            if failure is not None:
                self.failed.emit(failure)
            self._end()

    def _end(self) -> None:
        self.running = self.stopping = False
        if self._process is not None:
            self._idle.start()
        self.changed.emit()
