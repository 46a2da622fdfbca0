"""Executors: all work is done once, failures and cancellation stop the others, later chunks wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from step_executor import StepExecutor

from core.cancel import CancelToken
from core.errors import Cancelled, MergeError
from core.run.executors.threads import ThreadExecutor
from core.run.work import LATER, Executor, IteratedWork, Later


class Doubling(IteratedWork[int, int]):
    """Doubles numbers, and fails where it is told to."""

    def __init__(self, numbers: Iterator[int], fail_at: dict[str, int] | None = None) -> None:
        super().__init__(numbers)
        self.fail_at = fail_at or {}
        self.error: type[BaseException] = ValueError
        self.collected: list[int] = []
        self.collecting: set[int] = set()
        self.opened = self.closed = 0

    def slot(self) -> DoublingSlot:
        self.opened += 1
        return DoublingSlot(self)

    def collect(self, done: int) -> None:
        self.collecting.add(threading.get_ident())
        self.collected.append(done)
        if self.fail_at.get("collect") == done:
            raise self.error("at collect")


class DoublingSlot:
    def __init__(self, work: Doubling) -> None:
        self._work, self._value = work, 0

    def _step(self, name: str, chunk: int) -> None:
        if self._work.fail_at.get(name) == chunk:
            raise self._work.error(f"at {name}")

    def fill(self, chunk: int) -> None:
        self._step("fill", chunk)
        self._value = chunk

    def compute(self, chunk: int) -> None:
        self._step("compute", chunk)
        self._value *= 2

    def finish(self, chunk: int) -> int:
        self._step("finish", chunk)
        return self._value

    def close(self) -> None:
        self._work.closed += 1


EXECUTORS = [ThreadExecutor, StepExecutor]


@pytest.mark.parametrize("make", EXECUTORS)
@pytest.mark.parametrize("slots", [1, 4])
def test_all_work_is_done_once_and_collected_in_the_callers_thread(make: type[Executor], slots: int) -> None:
    work = Doubling(iter(range(1000)))
    polls: list[int] = []
    make().run(work, slots=slots, token=CancelToken(), poll=lambda: polls.append(len(work.collected)))
    assert sorted(work.collected) == [2 * number for number in range(1000)]
    assert work.opened == work.closed
    assert 1 <= work.opened <= slots
    assert work.collecting == {threading.get_ident()}
    assert polls[-1] == 1000


def test_steps_may_run_in_threads_of_their_own() -> None:
    executor = StepExecutor()
    executor.run(Doubling(iter(range(50))), slots=3, token=CancelToken(), poll=lambda: None)
    threads = [executor.steps[name] for name in ("fill", "compute", "finish")]
    assert all(len(of_step) == 1 for of_step in threads)
    assert len(set.union(*threads)) == 3


@pytest.mark.parametrize("step", ["fill", "compute", "finish", "collect"])
def test_a_failure_stops_the_others_and_is_raised(step: str) -> None:
    work = Doubling(iter(range(10**9)), {step: 6})
    before = threading.active_count()
    with pytest.raises(ValueError, match=f"at {step}"):
        ThreadExecutor().run(work, slots=3, token=CancelToken(), poll=lambda: None)
    assert work.opened == work.closed
    assert threading.active_count() == before


def test_a_cancelled_token_stops_between_chunks() -> None:
    token = CancelToken()
    work = Doubling(iter(range(10**9)))

    def poll() -> None:
        token.cancel()

    with pytest.raises(Cancelled):
        ThreadExecutor().run(work, slots=2, token=token, poll=poll)
    assert work.opened == work.closed


def test_a_failing_poll_stops_the_threads() -> None:
    def fail() -> None:
        raise ValueError("poll")

    before = threading.active_count()
    with pytest.raises(ValueError, match="poll"):
        ThreadExecutor().run(Doubling(iter(range(10**9))), slots=2, token=CancelToken(), poll=fail)
    assert threading.active_count() == before


def test_running_out_of_memory_is_said_in_words() -> None:
    work = Doubling(iter(range(10)), {"compute": 3})
    work.error = MemoryError
    with pytest.raises(MergeError, match="memory"):
        ThreadExecutor().run(work, slots=2, token=CancelToken(), poll=lambda: None)


class Halving(Doubling):
    """Hands out one more chunk for each that has come back, and says LATER meanwhile."""

    eager = True

    def __init__(self) -> None:
        super().__init__(iter(()))
        self._ready = [64]
        self._out = 0

    def take(self) -> int | Later | None:
        if self._ready:
            self._out += 1
            return self._ready.pop()
        return LATER if self._out else None

    def collect(self, done: int) -> None:
        super().collect(done)
        self._out -= 1
        if done > 2:
            self._ready += [done // 4, done // 4]


@pytest.mark.parametrize("make", EXECUTORS)
def test_later_chunks_wait_for_what_comes_back(make: type[Executor]) -> None:
    work = Halving()
    make().run(work, slots=2, token=CancelToken(), poll=lambda: None)
    assert sorted(work.collected) == sorted(128 // 2**level for level in range(7) for _ in range(2**level))


def test_cancelling_while_all_wait_does_not_hang() -> None:
    class Stuck(Halving):
        def take(self) -> int | Later | None:
            return LATER

    token = CancelToken()
    with pytest.raises(Cancelled):
        ThreadExecutor().run(Stuck(), slots=2, token=token, poll=token.cancel)


class TestHurry:
    """Somebody insists: what hangs is not waited for."""

    def test_a_step_that_hangs_is_left(self) -> None:
        released, begun = threading.Event(), threading.Event()

        class Hanging(Doubling):
            def slot(self) -> DoublingSlot:
                return HangingSlot(self)

        class HangingSlot(DoublingSlot):
            def fill(self, chunk: int) -> None:
                begun.set()
                released.wait(30)

        token = CancelToken()

        def poll() -> None:
            if begun.is_set():
                token.hurry()
                raise Cancelled

        try:
            with pytest.raises(Cancelled):
                ThreadExecutor().run(Hanging(iter(range(9))), slots=2, token=token, poll=poll)
        finally:
            released.set()
        assert token.cancelled

    def test_only_waiting_may_be_interrupted(self) -> None:
        token = CancelToken()
        seen: list[bool] = []
        work = Doubling(iter(range(50)))
        collect = work.collect

        def collecting(done: int) -> None:
            seen.append(token.may_be_interrupted)
            collect(done)

        work.collect = collecting  # type: ignore[method-assign]
        ThreadExecutor().run(work, slots=1, token=token, poll=lambda: seen.append(token.may_be_interrupted))
        assert seen
        assert not any(seen)
        with token.interruptible():
            assert token.may_be_interrupted
        assert not token.may_be_interrupted


def test_where_no_more_threads_can_be_started_those_that_run_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun = threading.Thread.start, 0

    def limited(thread: threading.Thread) -> None:
        nonlocal begun
        if begun == most:
            raise RuntimeError("can't start new thread")
        begun += 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    most = 2
    work = Doubling(iter(range(100)))
    ThreadExecutor().run(work, slots=5, token=CancelToken(), poll=lambda: None)
    assert sorted(work.collected) == [2 * number for number in range(100)]
    most = begun
    with pytest.raises(MergeError, match="no more threads"):
        ThreadExecutor().run(Doubling(iter(range(9))), slots=5, token=CancelToken(), poll=lambda: None)
