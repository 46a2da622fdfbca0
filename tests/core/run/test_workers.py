from __future__ import annotations

import threading

import pytest

from core.cancel import CancelToken
from core.errors import Cancelled
from core.run.executors.threads import run_workers


class Recorder:
    """A worker that notes what it was given."""

    def __init__(self, seen: list[int], closed: list[int], fail_at: int | None = None) -> None:
        self._seen, self._closed, self._fail_at = seen, closed, fail_at

    def handle(self, work: int) -> None:
        if work == self._fail_at:
            raise ValueError(f"at {work}")
        self._seen.append(work)

    def close(self) -> None:
        self._closed.append(threading.get_ident())


@pytest.mark.parametrize("threads", [1, 4])
def test_all_work_is_done_once(threads: int) -> None:
    seen: list[int] = []
    closed: list[int] = []
    polls: list[int] = []
    run_workers(
        iter(range(1000)),
        lambda: Recorder(seen, closed),
        threads=threads,
        token=CancelToken(),
        poll=lambda: polls.append(len(seen)),
    )
    assert sorted(seen) == list(range(1000))
    assert len(closed) == threads
    assert polls[-1] == 1000


def test_a_failure_stops_the_others_and_is_raised() -> None:
    seen: list[int] = []
    closed: list[int] = []
    before = threading.active_count()
    with pytest.raises(ValueError, match="at 5"):
        run_workers(
            iter(range(10**9)),
            lambda: Recorder(seen, closed, fail_at=5),
            threads=3,
            token=CancelToken(),
            poll=lambda: None,
        )
    assert len(closed) == 3
    assert threading.active_count() == before


def test_a_cancelled_token_stops_between_pieces() -> None:
    token = CancelToken()

    class Canceller(Recorder):
        def handle(self, work: int) -> None:
            super().handle(work)
            if work == 3:
                token.cancel()

    seen: list[int] = []
    with pytest.raises(Cancelled):
        run_workers(
            iter(range(10**9)), lambda: Canceller(seen, []), threads=1, token=token, poll=lambda: None
        )
    assert seen == [0, 1, 2, 3]


def test_a_failing_callback_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    hold = threading.Event()

    class Waiter(Recorder):
        def handle(self, work: int) -> None:
            hold.wait(0.001)

    def poll() -> None:
        raise RuntimeError("callback")

    with pytest.raises(RuntimeError, match="callback"):
        run_workers(iter(range(10**9)), lambda: Waiter([], []), threads=2, token=CancelToken(), poll=poll)
    assert threading.active_count() == before
