"""What is finished goes into the journal: in order, whole, and as values that come back the same."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_merges import OneByOne, Story, make_inputs

from core.checkpoint.journal import JournalEntry, read_journal
from core.checkpoint.staging import JOURNAL_NAME, staging_path
from core.errors import OutputError
from core.plan.merge_plan import MergePlan
from core.run.journaling import Journaling, done_of, entry_of, found_entry, found_of, joined
from core.run.passes import Done


class Shards(list[Any]):
    """Files that remember when they were synced."""

    def __init__(self, count: int, said: list[str]) -> None:
        super().__init__(_Shard(number, said) for number in range(count))


class _Shard:
    def __init__(self, number: int, said: list[str]) -> None:
        self._number, self._said = number, said
        self.error: BaseException | None = None

    def sync(self) -> None:
        if self.error is not None:
            raise self.error
        self._said.append(f"synced {self._number}")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[MergePlan, list[Done]]:
    """The parts of a merge, as its journal has them."""
    folder = tmp_path_factory.mktemp("models")
    make_inputs(folder / "inputs")
    story = Story(folder / "inputs", folder / "work")
    story.cut_off(95)
    plan = story.plan()
    entries = read_journal(staging_path(story.out) / JOURNAL_NAME)
    found = [done_of(entry, plan.tensors) for entry in entries if "part" in entry]
    done = [part for part in found if part is not None]
    assert len(done) == len(found) > 5
    return plan, done


def test_bytes_are_synced_before_the_line_that_says_so(parts: tuple[MergePlan, list[Done]]) -> None:
    plan, done = parts
    said: list[str] = []

    def write(entries: Iterable[JournalEntry]) -> None:
        said.append("wrote " + " ".join(str(entry["part"]) for entry in entries))

    journaling = Journaling(plan, Shards(len(plan.shards), said), write, said.append)
    for part in done:
        journaling.part(part, 0.5)
    journaling.close()
    assert journaling.has_kept
    (wrote,) = (line for line in said if line.startswith("wrote"))
    before = said[: said.index(wrote)]
    tensors = {int(number) for number in wrote.split()[1:]}
    assert {f"synced {plan.tensors[number].placement.shard}" for number in tensors} == set(before)


def test_a_journal_that_cannot_be_written_is_said_once(parts: tuple[MergePlan, list[Done]]) -> None:
    plan, done = parts
    notes: list[str] = []

    def write(entries: Iterable[JournalEntry]) -> None:
        raise OutputError("cannot write /x/journal: No space left on device")

    journaling = Journaling(plan, Shards(len(plan.shards), []), write, notes.append)
    for part in done:
        journaling.part(part, 0.5)
    journaling.close()
    journaling.check()
    assert notes == [
        "cannot write /x/journal: No space left on device; this merge cannot go on after an interruption"
    ]
    assert not journaling.has_kept


def test_a_shard_that_cannot_be_synced_is_a_failure(parts: tuple[MergePlan, list[Done]]) -> None:
    plan, done = parts
    wrote: list[Any] = []
    shards = Shards(len(plan.shards), [])
    for shard in shards:
        shard.error = OutputError("cannot write /x/shard: Input/output error")
    journaling = Journaling(plan, shards, wrote.append, lambda note: None)
    journaling.part(done[0], 0.5)
    with pytest.raises(OutputError, match="Input/output error"):
        journaling.close()
    assert wrote == [], "nothing is claimed that is not on the disk"
    assert not any(thread.name == "journal" for thread in threading.enumerate())


def test_it_goes_on_while_the_merge_does(
    parts: tuple[MergePlan, list[Done]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.run.journaling._EVERY_S", 0.005)
    plan, done = parts
    wrote: list[Any] = []
    journaling = Journaling(plan, Shards(len(plan.shards), []), lambda e: wrote.append(list(e)), print)
    for number, part in enumerate(done[:3]):
        journaling.part(part, 0.1 * number)
        until = time.monotonic() + 5
        while len(wrote) <= number and time.monotonic() < until:
            time.sleep(0.005)
    assert [entries[-1]["done"] for entries in wrote] == pytest.approx([0.0, 0.1, 0.2])
    journaling.close()
    assert len(wrote) == 3


def test_parts_come_back_as_they_went(parts: tuple[MergePlan, list[Done]]) -> None:
    plan, done = parts
    for part in done:
        again = done_of(json.loads(json.dumps(entry_of(part))), plan.tensors)
        assert again is not None
        assert entry_of(again) == entry_of(part)
        assert (again.chunk.tensor, again.chunk.first) == (part.chunk.tensor, part.chunk.first)
        assert again.outputs[0].digests == part.outputs[0].digests


def test_neighbours_become_one(parts: tuple[MergePlan, list[Done]]) -> None:
    plan, done = parts
    one = joined(reversed(done))
    assert len(one) < len(done)
    assert sum(part.bytes_read for part in one) == sum(part.bytes_read for part in done)
    first = [part for part in done if part.chunk.tensor == done[0].chunk.tensor]
    assert len(first) > 1
    whole = one[0]
    assert whole.chunk.elements == sum(part.chunk.elements for part in first)
    assert whole.outputs[0].digests == b"".join(part.outputs[0].digests for part in first)
    total = sum(part.outputs[0].counts.nonfinite for part in first)
    assert list(whole.outputs[0].counts.nonfinite) == list(total)
    assert done_of(entry_of(whole), plan.tensors) is not None
    apart = [
        first[0],
        replace(first[-1], chunk=replace(first[-1].chunk, first=first[-1].chunk.first + 2**20)),
    ]
    assert len(joined(apart)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"part": -1},
        {"part": 10**9},
        {"part": True},
        {"part": "0"},
        {"first": 1},
        {"first": -131072},
        {"elements": 0},
        {"elements": 7},
        {"elements": 10**15},
        {"elements": 1.0},
        {"read": None},
        {"outputs": []},
        {"outputs": [{}]},
        {"outputs": [{}, {}]},
        {"outputs": [3]},
        {"outputs": None},
    ],
)
def test_entries_that_make_no_sense(parts: tuple[MergePlan, list[Done]], change: dict[str, Any]) -> None:
    plan, done = parts
    assert done_of({**entry_of(done[0]), **change}, plan.tensors) is None


@pytest.mark.parametrize(
    "change",
    [
        {"digests": "AA"},
        {"digests": "!!!"},
        {"digests": None},
        {"digests": 3},
        {"digests": ""},
        {"counts": None},
        {"counts": {}},
        {"counts": {"nonfinite": [1]}},
        {"counts": {"nonfinite": ["x", 0, 0]}},
        {"differs": [99]},
        {"differs": 3},
        {"differs": [-1]},
    ],
)
def test_outputs_that_make_no_sense(parts: tuple[MergePlan, list[Done]], change: dict[str, Any]) -> None:
    plan, done = parts
    entry = dict(entry_of(done[0]))
    assert done_of({**entry, "outputs": [{**entry["outputs"][0], **change}]}, plan.tensors) is None


def test_what_folds_found(parts: tuple[MergePlan, list[Done]], tmp_path: Path) -> None:
    inputs = next(model.folder.parent for model in parts[0].models)
    story = Story(inputs, tmp_path / "work", "slerp")
    story.cut_off(95, executor=OneByOne())
    plan = story.plan()
    entries = [entry for entry in read_journal(staging_path(story.out) / JOURNAL_NAME) if "found" in entry]
    assert entries
    for entry in entries:
        found = found_of(entry, plan.tensors)
        assert found is not None
        assert json.loads(json.dumps(found_entry(*found))) == {k: v for k, v in entry.items() if k != "done"}
    entry = entries[0]
    for change in ({"tensor": -1}, {"tensor": 10**9}, {"tensor": None}, {"found": []}, {"found": [{}, {}]},
                   {"found": [3]}, {"found": [{"of_base": [[]]}]}, {"found": [{"of_base": {}}]}):  # fmt: skip
        assert found_of({**entry, **change}, plan.tensors) is None, change
    assert found_of(entry, parts[0].tensors) is None, "of a method that has no folds"
