"""Threads that share what one has to do: as many as the system gives, and none is waited for in a hurry."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core.helpers import Helpers


def test_results_come_in_the_order_of_the_parts() -> None:
    helpers = Helpers(3)
    assert helpers.each(lambda part: part * part, range(50)) == [part * part for part in range(50)]
    assert helpers.each(str, []) == []
    helpers.close()


def test_what_a_part_raises_is_raised_when_all_are_done() -> None:
    helpers, done = Helpers(2), []

    def call(part: int) -> None:
        if part in (1, 3):
            raise ValueError(part)
        done.append(part)

    with pytest.raises(ValueError, match="1"):
        helpers.each(call, range(6))
    assert sorted(done) == [0, 2, 4, 5]
    assert helpers.each(str, [7]) == ["7"]
    helpers.close()


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_where_no_more_threads_can_start_those_that_did_do_it(
    allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, []

    def start_some(thread: threading.Thread) -> None:
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    helpers = Helpers(8)
    by = helpers.each(lambda part: threading.current_thread(), range(40))
    assert helpers.count == max(1, allowed)
    assert set(by) <= (set(started) or {threading.current_thread()})
    helpers.close()
    assert not any(thread.is_alive() for thread in started)


def test_one_that_hangs_is_waited_for_until_there_is_a_hurry() -> None:
    helpers, go_on, begun = Helpers(1), threading.Event(), threading.Event()

    def hang(_: int) -> None:
        begun.set()
        go_on.wait(20)

    asks = threading.Thread(target=helpers.each, args=(hang, [0]))
    asks.start()
    assert begun.wait(20)
    hurried = threading.Event()
    closes = threading.Thread(target=helpers.close, args=(hurried.is_set,))
    closes.start()
    closes.join(0.3)
    assert closes.is_alive()
    hurried.set()
    closes.join(20)
    assert not closes.is_alive()
    assert not go_on.is_set()
    go_on.set()
    asks.join(20)


_HANGS = """
import threading, time
from core.helpers import Helpers
helpers, begun = Helpers(2), threading.Event()
def hang(part):
    begun.set()
    time.sleep(60)
threading.Thread(target=helpers.each, args=(hang, [0]), daemon=True).start()
begun.wait()
helpers.close(lambda: True)
"""


def test_a_process_ends_while_one_hangs() -> None:
    started = time.monotonic()
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", _HANGS], check=True, timeout=50, cwd=root)
    assert time.monotonic() - started < 45
