"""The power goes at any moment, and what was not synced may be lost, or there in any order."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from disk_faults import in_place
from power_loss import Recorder
from small_merges import Story, contents, make_inputs, quick_folder, same_output

from core.checkpoint.files import WriteFile


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "inputs"
    make_inputs(folder)
    return folder


class PowerLoss:
    """A merge that was recorded, and what may be left of it at each moment.

    Attributes:
        recorder: has all changes.
        found: how many were gone on with, and how.
    """

    def __init__(self, inputs: Path, folder: Path, method: str, way: str) -> None:
        self._inputs, self._folder, self._method = inputs, folder, method
        self._overwrite = way != "fresh"
        story = Story(inputs, folder / "work", method, seed=8)
        story.run()
        self._old = contents(story.out) if self._overwrite else {}
        story = Story(inputs, folder / "work", method)
        story.clear()
        story.run()
        self._expected = contents(story.out)
        story.put(self._old)
        if way == "resume":
            story.cut_off(60, overwrite=True)
        self.recorder = Recorder(story.parent)
        with in_place(self.recorder):
            story.run(overwrite=self._overwrite, resume=way == "resume")
        self.found: Counter[str] = Counter()

    def lose(self, changes: int, choose: random.Random | bool) -> None:
        """The power goes after so many changes: check what must hold then."""
        call = self.recorder.calls[changes - 1] if changes else "nothing"
        where = f"after {changes} changes ({call}), {choose}"
        story = Story(self._inputs, self._folder / "left", self._method)
        story.parent.rmdir()
        self.recorder.disk(changes).build(story.parent, choose)
        try:
            self._check(story, where, changes == len(self.recorder.calls))
        finally:
            shutil.rmtree(story.parent)

    def _check(self, story: Story, where: str, done: bool) -> None:
        if story.out.exists():
            now = contents(story.out)
            own = {name for name in now if name.startswith(".paramosaic/")}
            rest = {name: data for name, data in now.items() if name not in own}
            assert rest == self._old or same_output(rest, self._expected), f"{where}: wrong under its name"
        story.settle()
        now = contents(story.out) if story.out.exists() else {}
        assert now == self._old or same_output(now, self._expected), f"{where}: wrong after settling"
        assert not done or same_output(now, self._expected), f"{where}: a finished merge was lost"
        self.found[story.finish(overwrite=self._overwrite)] += 1
        assert same_output(contents(story.out), self._expected), where
        assert story.names() == ["out"], where


@pytest.mark.parametrize("way", ["fresh", "overwrite", "resume"])
def test_the_power_goes(inputs: Path, tmp_path: Path, way: str) -> None:
    lost = PowerLoss(inputs, tmp_path, "parameter_selection", way)
    total = len(lost.recorder.calls)
    for number, changes in enumerate([*range(0, total, 11), total]):
        lost.lose(changes, (False, random.Random(changes), True)[number % 3])
    lost.lose(total, False)
    assert lost.found["resumed"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["parameter_selection", "slerp"])
@pytest.mark.parametrize("way", ["fresh", "overwrite", "resume"])
def test_the_power_goes_at_any_moment(inputs: Path, tmp_path: Path, way: str, method: str) -> None:
    lost = PowerLoss(inputs, tmp_path, method, way)
    for changes in range(len(lost.recorder.calls) + 1):
        for choose in (False, True, *(random.Random(100 * changes + one) for one in range(4))):
            lost.lose(changes, choose)
    counted = ", ".join(f"{count} {how}" for how, count in lost.found.items())
    print(f"\n{method}, {way}: {len(lost.recorder.calls)} changes, {lost.found.total()} disks: {counted}")


def test_folders_that_were_made_for_it_last_too(inputs: Path, tmp_path: Path) -> None:
    story = Story(inputs, tmp_path / "work")
    story.out = story.parent / "new" / "deep" / "out"
    recorder = Recorder(story.parent)
    with in_place(recorder):
        story.run()
    recorder.disk(len(recorder.calls)).build(tmp_path / "left", False)
    assert contents(tmp_path / "left") == contents(story.parent)


def test_a_merge_that_does_not_sync_is_found_out(inputs: Path, tmp_path: Path) -> None:
    with mock.patch.object(WriteFile, "sync"):
        lost = PowerLoss(inputs, tmp_path, "parameter_selection", "fresh")
    with pytest.raises(AssertionError, match="wrong under its name"):
        lost.lose(len(lost.recorder.calls), False)
