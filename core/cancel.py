"""A way to stop a long job from outside."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from core.errors import Cancelled

__all__ = ["CancelToken"]


class CancelToken:
    """Asks a job to stop. Thread-safe; a job looks at it between chunks.

    Attributes:
        keeps: whether the job is to leave what it has finished, where it can go on with that later; None
            where whoever cancels leaves that to the job.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.keeps: bool | None = None
        self._hurried = False
        self._waiting = 0

    def cancel(self, *, keep: bool | None = None) -> None:
        """Ask the job to stop; returns at once."""
        if keep is not None:
            self.keeps = keep
        self._event.set()

    def hurry(self) -> None:
        """Ask the job to stop without waiting for a step that hangs; it cleans up all the same."""
        self._hurried = True
        self.cancel()

    @property
    def hurried(self) -> bool:
        return self._hurried

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Around what only waits, or may be broken off anywhere, in the thread that called the job.

        Outside of it, `hurry` waits for the job's thread: it may be cleaning up.
        """
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @property
    def may_be_interrupted(self) -> bool:
        """Whether an exception may be raised in the job's thread now."""
        return self._waiting > 0

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def raise_if_cancelled(self, job: str = "merge") -> None:
        """Raises Cancelled once `cancel` was called; `job` is what it calls that which was to be done."""
        if self._event.is_set():
            raise Cancelled(f"the {job} was cancelled")
