"""Two processes and one output: one makes it whole, the other is refused in clear words."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_faults import Faulty, in_place
from merge_child import Children
from small_merges import Story, contents, make_inputs, quick_folder, same_output

from core import RunningError, discard, leftover_of
from core.checkpoint.staging import staging_path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGSTOP")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "inputs"
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children() as children:
        yield children


class Stopped:
    """A merge that is stopped, while another takes its place.

    Attributes:
        story: of both.
        calls: the names of the calls of each.
        begins: the number of the first call after the staging folder is there.
        ends: the number of the call that gives it its name.
    """

    def __init__(self, children: Children, inputs: Path, folder: Path) -> None:
        self._children = children
        self.story = Story(inputs, folder / "work")
        system = Faulty(-1, "none")
        with in_place(system):
            self.story.run()
        self.calls = system.calls
        self.begins = self.calls.index("make_folder") + 1
        self.ends = len(self.calls) - 1 - self.calls[::-1].index("rename")
        self._expected = contents(self.story.out)
        self.story.clear()

    def start(self, at: int) -> int:
        """Start a merge that stops before a call of its; return when it has."""
        pid = self._children.start(inputs=self.story.inputs, parent=self.story.parent, at=at, kind="stop")
        answer = self._children.wait(pid)
        assert answer["stopped"], answer
        return pid

    def go_on(self, pid: int) -> str | None:
        """Let it go on to its end; returns what it raised."""
        os.kill(pid, signal.SIGCONT)
        answer = self._children.wait(pid)
        assert not answer["killed"]
        error: str | None = answer["error"]
        return error

    def tell(self, first_at: int, second_at: int) -> None:
        """Stop one, remove its folder, start another, stop that half-way, and let the first go on."""
        where = f"stopped at {first_at} ({self.calls[first_at]}) and {second_at} ({self.calls[second_at]})"
        first = self.start(first_at)
        shutil.rmtree(staging_path(self.story.out))
        second = self.start(second_at)
        refused = self.go_on(first)
        assert refused is not None, f"{where}: the first took what is the second's"
        assert refused.startswith("OutputError: "), where
        assert "out.partial was removed, or taken by another merge" in refused, where
        assert refused.endswith("kept: None"), f"{where}: what is there now is the second's"
        assert not self.story.out.exists(), where
        assert self.go_on(second) is None, where
        assert same_output(contents(self.story.out), self._expected), where
        assert self.story.names() == ["out"], where
        self.story.clear()


@pytest.fixture
def stopped(children: Children, inputs: Path, tmp_path: Path) -> Stopped:
    return Stopped(children, inputs, tmp_path)


def test_a_stopped_merge_whose_folder_was_given_away(stopped: Stopped) -> None:
    half = (stopped.begins + stopped.ends) // 2
    for first in (stopped.begins + 4, half, stopped.ends - 10, stopped.ends):
        stopped.tell(first, half)


@pytest.mark.slow
def test_a_merge_stopped_anywhere_whose_folder_was_given_away(stopped: Stopped) -> None:
    spread = stopped.ends - stopped.begins
    firsts = [stopped.begins + 1 + (spread - 1) * number // 19 for number in range(20)]
    seconds = [stopped.begins + 9, (stopped.begins + stopped.ends) // 2]
    cases = [(first, second) for first in firsts for second in seconds]
    for case in cases:
        stopped.tell(*case)
    print(f"\n{len(cases)} of {len(cases)}: one whole output, one refusal")


def test_what_a_stopped_merge_works_in_is_left_alone(stopped: Stopped) -> None:
    pid = stopped.start((stopped.begins + stopped.ends) // 2)
    left = leftover_of(stopped.story.out)
    assert left is not None
    assert left.runs
    assert f"running as pid {pid} on " in str(left)
    before = contents(stopped.story.parent)
    for options in ({}, {"resume": True}, {"overwrite": True}, {"resume": True, "take_over": True}):
        with pytest.raises(RunningError, match=f"running as pid {pid} on "):
            stopped.story.run(**options)
    for take_over in (False, True):
        with pytest.raises(RunningError, match=f"pid {pid} "):
            discard(staging_path(stopped.story.out), take_over=take_over)
    assert contents(stopped.story.parent) == before
    assert stopped.go_on(pid) is None


def test_a_killed_one_leaves_its_folder_free(stopped: Stopped) -> None:
    pid = stopped.start(stopped.ends - 10)
    os.kill(pid, signal.SIGKILL)
    stopped._children.wait(pid)
    left = leftover_of(stopped.story.out)
    assert left is not None
    assert not left.runs
    assert str(left).startswith("cut off at ")
    stopped.story.run(resume=True)
    assert stopped.story.names() == ["out"]
