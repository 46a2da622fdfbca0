"""Files that are added to a finished output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from run_records import change_record

from core import load_recipe, plan_merge, read_record, run_merge, verify_output
from core.disk import System
from core.errors import OutputError
from core.run.output_files import add_files
from resources import DEMO_FOLDER

PICTURES = {"pictures/a.png": b"one", "pictures/deep/b.png": b"", "notes.txt": b"three"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    run_merge(plan_merge(load_recipe(DEMO_FOLDER / "recipe.yaml")), tmp_path / "out")
    return tmp_path / "out"


def test_they_are_listed_and_the_rest_stays(out: Path) -> None:
    change_record(out, lambda data: data.update(later="a key of a later version"))
    before = read_record(out)
    assert add_files(out, PICTURES) == [out / name for name in PICTURES]
    after = read_record(out)
    assert {file.name for file in after.files} - {file.name for file in before.files} == set(PICTURES)
    assert {name: (out / name).read_bytes() for name in PICTURES} == PICTURES
    assert verify_output(out).files_checked == len(before.files) + 3
    assert (after.tensors, after.recipe, after.seconds) == (before.tensors, before.recipe, before.seconds)
    assert '"later"' in (out / "paramosaic.json").read_text()
    assert add_files(out, {}) == []


@pytest.mark.parametrize(
    "name", ["config.json", "../x", "/tmp/x", "paramosaic.json", ".git/x", "", "model.safetensors/x"]
)
def test_what_is_refused(out: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OutputError):
        add_files(out, {name: b"x"})
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    verify_output(out)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_nothing_is_written_through_a_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (out / "pictures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link"):
        add_files(out, PICTURES)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_record_of_schema_1_lists_nothing(out: Path) -> None:
    def older(data: dict[str, Any]) -> None:
        data["schema_version"] = 1
        del data["files"], data["record_digest"]

    change_record(out, older)
    with pytest.raises(OutputError, match="lists no files"):
        add_files(out, PICTURES)


def test_a_full_disk_leaves_the_record(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(System):
        def rename(self, *names: Any, **options: Any) -> None:
            raise OSError(28, "No space left on device")

    before = (out / "paramosaic.json").read_bytes()
    monkeypatch.setattr("core.disk.system", Full())
    with pytest.raises(OutputError, match="No space left"):
        add_files(out, PICTURES)
    assert (out / "paramosaic.json").read_bytes() == before
