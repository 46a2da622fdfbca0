"""What finished merges have shown: one file for the window and the command line."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from core.plan.estimate import Throughput, Work
from core.plan.pace import Pace
from core.runs.learned import Learned

WORK = Work("linear", thread_s=1, serial_s=0, threads=1, cold_bytes=0, written_bytes=0, dirty_bytes=0)


@pytest.fixture
def learned(tmp_path: Path) -> Learned:
    return Learned(tmp_path / "data" / "history")


def test_at_first_nothing_is_known(learned: Learned, tmp_path: Path) -> None:
    assert not learned.path.exists()
    assert learned.read() == Throughput()
    assert not (tmp_path / "data").exists()  # reading makes nothing


def test_what_is_learned_is_there_for_the_next_process(learned: Learned, tmp_path: Path) -> None:
    learned.learn(2 * 1.02, WORK)
    known = Learned(tmp_path / "data" / "history").read()
    assert known.kinds == {"linear": Pace(pytest.approx(2), 1)}
    assert known.core is None
    assert learned.path.parent == tmp_path / "data"  # beside the history, which counts its files


def test_kinds_and_devices_are_learned_apart(learned: Learned) -> None:
    learned.learn(2.04, WORK)
    learned.learn(0.5, replace(WORK, kind="linear on cuda"))
    assert set(learned.read().kinds) == {"linear", "linear on cuda"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 60000,
        b'{"core": 1e-300}',
        b"9" * 65000,
        b" " * 100_000,
        b'{"core": 1e400}',
    ],
)
def test_a_broken_file_is_as_good_as_none(learned: Learned, content: bytes) -> None:
    learned.path.parent.mkdir()
    learned.path.write_bytes(content)
    assert learned.read() == Throughput()
    learned.learn(2.04, WORK)
    assert learned.read().kinds == {"linear": Pace(pytest.approx(2), 1)}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_is_not_waited_for(learned: Learned) -> None:
    learned.path.parent.mkdir()
    os.mkfifo(learned.path)
    assert learned.read() == Throughput()


def test_a_place_that_cannot_be_written_to_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a file")
    learned = Learned(tmp_path / "data" / "history")
    assert learned.learn(2.04, WORK).kinds == {"linear": Pace(pytest.approx(2), 1)}
    assert learned.read() == Throughput()


def test_any_number_may_learn_at_once(learned: Learned) -> None:
    """What is read is always whole; some of it may be forgotten."""
    seen: list[Throughput] = []

    def learn(number: int) -> None:
        for _ in range(10):
            learned.learn(1.0, replace(WORK, kind=f"kind {number}"))
            seen.append(learned.read())

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 40
    assert all(known.kinds for known in seen)
    assert os.listdir(learned.path.parent) == [learned.path.name]


def test_what_no_machine_does_is_not_learned(learned: Learned) -> None:
    for _ in range(20):
        learned.learn(1e9, WORK)
    assert learned.read().kinds["linear"].measured == 1000.0
    assert Throughput.from_json(learned.read().to_json()) == learned.read()


def test_what_teaches_nothing_makes_no_file(learned: Learned) -> None:
    learned.learn(0.05, replace(WORK, thread_s=0.02))
    assert not learned.path.exists()


def test_a_core_that_was_measured_leaves_what_merges_taught_meanwhile(learned: Learned) -> None:
    other = Learned(learned.path.with_name("history"))
    learned.learn(2.04, replace(WORK, kind="linear on cuda"))
    other.learn_core(3.0)
    known = learned.read()
    assert (known.core, set(known.kinds)) == (3.0, {"linear on cuda"})
    learned.learn(3.0, WORK)
    assert learned.read().core == 3.0
