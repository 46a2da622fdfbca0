"""Long work in separate threads. Everything that a signal carries is frozen."""

from __future__ import annotations

from PySide6.QtCore import QObject, QThread, Slot

__all__ = [
    "Job",
    "JobKeeper",
]


_STACK_BYTES = 16 * 1024**2
"""numba's compiler needs more than the 512 KiB that macOS gives a thread."""


class Job(QThread):
    """A thread that overrides run(). Keep it in a JobKeeper, so that it outlives its work."""

    def __init__(self) -> None:
        super().__init__()
        self.setStackSize(_STACK_BYTES)

    def cancel(self) -> None:
        """Ask the job to stop; a job that cannot stop goes on to its end."""


class JobKeeper(QObject):
    """Owns running jobs, and lets go of them when their threads have ended."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: set[Job] = set()
        self._stopped = False

    @property
    def idle(self) -> bool:
        """Whether no job runs."""
        return not self._jobs

    @property
    def stopped(self) -> bool:
        """Whether all were stopped, and none is started any more."""
        return self._stopped

    def start(self, job: Job) -> None:
        """Start `job`; not any more once all were stopped: signals of ended jobs may still start others."""
        if self._stopped:
            return
        self._jobs.add(job)
        job.finished.connect(self._on_finished)
        job.start()

    def stop_all(self) -> None:
        """Cancel what can be cancelled, and return when all threads have ended; none is started later."""
        self._stopped = True
        for job in self._jobs:
            job.cancel()
        for job in list(self._jobs):
            job.wait()
        self._jobs.clear()

    @Slot()
    def _on_finished(self) -> None:
        for job in [job for job in self._jobs if job.isFinished()]:
            job.wait()  # isFinished() is true a moment before the thread has left
            self._jobs.discard(job)
