"""A way to stop a long job from outside."""

from __future__ import annotations

import threading

from core.errors import Cancelled

__all__ = ["CancelToken"]


class CancelToken:
    """Asks a job to stop. Thread-safe; a job looks at it between chunks.

    Attributes:
        keeps: whether the job is to leave what it has finished, where it can go on with that later.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.keeps = False

    def cancel(self, *, keep: bool = False) -> None:
        """Ask the job to stop; returns at once."""
        self.keeps |= keep
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raises Cancelled once `cancel` was called."""
        if self._event.is_set():
            raise Cancelled
