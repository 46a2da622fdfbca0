"""Threads of this process, each with a slot of its own, that take chunks from one queue."""

from __future__ import annotations

import contextlib
import errno
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from core.cancel import CancelToken
from core.cores import begin_with
from core.errors import MergeError, error_of_memory
from core.run.executors.crew import Crew
from core.run.work import LATER, Work

__all__ = ["ThreadExecutor", "allow_open_files"]

C = TypeVar("C")
D = TypeVar("D")

_POLL_S = 0.1


class ThreadExecutor:
    """A core.run.work.Executor: one thread a slot does all three steps of a chunk.

    Where there are more slots than the machine is likely to have room for, as many threads work at a time
    as get the most done.
    """

    def __init__(self, *, all_at_once: bool = False) -> None:
        """Args:
        all_at_once: whether every slot is used from the beginning, as where they wait for a device.
        """
        self._all_at_once = all_at_once

    def run(self, work: Work[C, D], *, slots: int, token: CancelToken, poll: Callable[[], None]) -> None:
        lock = threading.Lock()
        turn = threading.Condition(lock)
        """Held while the work is asked for a chunk or given what came of one; notified after that."""
        called = threading.Condition(lock)
        """Notified when more are to work, and at the end."""
        crew = self._crew(slots)
        news = threading.Event()
        stop = CancelToken()
        results: queue.SimpleQueue[D] = queue.SimpleQueue()
        failures: list[BaseException] = []
        running = slots
        ended = False
        """Whether the work has said that there are no more chunks."""

        def take(number: int, done: C | None) -> C | None:
            """The next chunk for the worker of this number, which has done another."""
            nonlocal ended
            with turn:
                if done is not None and crew.done(work.size(done), time.perf_counter()):
                    called.notify_all()
                while not (stop.cancelled or token.cancelled or ended):
                    if number >= crew.size:
                        called.wait(_POLL_S)
                        continue
                    chunk = work.take()
                    if chunk is None:
                        ended = True
                        called.notify_all()
                    elif chunk is not LATER:
                        return chunk
                    else:
                        turn.wait(_POLL_S)
            return None

        def loop(number: int) -> None:
            nonlocal running
            try:
                if (chunk := take(number, None)) is None:
                    return
                slot = work.slot()
                try:
                    while chunk is not None:
                        slot.fill(chunk)
                        slot.compute(chunk)
                        results.put(slot.finish(chunk))
                        if work.eager:
                            news.set()
                        chunk = take(number, chunk)
                finally:
                    slot.close()
            except BaseException as error:
                failures.append(error)
                stop.cancel()
            finally:
                with turn:
                    running -= 1
                    turn.notify_all()
                    if running == 0:
                        news.set()

        def collect() -> None:
            with contextlib.suppress(queue.Empty), turn:
                try:
                    while True:
                        work.collect(results.get_nowait())
                finally:
                    turn.notify_all()

        threads = [
            threading.Thread(target=loop, args=(number,), name=f"worker-{number}", daemon=True)
            for number in range(slots)
        ]
        started: list[threading.Thread] = []
        try:
            for thread in threads:
                try:
                    thread.start()
                except (RuntimeError, MemoryError) as error:  # those that have begun can do it all
                    if not started:
                        raise error_of_memory(error) from error
                    with turn:
                        running -= slots - len(started)
                        if running == 0:
                            news.set()
                    break
                started.append(thread)
            next_poll = time.monotonic() + _POLL_S
            while running:
                with token.interruptible():
                    news.wait(max(0.0, next_poll - time.monotonic()))
                news.clear()
                collect()
                if time.monotonic() >= next_poll:
                    poll()
                    next_poll = time.monotonic() + _POLL_S
        finally:
            stop.cancel()
            with turn:
                turn.notify_all()
            for thread in started:
                thread.join(_POLL_S)
                while thread.is_alive() and not token.hurried:
                    thread.join(_POLL_S)
        if failures or token.cancelled:
            with contextlib.suppress(MergeError):  # what else is done counts; the reason to stop is said
                collect()
        if failures:
            raise _in_words(failures[0])
        token.raise_if_cancelled()
        collect()
        poll()

    def _crew(self, slots: int) -> Crew:
        first = slots if self._all_at_once else min(slots, begin_with())
        return Crew(first, slots if first == slots else max(min(2, first), first // 2), slots)


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count`, as far as the system lets it."""
    global _files_asked_for
    _files_asked_for = count
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


_files_asked_for = 0
"""By the work that began last: what a message says that is to be allowed, where it was too few."""


def _in_words(error: BaseException) -> BaseException:
    """What a worker failed with, as what is raised."""
    if isinstance(error, MemoryError):
        return error_of_memory()
    cause = error.__cause__
    if isinstance(error, MergeError) and isinstance(cause, OSError) and cause.errno == errno.EMFILE:
        many = _files_asked_for
        error.hint = (
            f"it takes up to {many:,} open files: allow them with `ulimit -n {many}`, or use fewer threads"
        )
    return error
