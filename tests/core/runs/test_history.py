"""The history of runs: what it keeps, and what it survives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import core.data_home
import core.runs.history
from core.errors import MergeError, OutputError, RecipeError
from core.methods import METHODS, Draws
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import recipe_as_dict
from core.run.record import RunRecord
from core.runs.history import History, HistoryEntry, default_history_folder

RECORD = RunRecord(
    recipe={},
    inputs=(),
    software={},
    device="cpu, 2 threads",
    seconds=3.25,
    bytes_read=10,
    bytes_written=4,
    tensors=(),
)


def make_recipe(folder: Path, **changes: object) -> Recipe:
    data = {
        "merge_method": "parameter_selection",
        "base_model": "base",
        "models": [{"model": "run-1", "parameters": {"weight": 0.25}}, {"model": "run-2"}],
        "parameters": {"resamples": 4},
        "seed": 2**64 - 1,
        "dtype": "bfloat16",
        "tokenizer_source": "tokens",
    }
    return parse_recipe(data | changes, folder)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "data" / "history")


@pytest.fixture
def begun(tmp_path: Path) -> HistoryEntry:
    return HistoryEntry.begin(make_recipe(tmp_path), tmp_path / "out")


def at(entry: HistoryEntry, date: str) -> HistoryEntry:
    """The same run, begun at `date`, with an id of its own."""
    return replace(entry, id=date.replace(":", ""), date=f"{date}+00:00")


# -- entries


def test_an_entry_comes_back_as_it_was_written(history: History, begun: HistoryEntry) -> None:
    history.add(begun)
    assert history.entries() == (begun,)
    history.add(begun.done(RECORD))
    (entry,) = history.entries()
    assert entry == begun.done(RECORD)
    assert (entry.status, entry.seconds, entry.bytes_read, entry.bytes_written) == ("done", 3.25, 10, 4)
    assert (entry.k, entry.n, entry.seed, entry.device) == (2, 4, 2**64 - 1, "cpu, 2 threads")
    assert entry.models == ("run-1", "run-2")


def test_the_merges_that_came_before_count(history: History, begun: HistoryEntry) -> None:
    """A run of several documents is told by the time of all, and is still the one that its record is of."""
    history.add(begun.done(RECORD, before_s=10.5))
    (entry,) = history.entries()
    assert (entry.seconds, entry.before_s, entry.all_seconds) == (3.25, 10.5, 13.75)
    path = history.folder / f"{begun.id}.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"before_s": -1}))
    assert history.read().damaged == 1
    del data["before_s"]  # as earlier versions wrote it
    path.write_text(json.dumps(data))
    assert history.entries()[0].all_seconds == 3.25


def test_what_a_run_warned_of_is_kept(history: History, begun: HistoryEntry) -> None:
    said = ("run-1 is the base", "two tokenizers differ")
    history.add(begun.done(replace(RECORD, warnings=said)))
    (entry,) = history.entries()
    assert entry.warnings == said
    path = history.folder / f"{begun.id}.json"
    data = json.loads(path.read_text())
    del data["warnings"]  # as earlier versions wrote it
    path.write_text(json.dumps(data))
    assert history.entries()[0].warnings == ()
    path.write_text(json.dumps(data | {"warnings": [1]}))
    assert history.read().damaged == 1


def test_the_recipe_can_be_opened_again(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(tmp_path)
    history.add(HistoryEntry.begin(recipe, "out"))
    monkeypatch.chdir("/")
    (entry,) = history.entries()
    assert entry.recipe() == recipe


def test_rules_and_gradients_come_back(history: History, tmp_path: Path) -> None:
    models = [
        {
            "model": "run-1",
            "parameters": {"weight": [{"filter": "mlp", "value": [0, 0.5, 1]}, {"value": 0.25}]},
        },
        {"model": "run-2"},
    ]
    recipe = make_recipe(tmp_path, models=models)
    history.add(HistoryEntry.begin(recipe, tmp_path / "out"))
    (entry,) = history.entries()
    assert entry.recipe() == recipe


def test_relative_folders_are_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry = HistoryEntry.begin(make_recipe(Path()), "out")
    assert entry.out == tmp_path / "out"
    monkeypatch.chdir("/")
    assert recipe_as_dict(entry.recipe()) == recipe_as_dict(make_recipe(tmp_path))


def test_a_recipe_that_is_not_understood_is_told_when_it_is_opened(
    history: History, begun: HistoryEntry
) -> None:
    history.add(replace(begun, recipe_data={"merge_method": "of tomorrow"}))
    (entry,) = history.entries()
    with pytest.raises(RecipeError, match="of tomorrow"):
        entry.recipe()


def test_n_may_mean_nothing_or_differ(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, merge_method="linear", parameters={})
    assert not HistoryEntry.begin(recipe, tmp_path / "out").draws
    recipe = make_recipe(tmp_path, parameters={"resamples": [{"filter": "mlp", "value": 2}, {"value": 4}]})
    entry = HistoryEntry.begin(recipe, tmp_path / "out")
    assert (entry.draws, entry.n, entry.n_differs) == (True, None, True)


def test_a_method_may_draw_without_drawing_again(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = METHODS["parameter_selection"]
    weight = tuple(spec for spec in selection.parameters if spec.name == "weight")
    once = replace(selection, name="once", draws=Draws(), parameters=weight)
    monkeypatch.setitem(METHODS, "once", once)
    begun = HistoryEntry.begin(make_recipe(tmp_path, merge_method="once", parameters={}), tmp_path / "out")
    assert (begun.draws, begun.n, begun.n_differs) == (True, None, False)
    history.add(begun)
    assert history.entries() == (begun,)


@pytest.mark.parametrize(
    ("method", "written", "n_differs"),
    [
        ("parameter_selection", {"draws": True, "n": 4}, False),
        ("parameter_selection", {"draws": True, "n": None}, True),
        ("linear", {"draws": False, "n": 0}, False),
        ("linear", {"draws": False, "n": None}, False),
    ],
)
def test_what_version_0_1_wrote_opens_unchanged(
    history: History, tmp_path: Path, method: str, written: dict[str, object], n_differs: bool
) -> None:
    recipe = make_recipe(tmp_path, merge_method=method, parameters={})
    history.add(HistoryEntry.begin(recipe, tmp_path / "out"))
    (path,) = history.folder.iterdir()
    data = json.loads(path.read_text()) | written
    del data["n_differs"]
    data["recipe"]["vocab"] = "union"
    path.write_text(json.dumps(data))
    (entry,) = history.entries()
    assert {key: getattr(entry, key) for key in written} == written
    assert entry.n_differs == n_differs
    assert replace(entry.recipe(), vocab=None) == recipe


def test_how_a_run_ended_is_kept(history: History, begun: HistoryEntry) -> None:
    long_ago = replace(begun, date="2020-01-01T00:00:00.000+00:00")
    history.add(long_ago.failed("no space left"))
    (entry,) = history.entries()
    assert (entry.status, entry.message) == ("failed", "no space left")
    assert entry.seconds > 1e8
    history.add(long_ago.cancelled())
    assert [entry.status for entry in history.entries()] == ["cancelled"]


def test_folder_names_that_are_no_text_are_kept(history: History, begun: HistoryEntry) -> None:
    odd = replace(begun, out=Path(os.fsdecode(b"/models/caf\xe9 \xff")))
    history.add(odd)
    assert history.entries() == (odd,)


# -- the list


def test_the_newest_come_first(history: History, begun: HistoryEntry) -> None:
    dates = ["2025-01-02T00:00:00", "2025-01-01T00:00:00", "2025-01-03T00:00:00"]
    for date in dates:
        history.add(at(begun, date))
    assert [entry.date[:19] for entry in history.entries()] == sorted(dates, reverse=True)


def test_removing_an_entry_removes_nothing_else(
    history: History, begun: HistoryEntry, tmp_path: Path
) -> None:
    begun.out.mkdir()
    (begun.out / "model.safetensors").write_bytes(b"weights")
    other = at(begun, "2025-01-01T00:00:00")
    history.add(begun.done(RECORD))
    history.add(other)
    history.remove(begun.id)
    history.remove(begun.id)  # by another window, too
    assert [entry.id for entry in history.entries()] == [other.id]
    assert (begun.out / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("selection", True),
        ("PARAMETER_selection run-2", True),
        ("2024-06", True),
        ("77", True),
        ("out", True),
        ("done", True),
        ("linear", False),
        ("run-2 run-3", False),
        ("base", True),
        ("resamples 4", True),
        ("run-2 seed = 77", True),
        ("rules", False),
        ("sparrow", False),
    ],
)
def test_searching(history: History, tmp_path: Path, text: str, found: bool) -> None:
    entry = HistoryEntry.begin(make_recipe(Path("/models"), seed=77), Path("/merged/out"))
    history.add(at(entry, "2024-06-15T12:00:00").done(RECORD))
    assert bool(history.search(text)) == found


def test_searching_finds_rules_and_what_they_say(history: History) -> None:
    rules = [{"filter": "mlp", "value": [1, 9]}, {"value": 4}]
    recipe = make_recipe(Path("/models"), parameters={"resamples": rules})
    history.add(at(HistoryEntry.begin(recipe, Path("/merged/out")), "2024-06-15T12:00:00"))
    weights = [{"model": "run-1", "parameters": {"weight": [0.5, 1]}}, {"model": "run-2"}]
    recipe = make_recipe(Path("/models"), models=weights)
    history.add(at(HistoryEntry.begin(recipe, Path("/merged/out-2")), "2024-06-15T12:00:01"))
    assert [entry.out.name for entry in history.search("rules")] == ["out-2", "out"]
    assert [entry.out.name for entry in history.search("rules MLP")] == ["out"]


def test_a_thousand_entries_load_fast(history: History, begun: HistoryEntry) -> None:
    history.add(begun)
    content = (history.folder / f"{begun.id}.json").read_text()
    for number in range(999):
        (history.folder / f"{number}.json").write_text(content.replace(begun.id, str(number)))
    started = time.perf_counter()
    assert len(history.entries()) == 1000
    assert time.perf_counter() - started < 2  # 0.1 s where nothing else runs


# -- crashes, and what else may lie there


def test_a_history_that_is_not_there_is_empty(history: History) -> None:
    assert history.read() == core.runs.history.HistoryContents()
    assert not history.folder.exists()


def test_a_partial_file_beside_does_no_harm(history: History, begun: HistoryEntry) -> None:
    history.add(begun)
    cut = (history.folder / f"{begun.id}.json").read_bytes()[:100]
    (history.folder / f"{begun.id}.json.0123abcd.partial").write_bytes(cut)
    contents = history.read()
    assert (contents.entries, contents.damaged) == ((begun,), 0)


@pytest.mark.parametrize("died_in", ["os.fsync", "os.replace"])
def test_a_process_killed_while_it_writes_leaves_the_earlier_entry(
    history: History, begun: HistoryEntry, died_in: str
) -> None:
    history.add(begun)
    script = (
        "import os, sys\n"
        "from core.runs.history import History\n"
        "history = History(sys.argv[1])\n"
        "(entry,) = history.entries()\n"
        f"{died_in} = lambda *_: os._exit(9)\n"
        "history.add(entry.failed('a message'))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(history.folder)], check=False)
    assert ended.returncode == 9
    assert len(list(history.folder.iterdir())) == 2
    contents = history.read()
    assert (contents.entries, contents.damaged) == ((begun,), 0)
    history.add(begun.cancelled())
    assert [entry.status for entry in history.entries()] == ["cancelled"]


DAMAGE: dict[str, Callable[[dict[str, object]], object]] = {
    "no object": lambda data: ["something"],
    "foreign": lambda data: data | {"kind": "recipe"},
    "another's name": lambda data: data | {"id": "../elsewhere"},
    "no id": lambda data: {key: value for key, value in data.items() if key != "id"},
    "no date": lambda data: data | {"date": "yesterday"},
    "no zone": lambda data: data | {"date": "2025-01-01T00:00:00"},
    "a date without a local time": lambda data: data | {"date": "0001-01-01T00:00:00+23:00"},
    "an unknown status": lambda data: data | {"status": "great"},
    "a flag for a number": lambda data: data | {"k": True},
    "a negative size": lambda data: data | {"bytes_read": -1},
    "no number of seconds": lambda data: data | {"seconds": float("nan")},
    "a number of a thousand digits": lambda data: data | {"seconds": 10**1000},
    "a relative output": lambda data: data | {"out": "out"},
    "an impossible path": lambda data: data | {"out": "/out\0"},
    "no recipe": lambda data: data | {"recipe": 7},
    "a process that cannot be": lambda data: data | {"pid": 2**40},
    "version true": lambda data: data | {"schema_version": True},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_and_foreign_files_are_counted_and_left_alone(
    history: History, begun: HistoryEntry, damage: str
) -> None:
    history.add(begun)
    data = json.loads((history.folder / f"{begun.id}.json").read_text()) | {"id": "other"}
    path = history.folder / "other.json"
    path.write_text(json.dumps(data))
    assert len(history.entries()) == 2
    path.write_text(json.dumps(DAMAGE[damage](data)))
    contents = history.read()
    assert (contents.entries, contents.damaged, contents.newer) == ((begun,), 1, 0)
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b" " * 5_000_000])
def test_what_is_no_json_is_counted_and_left_alone(
    history: History, begun: HistoryEntry, content: bytes
) -> None:
    history.add(begun)
    (history.folder / "odd.json").write_bytes(content)
    (history.folder / "folder.json").mkdir()
    os.mkfifo(history.folder / "pipe.json")
    (history.folder / "link.json").symlink_to("gone")
    contents = history.read()
    assert (contents.entries, contents.damaged) == ((begun,), 4)
    assert (history.folder / "odd.json").read_bytes() == content


def test_what_a_newer_version_wrote_is_left_out(history: History, begun: HistoryEntry) -> None:
    history.add(begun)
    data = {"kind": "paramosaic run", "schema_version": 2, "id": {"of": "another kind"}}
    (history.folder / "newer.json").write_text(json.dumps(data))
    contents = history.read()
    assert (contents.entries, contents.damaged, contents.newer) == ((begun,), 0, 1)


def test_a_record_in_the_folder_may_be_that_of_a_later_run(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    names = {path: path.name for path in (tmp_path / name for name in ("base", "run-1", "run-2", "tokens"))}
    record = replace(RECORD, recipe=json.loads(json.dumps(recipe_as_dict(recipe, names))))
    entry = HistoryEntry.begin(recipe, tmp_path / "out").done(record)
    assert entry.wrote(record)
    for changes in (
        {"seconds": 3.26},
        {"bytes_read": 11},
        {"recipe": {**record.recipe, "seed": 1}},
        {"recipe": {**record.recipe, "parameters": {"resamples": 5}}},
        {"recipe": {**record.recipe, "models": [{"model": "run-1"}, {"model": "run-2"}]}},
    ):
        assert not entry.wrote(replace(record, **changes))  # type: ignore[arg-type]


# -- runs that a crash cut off


def test_a_run_whose_process_is_gone_was_interrupted(history: History, begun: HistoryEntry) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    history.add(replace(begun, pid=ended.pid))
    assert [entry.status for entry in history.entries()] == ["interrupted"]
    history.add(replace(begun, pid=ended.pid).done(RECORD))
    assert [entry.status for entry in history.entries()] == ["done"]


def test_a_run_of_another_process_goes_on(history: History, begun: HistoryEntry) -> None:
    history.add(replace(begun, pid=os.getppid()))
    assert [entry.status for entry in history.entries()] == ["running"]


def test_a_run_with_the_number_of_this_process_but_from_before_it_was_interrupted(
    history: History, begun: HistoryEntry
) -> None:
    history.add(at(begun, "2025-01-01T00:00:00"))
    assert [entry.status for entry in history.entries()] == ["interrupted"]


def test_nothing_is_said_of_the_processes_of_another_machine(history: History, begun: HistoryEntry) -> None:
    history.add(replace(begun, host="elsewhere", pid=2**31 - 1))
    assert [entry.status for entry in history.entries()] == ["running"]


# -- two at once


def test_two_histories_on_one_folder_lose_nothing(history: History, begun: HistoryEntry) -> None:
    stop = threading.Event()
    seen_damage: list[int] = []
    entries = [replace(begun, id=str(number)) for number in range(40)]

    def write(share: list[HistoryEntry]) -> None:
        for entry in share:
            History(history.folder).add(entry)
            History(history.folder).add(entry.done(RECORD))

    def read() -> None:
        while not stop.is_set():
            seen_damage.append(History(history.folder).read().damaged)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(entries[start::2],)) for start in (0, 1)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert {entry.id for entry in history.entries()} == {entry.id for entry in entries}
    assert {entry.status for entry in history.entries()} == {"done"}
    assert not any(seen_damage)
    assert {path.suffix for path in history.folder.iterdir()} == {".json"}


def test_an_entry_removed_while_it_is_read_is_no_damage(
    history: History, begun: HistoryEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.add(begun)
    found = history._names()
    history.remove(begun.id)
    monkeypatch.setattr(history, "_names", lambda: found)
    assert history.read() == core.runs.history.HistoryContents()


# -- where it cannot be


def test_a_history_that_cannot_be_written_says_so(tmp_path: Path, begun: HistoryEntry) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write to the history"):
        History(tmp_path / "file" / "history").add(begun)


def test_a_history_that_is_no_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MergeError, match="cannot read the history"):
        History(tmp_path / "file").read()


@pytest.mark.parametrize(
    ("system", "variables", "place"),
    [
        ("linux", {}, "{home}/.local/share/paramosaic/history"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/paramosaic/history"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "{home}/.local/share/paramosaic/history"),
        ("darwin", {}, "{home}/Library/Application Support/Paramosaic/history"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/Paramosaic/history"),
        ("linux", {"PARAMOSAIC_DATA_DIR": "/mine", "XDG_DATA_HOME": "/data"}, "/mine/history"),
    ],
)
def test_where_the_history_is_kept(
    system: str, variables: dict[str, str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PARAMOSAIC_DATA_DIR", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(core.data_home, "sys", SimpleNamespace(platform=system))
    assert default_history_folder() == Path(place.format(home=tmp_path))


# -- notes


def test_a_note_is_kept_found_and_outlives_the_end_of_its_run(history: History, begun: HistoryEntry) -> None:
    history.add(begun)
    assert history.set_note(begun.id, "nicer answers\nthan n = 0 — 2 of 3").note == history.entries()[0].note
    assert history.search("NICER")[0].id == begun.id
    history.add(begun.done(RECORD))  # as its process knows the run, which had no note then
    (entry,) = history.entries()
    assert (entry.status, entry.note) == ("done", "nicer answers\nthan n = 0 — 2 of 3")
    history.set_note(begun.id, "")
    assert history.entries() == (begun.done(RECORD),)
    assert not history.search("nicer")


def test_a_note_changes_nothing_of_the_entry(history: History, begun: HistoryEntry) -> None:
    history.add(replace(begun, pid=2**30))  # of a process that is no more
    path = history.folder / f"{begun.id}.json"
    before = path.read_bytes()
    assert history.set_note(begun.id, "cut off").status == "interrupted"
    assert path.read_bytes() == before
    assert [entry.note for entry in history.entries()] == ["cut off"]
    history.remove(begun.id)
    assert list(history.folder.iterdir()) == []


def test_a_run_that_ends_while_a_note_is_written_has_ended(
    history: History, begun: HistoryEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.add(begun)
    replace_file = core.runs.history.replace_file

    def ends_before(path: Path, content: bytes) -> None:
        monkeypatch.undo()
        History(history.folder).add(begun.done(RECORD))
        replace_file(path, content)

    monkeypatch.setattr(core.runs.history, "replace_file", ends_before)
    history.set_note(begun.id, "while it ran")
    assert [(entry.status, entry.note) for entry in history.entries()] == [("done", "while it ran")]


def test_a_note_in_the_entry_itself_is_read_until_another_is_set(
    history: History, begun: HistoryEntry
) -> None:
    history.add(replace(begun, note="as earlier versions kept it"))
    assert history.entries()[0].note == "as earlier versions kept it"
    (history.folder / f"{begun.id}.note.txt").write_bytes(b"\xff")
    assert history.entries()[0].note == "as earlier versions kept it"
    history.set_note(begun.id, "")
    assert history.entries()[0].note == ""


def test_entries_of_earlier_versions_have_no_note(history: History, begun: HistoryEntry) -> None:
    history.add(begun)
    path = history.folder / f"{begun.id}.json"
    data = json.loads(path.read_text())
    del data["note"]
    path.write_text(json.dumps(data))
    assert history.entries() == (begun,)
    assert history.set_note(begun.id, "known now") == replace(begun, note="known now")


def test_notes_that_cannot_be_kept_are_refused(history: History, begun: HistoryEntry) -> None:
    with pytest.raises(OutputError, match="no longer in the history"):
        history.set_note(begun.id, "x")
    history.add(begun)
    with pytest.raises(MergeError, match="5,000 characters, and at most 4,000"):
        history.set_note(begun.id, "x" * 5000)
    with pytest.raises(MergeError, match="not valid text"):
        history.set_note(begun.id, "\ud800")
    (history.folder / f"{begun.id}.json").write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        history.set_note(begun.id, "x")
    assert history.read().damaged == 1
