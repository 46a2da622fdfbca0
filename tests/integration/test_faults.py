"""Any one call to the disk may fail: the merge then succeeds, or says what failed and goes on later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_faults import FAILURES, Faulty, in_place
from small_merges import Story, contents, error_of, make_inputs, quick_folder, same_output

from core import verify_output


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "inputs"
    make_inputs(folder)
    return folder


class Faults:
    """A merge, what it gives when nothing fails, and what was there before.

    Attributes:
        calls: the names of the merge's calls, in their order.
    """

    def __init__(self, inputs: Path, folder: Path, method: str, way: str) -> None:
        self.story = Story(inputs, folder / "work", method)
        self.way = way
        self.overwrite = way != "fresh"
        Story(inputs, folder / "work", method, seed=8).run()
        self.old = contents(self.story.out)
        self.story.clear()
        self.story.run()
        self.expected = contents(self.story.out)
        self.inputs = contents(inputs)
        self.prepare()
        system = Faulty(-1, "none")
        with in_place(system):
            self.run()
        self.calls = system.calls

    def prepare(self) -> None:
        self.story.put(self.old if self.overwrite else {})
        if self.way == "resume":
            self.story.cut_off(60, overwrite=True)
            assert self.story.names() == ["out", "out.partial"]

    def run(self) -> None:
        self.story.run(overwrite=self.overwrite, resume=self.way == "resume")

    def fail(self, at: int, kind: str) -> str:
        """Have call `at` fail and check what must hold then; returns what happened."""
        self.prepare()
        where = f"{self.way}, call {at} ({self.calls[at]}), {kind}"
        with in_place(Faulty(at, kind)):
            error = error_of(self.run)
        assert contents(self.story.inputs) == self.inputs, where
        if error is None:
            self.story.settle()  # as the next start does
            assert same_output(contents(self.story.out), self.expected), where
            assert self.story.names() == ["out"], where
            return "done"
        self.story.settle()
        if self.story.out.exists():
            now = contents(self.story.out)
            assert now == self.old or same_output(now, self.expected), f"{where}: what has the name is whole"
        else:
            assert not self.overwrite, f"{where}: the old output is gone"
        finished = self.story.finish(overwrite=self.overwrite)
        assert same_output(contents(self.story.out), self.expected), where
        assert self.story.names() == ["out"], where
        return finished


def _cases(faults: Faults, every: int) -> Iterator[tuple[int, str]]:
    for at in range(0, len(faults.calls)):
        for number, kind in enumerate(FAILURES):
            if (at + number) % every == 0:
                yield at, kind


@pytest.mark.parametrize("way", ["fresh", "overwrite", "resume"])
def test_a_call_that_fails(inputs: Path, tmp_path: Path, way: str) -> None:
    faults = Faults(inputs, tmp_path, "parameter_selection", way)
    happened = [faults.fail(at, kind) for at, kind in _cases(faults, 43)]
    assert {"done", "resumed"} <= set(happened)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["parameter_selection", "linear", "slerp"])
@pytest.mark.parametrize("way", ["fresh", "overwrite", "resume"])
def test_any_call_that_fails(inputs: Path, tmp_path: Path, way: str, method: str) -> None:
    faults = Faults(inputs, tmp_path, method, way)
    happened = [faults.fail(at, kind) for at, kind in _cases(faults, 1)]
    print(f"\n{method}, {way}: {len(faults.calls)} calls, {len(happened)} faults:", end=" ")
    print(", ".join(f"{happened.count(what)} {what}" for what in sorted(set(happened))))
    assert verify_output(faults.story.out).tensors
