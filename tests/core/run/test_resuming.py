"""What counts as the same merge, and what of it counts as finished."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_merges import Story, error_of, make_inputs

from core.cancel import CancelToken
from core.checkpoint.companions import Companion
from core.checkpoint.files import WriteFile
from core.checkpoint.journal import read_journal
from core.checkpoint.staging import JOURNAL_NAME, staging_path
from core.plan.merge_plan import MergePlan
from core.run.resuming import (
    again_entry,
    changed_entry,
    check_same_merge,
    readers_of,
    refuse_other_files,
    restore,
    sound_parts,
)


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> tuple[MergePlan, list[Any], Path]:
    """A plan, the journal of its merge that was cut off, and the folder."""
    folder = tmp_path_factory.mktemp("models")
    make_inputs(folder / "inputs")
    story = Story(folder / "inputs", folder / "work")
    story.cut_off(95)
    staging = staging_path(story.out)
    return story.plan(), list(read_journal(staging / JOURNAL_NAME)), staging


def shards_of(plan: MergePlan, staging: Path) -> list[WriteFile]:
    return [WriteFile(staging / shard.file_name, shard.size_bytes, keep=True) for shard in plan.shards]


def test_the_same_merge(cut_off: tuple[MergePlan, list[Any], Path]) -> None:
    plan, entries, staging = cut_off
    assert check_same_merge(plan, entries, "cpu", staging) == ([], [])


def test_a_device_does_not_matter_where_the_bytes_are_the_same(
    cut_off: tuple[MergePlan, list[Any], Path],
) -> None:
    plan, entries, staging = cut_off
    assert check_same_merge(plan, entries, "an H200", staging) == ([], [])


def _file(first: dict[str, Any], model: int = 1) -> dict[str, Any]:
    file: dict[str, Any] = first["inputs"][model]["files"][0]
    return file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda first: first.update(version=2), "version 2"),
        (lambda first: first.update(kind="x"), "is none that a merge writes"),
        (lambda first: first.update(recipe=3), "another recipe"),
        (
            lambda first: first["recipe"].update(seed=8),
            "seed is 7 in the recipe now, and it was begun with 8",
        ),
        (lambda first: first["recipe"].update(more=1), "more"),
        (lambda first: first.update(contract={}), "results may differ"),
        (lambda first: first.update(inputs=[]), "other models"),
        (lambda first: first.update(inputs=3), "other models"),
        (lambda first: first.pop("inputs"), "other models"),
        (lambda first: first["inputs"].pop(), "other models"),
        (lambda first: first["inputs"][1].update(files=[]), "has other files now"),
        (lambda first: first["inputs"][1].update(files=3), "has other files now"),
        (lambda first: _file(first).update(size_bytes=1), "model.safetensors has changed since"),
        (lambda first: _file(first).update(modified_ns=1), "model.safetensors has changed since"),
        (lambda first: _file(first).update(header="x"), "model.safetensors has changed since"),
        (lambda first: first.update(shards=[]), "shard size"),
        (lambda first: first.update(tensors="x"), "planned it otherwise"),
    ],
)
def test_another_merge(
    cut_off: tuple[MergePlan, list[Any], Path], change: Callable[[dict[str, Any]], None], words: str
) -> None:
    plan, entries, staging = cut_off
    changed = copy.deepcopy(entries)
    change(changed[0])
    error = error_of(check_same_merge, plan, changed, "cpu", staging)
    assert error is not None
    assert words in error.message
    assert f"paramosaic discard {staging}" in str(error.hint)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"changed_ns": 1}, True),  # written in place, with its old time
        ({"number": 1}, True),  # replaced, with the old time
        ({"number": 1, "folder": "elsewhere"}, False),  # the models were copied
        ({"device": 1}, False),  # to another disk
    ],
)
def test_a_file_that_may_have_changed(
    cut_off: tuple[MergePlan, list[Any], Path], change: dict[str, Any], again: bool
) -> None:
    plan, entries, staging = cut_off
    changed = copy.deepcopy(entries)
    if "folder" in change:
        changed[0]["inputs"][1]["folder"] = change.pop("folder")
    _file(changed[0]).update(change)
    files, sentences = check_same_merge(plan, changed, "cpu", staging)
    assert files == ([plan.models[0].shards[0].path] if again else [])
    assert len(sentences) == len(files)


def test_a_file_that_changed_while_it_was_read_is_named_until_it_was_read_again(
    cut_off: tuple[MergePlan, list[Any], Path],
) -> None:
    plan, entries, staging = cut_off
    path = plan.models[1].shards[0].path
    entries = [*entries, changed_entry(path)]
    assert check_same_merge(plan, entries, "cpu", staging)[0] == [path]
    entries.append(again_entry(plan, readers_of(plan, [path])))
    assert check_same_merge(plan, entries, "cpu", staging)[0] == []


def test_what_reads_a_file(cut_off: tuple[MergePlan, list[Any], Path]) -> None:
    plan, *_ = cut_off
    assert readers_of(plan, []) == []
    assert readers_of(plan, [plan.models[0].shards[0].path]) == list(range(len(plan.tensors)))
    assert readers_of(plan, [Path("elsewhere")]) == []


def test_what_is_restored(cut_off: tuple[MergePlan, list[Any], Path]) -> None:
    plan, entries, _ = cut_off
    restored = restore(plan, entries)
    places = [(part.chunk.tensor, part.chunk.first) for part in restored.parts]
    assert len(places) > 5
    assert places == sorted(places)
    twice = restore(plan, [*entries, *entries[1:]])
    assert [(part.chunk.tensor, part.chunk.first) for part in twice.parts] == places
    again = restore(plan, [*entries, again_entry(plan, [places[0][0]])])
    assert {tensor for tensor, _ in places} - {part.chunk.tensor for part in again.parts} == {places[0][0]}


@pytest.mark.parametrize("again", [[[]], [{}], ["x"], [None], [-1], [10**30], [1.5]])
def test_an_again_that_makes_no_sense(cut_off: tuple[MergePlan, list[Any], Path], again: list[Any]) -> None:
    plan, entries, _ = cut_off
    count = len(restore(plan, entries).parts)
    assert len(restore(plan, [*entries, {"again": again}]).parts) in (count, 0)


@pytest.mark.parametrize("files", [[3], [{}], [{"name": []}], [{"name": {}, "digest": []}], []])
def test_small_files_that_make_no_sense(cut_off: tuple[MergePlan, list[Any], Path], files: list[Any]) -> None:
    _plan, entries, staging = cut_off
    companions = {"x.json": Companion.of_bytes(b"{}")}
    error = error_of(refuse_other_files, [*entries, {"files": files}], companions, staging)
    assert error is not None
    assert "x.json of the models has changed" in error.message


def test_the_bytes_are_looked_at(cut_off: tuple[MergePlan, list[Any], Path]) -> None:
    """Each part whose bytes are not as they were written does not count, and no other."""
    plan, entries, staging = cut_off
    parts = restore(plan, entries).parts
    shards = shards_of(plan, staging)
    try:
        assert sound_parts(plan, parts, shards, 2, CancelToken()) == parts
        for number in range(0, len(parts), 3):
            part = parts[number]
            tensor = plan.tensors[part.chunk.tensor]
            if not part.outputs[0].size_bytes:
                continue
            at = tensor.placement.offset + part.chunk.first * tensor.output.dtype.itemsize
            byte = bytearray(1)
            shards[tensor.placement.shard].read_into(memoryview(byte), at)
            shards[tensor.placement.shard].write_at(memoryview(bytes([byte[0] ^ 1])), at)
            sound = sound_parts(plan, parts, shards, 2, CancelToken())
            assert [id(one) for one in sound] == [id(one) for one in parts if one is not part]
            shards[tensor.placement.shard].write_at(memoryview(bytes(byte)), at)
    finally:
        for shard in shards:
            shard.close()


def test_the_journal_says_no_secret_and_all_that_is_needed(
    cut_off: tuple[MergePlan, list[Any], Path],
) -> None:
    _, entries, _ = cut_off
    assert {"kind", "version", "run_id", "contract", "recipe", "inputs", "names", "shards"} <= set(entries[0])
    json.dumps(entries)
