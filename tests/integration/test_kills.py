"""A merge that is killed at any moment: what it had is gone on with, and nothing that was there is lost."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_faults import KILLS, Faulty, in_place
from merge_child import Children
from small_merges import Story, contents, make_inputs, quick_folder, same_output

from core import leftover_of

TOO_LATE = "done before it was killed"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")


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


class Killed:
    """Merges that are killed, and gone on with.

    Attributes:
        calls: how many a whole merge makes.
        found: how many were found how.
        kept: of those that could be gone on with, how much of the reading was not done again.
    """

    def __init__(
        self, children: Children, inputs: Path, folder: Path, method: str, *, overwrite: bool
    ) -> None:
        self._children, self.overwrite, self._method = children, overwrite, method
        self.story = Story(inputs, folder / "work", method)
        Story(inputs, folder / "work", method, seed=8).run()
        self.old = contents(self.story.out) if overwrite else {}
        self.story.clear()
        self.story.run()
        self.expected = contents(self.story.out)
        self._inputs = contents(inputs)
        self.story.put(self.old)
        system = Faulty(-1, "none")
        with in_place(system):
            self.story.run(overwrite=overwrite)
        self.calls = len(system.calls)
        self.found: Counter[str] = Counter()
        self.kept: list[float] = []

    def kill(self, **how: Any) -> None:
        """Kill a merge and check what must hold then."""
        story = self.story
        story.put(self.old)
        options = {"overwrite": self.overwrite}
        answer = self._children.merge(
            inputs=story.inputs, parent=story.parent, method=self._method, options=options, **how
        )
        where = f"{how}, overwrite: {self.overwrite}"
        assert answer["killed"] or "delay" in how, where
        assert contents(story.inputs) == self._inputs, where
        left = leftover_of(story.out)
        assert left is None or not left.runs, where
        story.settle()
        now = contents(story.out) if story.out.exists() else {}
        new = same_output(now, self.expected)
        assert new or now == self.old, f"{where}: what has the final name is whole"
        plan = story.plan()
        if not answer["killed"]:
            self.found[TOO_LATE] += 1
        elif left is not None:
            self.found["cut off with work to go on with" if left.fraction else "cut off before any work"] += 1
        else:
            self.found["with its final name" if new else "before it made anything"] += 1
        how_finished = story.finish(overwrite=self.overwrite)
        assert how_finished == "resumed", where
        assert same_output(contents(story.out), self.expected), where
        assert story.names() == ["out"], where
        if left is not None and left.fraction:
            self.kept.append(1 - story.record().bytes_read / plan.bytes_to_read)

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {what}" for what, count in self.found.most_common())
        kept = sum(self.kept) / max(1, len(self.kept))
        return f"{self.found.total()} kills: {counted}; {kept:.0%} of the reading kept where there was any"


@pytest.mark.parametrize("overwrite", [False, True], ids=["fresh", "overwrite"])
def test_killed_beside_a_call(children: Children, inputs: Path, tmp_path: Path, overwrite: bool) -> None:
    killed = Killed(children, inputs, tmp_path, "parameter_selection", overwrite=overwrite)
    for number, at in enumerate(range(0, killed.calls, 13)):
        killed.kill(at=at, kind=KILLS[number % len(KILLS)])
    assert killed.kept


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True], ids=["fresh", "overwrite"])
@pytest.mark.parametrize("method", ["parameter_selection", "slerp"])
def test_killed_beside_every_call(
    children: Children, inputs: Path, tmp_path: Path, method: str, overwrite: bool
) -> None:
    killed = Killed(children, inputs, tmp_path, method, overwrite=overwrite)
    for at in range(killed.calls):
        for kind in KILLS:
            killed.kill(at=at, kind=kind)
    print(f"\n{method}, {'overwrite' if overwrite else 'fresh'}, {killed.calls} calls: {killed}")


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True], ids=["fresh", "overwrite"])
def test_killed_at_random(children: Children, inputs: Path, tmp_path: Path, overwrite: bool) -> None:
    killed = Killed(children, inputs, tmp_path, "parameter_selection", overwrite=overwrite)
    where: dict[str, Any] = {
        "inputs": inputs,
        "parent": tmp_path / "work",
        "options": {"overwrite": overwrite},
    }
    seconds = []
    for _ in range(5):
        killed.story.put(killed.old)
        seconds.append(children.merge(**where)["seconds"])
    chance = random.Random(20240111)
    typical = sorted(seconds)[2]
    while killed.found.total() - killed.found[TOO_LATE] < 100:
        killed.kill(delay=chance.uniform(0, typical))
    print(f"\n{'overwrite' if overwrite else 'fresh'}, at random within {typical:.2f} s: {killed}")
