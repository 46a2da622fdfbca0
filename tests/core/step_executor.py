"""An executor unlike the product's: one thread for each step, through which the slots go round."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from core.cancel import CancelToken
from core.run.work import LATER, Work

_END = object()


class StepExecutor:
    """Fills in one thread, computes in a second, finishes in a third, collects in the caller's.

    Attributes:
        steps: by the step's name, the threads that did it.
    """

    def __init__(self) -> None:
        self.steps: dict[str, set[int]] = {"fill": set(), "compute": set(), "finish": set()}

    def run(self, work: Work[Any, Any], *, slots: int, token: CancelToken, poll: Callable[[], None]) -> None:
        free, filled, computed, done = (queue.SimpleQueue[Any]() for _ in range(4))
        turn = threading.Condition()
        failures: list[BaseException] = []
        all_slots = [work.slot() for _ in range(slots)]
        for slot in all_slots:
            free.put(slot)

        def next_chunk() -> Any:
            with turn:
                while not (token.cancelled or failures):
                    chunk = work.take()
                    if chunk is not LATER:
                        return chunk
                    turn.wait(0.05)
            return None

        def step(name: str, source: Callable[[], Any], target: queue.SimpleQueue[Any]) -> None:
            try:
                while (item := source()) is not _END:
                    slot, chunk = item
                    self.steps[name].add(threading.get_ident())
                    result = getattr(slot, name)(chunk)
                    if name == "finish":
                        free.put(slot)
                    target.put(result if name == "finish" else item)
            except BaseException as error:
                failures.append(error)
                free.put(None)
            finally:
                target.put(_END)

        def begin() -> Any:
            slot = free.get()
            chunk = None if slot is None else next_chunk()
            return _END if chunk is None else (slot, chunk)

        threads = [
            threading.Thread(target=step, args=arguments)
            for arguments in (
                ("fill", begin, filled),
                ("compute", filled.get, computed),
                ("finish", computed.get, done),
            )
        ]
        for thread in threads:
            thread.start()
        while (result := done.get()) is not _END:
            with turn:
                work.collect(result)
                turn.notify_all()
            poll()
        for thread in threads:
            thread.join()
        for slot in all_slots:
            slot.close()
        if failures:
            raise failures[0]
        token.raise_if_cancelled()
        poll()
