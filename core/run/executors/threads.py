"""A pool of threads that take pieces of work from one queue, and can be stopped between them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from core.cancel import CancelToken
from core.errors import MergeError

__all__ = ["Worker", "allow_open_files", "default_threads", "run_workers"]

T = TypeVar("T")
Work = TypeVar("Work", contravariant=True)

_POLL_S = 0.1


class Worker(Protocol, Generic[Work]):
    """What one thread does, with buffers and files of its own."""

    def handle(self, work: Work) -> None:
        """Do one piece of work."""
        ...

    def close(self) -> None:
        """Called once, at the end, in the worker's thread."""
        ...


def run_workers(
    queue: Iterator[T],
    make_worker: Callable[[], Worker[T]],
    *,
    threads: int,
    token: CancelToken,
    poll: Callable[[], None],
) -> None:
    """Work off `queue` in `threads` threads.

    Args:
        queue: the pieces of work, in the order in which they are begun.
        make_worker: called once in each thread.
        threads: their number.
        token: looked at before each piece.
        poll: called in this thread about ten times a second and once at the end.

    Raises:
        Cancelled: after `token.cancel()`.
        BaseException: what the first failing worker raised, or `poll`; no thread is left then.
    """
    lock = threading.Lock()
    stop = CancelToken()
    all_done = threading.Event()
    failures: list[BaseException] = []
    running = threads

    def loop() -> None:
        nonlocal running
        try:
            worker = make_worker()
            try:
                while not (stop.cancelled or token.cancelled):
                    with lock:
                        work = next(queue, None)
                    if work is None:
                        break
                    worker.handle(work)
            finally:
                worker.close()
        except BaseException as error:
            failures.append(error)
            stop.cancel()
        finally:
            with lock:
                running -= 1
                if running == 0:
                    all_done.set()

    workers = [
        threading.Thread(target=loop, name=f"worker-{number}", daemon=True) for number in range(threads)
    ]
    started: list[threading.Thread] = []
    try:
        for worker in workers:
            worker.start()
            started.append(worker)
        while not all_done.wait(_POLL_S):
            poll()
    finally:
        stop.cancel()
        for worker in started:
            worker.join()
    if failures:
        raise _without_memory_error(failures[0])
    token.raise_if_cancelled()
    poll()


def default_threads() -> int:
    """One worker for each core that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count`, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _without_memory_error(error: BaseException) -> BaseException:
    if isinstance(error, MemoryError):
        return MergeError("there is not enough memory", hint="use fewer threads")
    return error
