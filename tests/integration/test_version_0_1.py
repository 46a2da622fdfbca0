"""What version 0.1 wrote opens unchanged, and its selections come out the same to the bit.

The files in tests/data/version-0.1 were written by that version; the models are those of the demo.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from core import load_recipe, plan_merge, read_record, run_merge
from core.deltas.findings import findings_of_record
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict
from core.runs.history import History
from gui.settings import Settings
from resources import DEMO_FOLDER

DATA = Path(__file__).parents[1] / "data" / "version-0.1"
NAMES = ("selection", "rules", "average")


def models_for(recipe: Path, folder: Path) -> Path:
    """The recipe in a folder with the demo's models."""
    for model in DEMO_FOLDER.iterdir():
        if model.is_dir():
            (folder / model.name).symlink_to(model)
    return Path(shutil.copy(recipe, folder))


@pytest.mark.parametrize("name", ["selection", "rules"])
def test_a_selection_gives_the_same_bytes_and_counts(name: str, tmp_path: Path) -> None:
    before = read_record(DATA / "records" / name)
    plan = plan_merge(load_recipe(models_for(DATA / "recipes" / f"{name}.yaml", tmp_path)))
    again = run_merge(plan, tmp_path / "out")
    by_name = {tensor.name: tensor for tensor in before.tensors}
    for tensor in again.tensors:
        old = by_name.pop(tensor.name)
        for field in fields(old):
            if field.name != "parameters":  # which version 0.1 did not write
                assert getattr(tensor, field.name) == getattr(old, field.name), (tensor.name, field.name)
    assert not by_name
    assert again.bytes_read == before.bytes_read


@pytest.mark.parametrize("name", NAMES)
def test_a_record_opens(name: str) -> None:
    record = read_record(DATA / "records" / name)
    assert record.contract == {"draws": 1, "average": 1}, "a record without a contract is of version 1"
    assert record.recipe["vocab"] == "union"
    assert (record.device, record.device_why) == ("cpu", "")
    assert (findings_of_record(record) is None) == (name == "average")
    folder = DEMO_FOLDER.parent
    assert parse_recipe(dict(record.recipe), folder).method.name == record.recipe["merge_method"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_opens_and_is_written_again(name: str) -> None:
    path = DATA / "recipes" / f"{name}.yaml"
    assert "vocab: union" in path.read_text()
    written = recipe_as_dict(load_recipe(path))
    assert written["vocab"] == "union"
    again = parse_recipe(written, path.parent)
    assert again.values_for("model.layers.1.mlp.up", 1.0) == load_recipe(path).values_for(
        "model.layers.1.mlp.up", 1.0
    )


def test_the_history_opens() -> None:
    contents = History(DATA / "history").read()
    assert (contents.damaged, contents.newer, len(contents.entries)) == (0, 0, 6)
    runs = {entry.out.name: entry for entry in contents.entries}
    assert {name: run.status for name, run in runs.items()} == {
        "selection": "done",
        "selection-2": "cancelled",
        "rules": "done",
        "rules-2": "cancelled",
        "average": "done",
        "average-2": "failed",
    }
    assert [(runs[name].draws, runs[name].n, runs[name].seed) for name in NAMES] == [
        (True, 4, 7),
        (True, None, 2**64 - 1),
        (False, 0, 0),
    ]
    assert runs["average-2"].message == "the disk is full"
    for name in NAMES:
        recipe = runs[name].recipe()
        assert recipe.method.name == runs[name].method
        assert len(recipe.models) == runs[name].k
        assert runs[name].wrote(read_record(DATA / "records" / name))


def test_the_history_is_kept_as_it_was_written(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "history", tmp_path / "history"))
    history = History(folder)
    for entry in history.read().entries:
        history.add(entry)
        written = json.loads((folder / f"{entry.id}.json").read_text())
        before = json.loads((DATA / "history" / f"{entry.id}.json").read_text())
        assert {name: written.get(name) for name in before} == before


def test_settings_open(tmp_path: Path) -> None:
    settings = Settings(Path(shutil.copy(DATA / "settings.ini", tmp_path)))
    assert (settings.device, settings.threads, settings.shard_size_bytes) == ("cuda:0", 3, 2_000_000_000)
    assert settings.recent_recipes == [Path("/home/user/recipe.yaml")]
    assert (settings.geometry, settings.window_state) == (b"\x01\x02geometry", b"state\x00")
    assert settings.recipe_unfolded is True
