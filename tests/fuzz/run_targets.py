"""Parsers of what the program itself keeps: journals, records, history, settings. See targets.py."""

from __future__ import annotations

import contextlib
import json
import os
from itertools import count
from pathlib import Path

import xxhash
from feeding import plain, target
from ground import ENTRY_ID, NOTE_NAME, Begun, Ground
from run_records import record_digest

from core.checkpoint.contents import read_listing
from core.checkpoint.journal import Journal, JournalEntry, read_journal
from core.checkpoint.output import leftover_of
from core.checkpoint.ownership import is_run_id, read_owner
from core.checkpoint.record_file import record_bytes
from core.checkpoint.staging import JOURNAL_NAME, output_names
from core.deltas.findings import findings_of_record
from core.disk import OpenFolder
from core.errors import CheckpointError, OutputError, RecipeError, VerificationError
from core.plan.merge_plan import MergePlan
from core.recipe.writing import recipe_as_dict
from core.run.record import read_record
from core.run.resuming import check_same_merge, refuse_other_files, restore
from core.run.verify import verify_output
from core.runs.difference import difference_of_runs
from core.runs.history import History

# -- merges that were cut off


def _check_journal(story: Begun, data: bytes) -> None:
    path = story.staging / JOURNAL_NAME
    path.write_bytes(data)
    entries = read_journal(path)
    with OpenFolder(story.staging) as folder:
        journal, same = Journal.go_on(folder, JOURNAL_NAME)
        journal.close()
    assert plain(entries) == plain(same)
    assert data.startswith(path.read_bytes())
    assert len(read_journal(path)) == len(entries)
    assert all(isinstance(name, str) for name in output_names(entries))
    left = leftover_of(story.out)
    assert left is not None
    assert 0 <= left.fraction <= 1
    str(left)
    _check_restored(story.plan, entries)
    if entries:
        again, sentences = check_same_merge(story.plan, entries, "cpu", story.staging)
        assert set(again) <= set(story.plan.headers)
        assert len(again) == len(sentences)
        refuse_other_files(entries, story.small, story.staging)


def _check_restored(plan: MergePlan, entries: list[JournalEntry]) -> None:
    restored = restore(plan, entries)
    ends: dict[int, int] = {}
    for part in restored.parts:
        tensor = plan.tensors[part.chunk.tensor]
        assert ends.get(part.chunk.tensor, 0) <= part.chunk.first
        ends[part.chunk.tensor] = part.chunk.first + part.chunk.elements
        assert 0 < part.chunk.elements <= ends[part.chunk.tensor] <= tensor.elements
        assert part.outputs[0].size_bytes == part.chunk.elements * tensor.output.dtype.itemsize
        assert part.chunk.tensor in restored.found or not tensor.folds
    for number, found in restored.found.items():
        assert plan.tensors[number].folds
        assert all(
            isinstance(found[0][name], float | tuple)
            for fold in plan.tensors[number].folds
            for name in fold.finds
        )
        hash(found)


def _story(ground: Ground, data: bytes) -> Begun:
    return ground.stories["slerp" if b"slerp" in data else "parameter_selection"]


@target("journal", "bytes", Ground.journals, OutputError)
def _journal(ground: Ground, data: bytes) -> None:
    _check_journal(_story(ground, data), data)


@target("journal entries", "json lines", Ground.journal_entries, OutputError)
def _journal_entries(ground: Ground, lines: bytes) -> None:
    """With the checksums that they need."""
    data, last = b"", b""
    for line in lines.splitlines():
        last = xxhash.xxh3_64(last + line).hexdigest().encode()
        data += last + b" " + line + b"\n"
    _check_journal(_story(ground, data), data)


@target("note", "json", Ground.notes)
def _note(ground: Ground, data: bytes) -> None:
    """Whose a staging folder is: what cannot be understood is none."""
    story = ground.stories["slerp"]
    (story.staging / NOTE_NAME).write_bytes(data)
    owner = read_owner(story.staging)
    if owner is not None:
        str(owner)
        assert 0 < owner.pid < 2**31
        assert is_run_id(owner.run_id) in (True, False)
    assert str(leftover_of(story.out))


# -- records


@target("record", "json", Ground.run_records, VerificationError)
def _record(ground: Ground, data: bytes) -> None:
    path = ground.out / "paramosaic.json"
    path.write_bytes(data)
    with contextlib.suppress(OutputError):
        listing = read_listing(ground.out)
        assert all(not Path(name).is_absolute() and ".." not in name.split("/") for name in listing.files)
    with contextlib.suppress(VerificationError, CheckpointError):
        report = verify_output(ground.out)
        assert not report.weights + report.files
        assert report.schema_version in (1, 2)
    record = read_record(ground.out)
    assert record.draws_equally in (True, False)
    if record.schema_version > 1:
        assert json.loads(data)["record_digest"] == record_digest(json.loads(data))
        path.write_bytes(record.to_json())
        assert read_record(ground.out) == record
    findings_of_record(record)
    difference_of_runs(record, ground.records[0])


@target("record contents", "json", Ground.run_records, VerificationError)
def _record_contents(ground: Ground, data: bytes) -> None:
    """With the digest that they need, laid out as they are or as the program does it."""
    try:
        record = json.loads(data)
        if isinstance(record, dict) and "schema_version" in record:
            record["record_digest"] = record_digest(record)
            if isinstance(tensors := record.get("tensors"), list) and len(data) % 3:
                data = record_bytes({key: record[key] for key in record if key != "tensors"}, tensors)
            else:
                data = json.dumps(record).encode()
    except (ValueError, TypeError, RecursionError):
        pass
    _record(ground, data)


# -- what the program keeps for itself


@target("history", "json", Ground.history)
def _history(ground: Ground, data: bytes) -> None:
    folder = ground.folder / "history"
    folder.mkdir(exist_ok=True)
    (folder / f"{ENTRY_ID}.json").write_bytes(data)
    contents = History(folder).read()
    assert len(contents.entries) + contents.damaged + contents.newer == 1
    for entry in contents.entries:
        entry.matches("x 3")
        entry.failed("x").cancelled()
        assert entry.local_date
        for record in ground.records:
            entry.wrote(record)
            entry.done(record)
        with contextlib.suppress(RecipeError):
            recipe_as_dict(entry.recipe())


_numbers = count()


@target("settings", "lines", Ground.settings)
def _settings(ground: Ground, data: bytes) -> None:
    """A file of another name each time: Qt remembers what was in it."""
    from gui.settings import Settings

    path = ground.folder / f"settings-{next(_numbers)}.ini"
    path.write_bytes(data)
    settings = Settings(path)
    settings.add_recent_recipe(Path("/x.yaml"))
    assert settings.recent_recipes[0] == Path("/x.yaml")
    assert settings.shard_size_bytes > 0
    assert settings.threads is None or 0 < settings.threads < 2**63
    assert isinstance(settings.geometry + settings.window_state, bytes)
    assert isinstance(settings.device, str)
    assert settings.recipe_unfolded in (True, False)
    settings.device = "cpu"
    assert settings.device == "cpu"
    settings.sync()
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
