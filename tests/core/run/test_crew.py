"""As many workers work at one time as get the most done, on whatever machine it is."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from core import cores
from core.cancel import CancelToken
from core.run.executors import threads as executors
from core.run.executors.crew import Crew
from core.run.executors.threads import ThreadExecutor
from core.run.work import IteratedWork

CHUNK_S = 0.001


def simulated(rate: Callable[[int], float], seconds: float, *, first: int, least: int, most: int) -> float:
    """The share of the best possible work that a crew gets done in some seconds.

    Args:
        rate: chunks that one worker does in CHUNK_S, of so many at work.
    """
    crew, now, done = Crew(first, least, most), 0.0, 0
    while now < seconds:
        now += CHUNK_S / (crew.size * rate(crew.size))
        crew.done(1.0, now)
        done += 1
    best = max(size * rate(size) for size in range(least, most + 1)) / CHUNK_S
    return done / now / best


MACHINES: dict[str, Callable[[int], float]] = {
    "every core counts": lambda size: 1.0,
    "the memory is full at a quarter": lambda size: min(1.0, 4 / size),
    "the memory is full at half": lambda size: min(1.0, 8 / size),
    "twice as slow with all": lambda size: 1.0 if size <= 8 else 0.25,
    "slower with more than a quarter": lambda size: 1.0 if size <= 4 else 0.4,
}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_long_merge_is_within_a_tenth_of_the_best(machine: str) -> None:
    assert simulated(MACHINES[machine], 30.0, first=8, least=4, most=16) >= 0.9


@pytest.mark.parametrize("machine", ["the memory is full at half", "twice as slow with all"])
def test_a_merge_of_half_a_second_pays_little_for_what_it_tries(machine: str) -> None:
    assert simulated(MACHINES[machine], 0.5, first=8, least=4, most=16) >= 0.9


def test_more_workers_than_cores_cost_little() -> None:
    assert simulated(lambda size: min(1.0, 1.8 / size), 0.7, first=2, least=2, most=16) >= 0.9


def test_a_source_that_answers_late_gets_more_workers_than_there_are_cores() -> None:
    crew, now = Crew(2, 2, 32), 0.0
    while now < 2.0:
        now += CHUNK_S / crew.size
        crew.done(1.0, now)
    assert crew.size == 32


def test_what_changes_is_found_out_again() -> None:
    crew, now = Crew(8, 4, 16), 0.0
    before, after = Counter[int](), Counter[int]()
    while now < 50.0:
        slow = now > 20.0 and crew.size > 8  # another program has begun
        now += CHUNK_S / crew.size * (4 if slow else 1)
        crew.done(1.0, now)
        if now < 20.0 or now > 35.0:
            (before if now < 20.0 else after)[crew.size] += 1
    assert before[16] > 0.9 * before.total()
    assert after[8] > 0.9 * after.total()


@pytest.mark.parametrize("period_s", [0.12, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("machine", ["the memory is full at half", "twice as slow with all"])
def test_what_is_easy_and_hard_in_turn_moves_nobody_for_long(machine: str, period_s: float) -> None:
    """Such as copies between tensors that are merged, or folds and maps."""
    for begins_s in (0.0, 0.3 * period_s, 0.6 * period_s):
        crew, now, idle = Crew(8, 4, 16), 0.0, 0.0
        while now < 10.0:
            cost = 4 if (now + begins_s) % period_s < period_s / 2 else 1
            rate = crew.size * MACHINES[machine](crew.size)
            idle += cost * CHUNK_S / rate * (1 - rate / (8 * MACHINES[machine](8)))
            now += cost * CHUNK_S / rate
            crew.done(1.0, now)
        assert idle / now < 0.3


def test_a_gain_is_found_while_what_there_is_to_do_alternates() -> None:
    crew, now, small_s = Crew(8, 4, 16), 0.0, 0.0
    while now < 20.0:
        cost = 4 if now % 0.2 < 0.1 else 1
        before = now
        now += cost * CHUNK_S / crew.size
        small_s += (now - before) * (crew.size < 16)
        crew.done(1.0, now)
    assert small_s < 3.0


def test_one_size_is_never_left() -> None:
    crew = Crew(4, 4, 4)
    assert not any(crew.done(1.0, at * CHUNK_S) for at in range(1000))


class Crowding(IteratedWork[int, str]):
    """Chunks that take far longer when more than two are worked at, as on two cores."""

    def __init__(self, chunks: int) -> None:
        super().__init__(iter(range(chunks)))
        self.at_work, self.lock = 0, threading.Lock()
        self.by: Counter[str] = Counter()

    def slot(self) -> CrowdingSlot:
        return CrowdingSlot(self)

    def collect(self, done: str) -> None:
        self.by[done] += 1


class CrowdingSlot:
    def __init__(self, work: Crowding) -> None:
        self._work = work

    def fill(self, chunk: int) -> None:
        with self._work.lock:
            self._work.at_work += 1

    def compute(self, chunk: int) -> None:
        time.sleep(CHUNK_S if self._work.at_work <= 2 else 4 * CHUNK_S)

    def finish(self, chunk: int) -> str:
        with self._work.lock:
            self._work.at_work -= 1
        return threading.current_thread().name

    def close(self) -> None:
        pass


def test_those_that_are_too_many_wait_and_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "begin_with", lambda: 2)
    shares = []
    for _ in range(3):  # on a busy machine a sleep may take as long as it likes
        work = Crowding(500)
        ThreadExecutor().run(work, slots=16, token=CancelToken(), poll=lambda: None)
        assert work.by.total() == 500
        shares.append((work.by["worker-0"] + work.by["worker-1"]) / 500)
        if shares[-1] > 0.75:
            break
    assert max(shares) > 0.75


def test_all_at_once_is_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "begin_with", lambda: 1)
    work = Crowding(60)
    ThreadExecutor(all_at_once=True).run(work, slots=3, token=CancelToken(), poll=lambda: None)
    assert len(work.by) == 3


# -- cores


@pytest.fixture
def machine(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A machine with so many processors, of which so many share a core, and a container's quota."""

    def make(processors: int, each: int | None, quota: str | None = None) -> None:
        monkeypatch.setattr(cores, "_bound_to", lambda: frozenset(range(processors)))
        monkeypatch.setattr(cores, "_CPUS", tmp_path / "cpu")
        monkeypatch.setattr(cores, "_CGROUP", tmp_path / "cgroup")
        monkeypatch.setattr(cores, "_OWN_GROUPS", tmp_path / "own")
        for number in range(processors if each else 0):
            folder = tmp_path / "cpu" / f"cpu{number}" / "topology"
            folder.mkdir(parents=True)
            whole = processors // each
            siblings = ",".join(str(number % whole + whole * thread) for thread in range(each))
            (folder / "thread_siblings_list").write_text(siblings + "\n")
        if quota is not None:
            (tmp_path / "cgroup").mkdir()
            (tmp_path / "cgroup" / "cpu.max").write_text(quota + "\n")

    return make


@pytest.mark.parametrize(
    ("processors", "each", "quota", "usable", "first"),
    [
        (2, 1, None, 2, 2),
        (8, 2, None, 8, 4),
        (16, 2, None, 16, 8),
        (16, 1, None, 16, 8),  # a virtual machine may hide what shares a core
        (16, None, None, 16, 8),
        (64, 1, None, 64, 32),
        (12, 1, None, 12, 8),
        (64, 2, "400000 100000", 4, 4),
        (64, 2, "max 100000", 64, 32),
        (4, 1, "50000 100000", 1, 1),
        (4, 1, "nonsense", 4, 4),
    ],
)
def test_how_many_begin(machine, processors, each, quota, usable, first) -> None:
    machine(processors, each, quota)
    assert (cores.usable_cores(), cores.begin_with()) == (usable, first)


@pytest.mark.parametrize(
    ("own", "quotas", "usable"),
    [
        ("0::/user.slice/job.scope\n", {"user.slice/job.scope/cpu.max": "200000 100000"}, 2),
        ("0::/user.slice/job.scope\n", {"user.slice/cpu.max": "300000 100000"}, 3),
        (
            "0::/a/b\n",
            {"cpu.max": "900000 100000", "a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"},
            4,
        ),
        ("0::/a/b\n", {"a/other/cpu.max": "100000 100000"}, 16),
        ("0::/../other\n", {"cpu.max": "500000 100000"}, 5),
        ("0::/not/mounted/here\n", {"cpu.max": "500000 100000"}, 5),
        (
            "5:memory:/m\n4:cpu,cpuacct:/docker/x\n0::/\n",
            {"cpu/docker/x/cpu.cfs_quota_us": "600000", "cpu/docker/x/cpu.cfs_period_us": "100000"},
            6,
        ),
        ("5:memory:/m\n", {"cpu/m/cpu.cfs_quota_us": "1", "cpu/m/cpu.cfs_period_us": "100000"}, 16),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 16),
        (None, {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ("nonsense", {}, 16),
    ],
)
def test_the_quota_of_the_process_s_own_group_and_those_around_it(
    machine, tmp_path, own: str | None, quotas: dict[str, str], usable: int
) -> None:
    machine(16, 1)
    if own is not None:
        (tmp_path / "own").write_text(own)
    for name, text in quotas.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text + "\n")
    assert cores.usable_cores() == usable
