"""What cannot be done is refused before anything is measured, and not once hours have gone into it."""

from __future__ import annotations

import errno
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import core.disk
from core.cli.commands import main
from core.cli.desktop import Desktop
from core.evaluate.store.score_store import ScoreStore
from resources import DEMO_FOLDER

BASE, ONE, TWO = (str(DEMO_FOLDER / name) for name in ("base", "order-1", "order-2"))


@pytest.fixture(autouse=True)
def own_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(tmp_path / "kept"))
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"text": f"a list of {row} names"}) + "\n" for row in range(3)))
    return str(path)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    values = {
        "merge_method": "parameter_selection",
        "base_model": BASE,
        "models": [{"model": ONE}, {"model": TWO}],
    }
    path.write_text(json.dumps(values))
    return str(path)


@pytest.fixture
def shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a disk that can only be read, whoever asks."""
    folder = tmp_path / "shut"
    folder.mkdir()
    create, make = core.disk.system.create, os.mkdir

    def refused(path: object) -> bool:
        return Path(str(path)).parent == folder

    def no_file(name: str | Path, *, within: int | None = None) -> int:
        if refused(name):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return create(name, within=within)

    def no_folder(name: str | Path, *arguments: object, **options: object) -> None:
        if refused(name):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        make(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(core.disk.system, "create", no_file)
    monkeypatch.setattr(os, "mkdir", no_folder)
    return folder


def run(*arguments: str) -> int:
    return main(Desktop(lambda: False, lambda _: 1, lambda *_: []), list(arguments))


def test_a_device_that_is_not_there_is_refused_where_all_scores_are_known(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", ONE, "--data", data, "--device", "cpu") == 0
    assert run("evaluate", ONE, "--data", data) == 0
    capsys.readouterr()
    for device, said in (
        ("tpu", "the device 'tpu' is not known"),
        ("cuda:99", "the device cuda:99 is not there"),
    ):
        assert run("evaluate", ONE, "--data", data, "--device", device) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert f"error: {said}" in printed.err
        assert "hint: " in printed.err


def test_a_study_and_a_prompt_look_at_the_device_first(
    recipe: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    assert run("study", recipe, "--validation", data, "--out", str(out), "--device", "tpu") == 1
    assert capsys.readouterr().err.startswith("error: the device 'tpu' is not known")
    assert not out.exists()
    assert run("try", ONE, TWO, "--prompt", "x", "--device", "tpu") == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert "loading" not in said


def test_a_file_of_samples_that_cannot_be_written(
    data: str, shut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shut / "scores.csv"
    assert run("evaluate", ONE, "--data", data, "--device", "cpu", "--out", str(out)) == 1
    said = capsys.readouterr().err
    assert f"error: cannot write {out}: Read-only file system\n" in said
    assert "hint: choose a place that can be written (--out)" in said
    assert not ScoreStore().all()


def test_a_name_that_is_too_long_for_the_disk(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / ("s" * 250 + ".csv")
    assert run("evaluate", ONE, "--data", data, "--device", "cpu", "--out", str(out)) == 1
    said = capsys.readouterr().err
    assert "File name too long" in said
    assert "hint: choose a shorter name" in said
    assert not ScoreStore().all()


def test_a_file_that_is_there_stays_as_it_is_until_there_are_scores(data: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("of yesterday")
    arguments = ["--data", data, "--device", "cpu", "--out", str(out)]
    assert run("evaluate", str(tmp_path / "none"), *arguments) == 1
    assert out.read_text() == "of yesterday"
    assert run("evaluate", ONE, *arguments) == 0
    assert out.read_text().startswith("model,line,")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "kept", "scores.csv"]


def test_a_place_for_merges_that_cannot_be_written(
    data: str, recipe: str, shut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data", data, "--device", "cpu", "--work-folder", str(shut)]
    assert run("evaluate", ONE, recipe, *where) == 1
    said = capsys.readouterr().err
    assert f"error: cannot make a temporary folder in {shut}: Read-only file system\n" in said
    assert "(--work-folder)" in said
    assert not ScoreStore().all()
    assert run("evaluate", ONE, *where) == 0  # nothing is merged


def test_the_folder_of_an_earlier_study_that_cannot_be_written_any_more(
    data: str, recipe: str, shut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["study", recipe, "--validation", data, "--out", str(shut), "--device", "cpu", "--no-soup"]
    (shut / "study.json").write_text("{}")
    os.makedirs(shut.parent / "of-study")
    (shut.parent / "of-study").rename(shut / ".paramosaic")
    assert run(*arguments) == 1
    said = capsys.readouterr().err
    assert f"error: cannot write {shut / 'study.json'}: Read-only file system\n" in said
    assert (shut / "study.json").read_text() == "{}"
    assert not ScoreStore().all()
