"""What an own command says is kept by the model's bytes, and asked for once."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from core.cancel import CancelToken
from core.errors import MergeError
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.study.command import OwnScores, ScoreCommand
from core.study.evaluator import StudyEvaluator
from core.study.family import StudyModel, family_of
from resources import DEMO_FOLDER

SCRIPT = """
import sys, pathlib
log = pathlib.Path(sys.argv[1]) / "runs.txt"
with open(log, "a") as file:
    file.write(sys.argv[-1] + chr(10))
assert (pathlib.Path(sys.argv[-1]) / "config.json").is_file()
print(len(open(log).readlines()))
"""


def evaluator(
    tmp_path: Path,
    *more: str,
    recompute: bool = False,
    logged: str = ".",
    script: str = SCRIPT,
    digest: str = "",
    notes: list[str] | None = None,
) -> StudyEvaluator:
    """Its command counts the models that it was asked for, in `logged`/runs.txt."""
    folder = tmp_path / "study"
    folder.mkdir(exist_ok=True)
    place = tmp_path / logged
    place.mkdir(exist_ok=True)
    (tmp_path / "score.py").write_text(script)
    command = ScoreCommand((sys.executable, str(tmp_path / "score.py"), str(place), *more))
    return StudyEvaluator(
        folder,
        Settings(device="cpu"),
        ScoreStore(tmp_path / "store"),
        command=command,
        validation_digest=digest,
        recompute=recompute,
        cancel=CancelToken(),
        on_note=lambda sentence: notes.append(sentence) if notes is not None else None,
    )


def test_a_model_is_scored_once(tmp_path: Path) -> None:
    first = StudyModel("base", "base", folder=DEMO_FOLDER / "base")
    other = StudyModel("single-1", "order-1", folder=DEMO_FOLDER / "order-1")
    assert evaluator(tmp_path).own_scores(first) == OwnScores(1.0)
    assert evaluator(tmp_path).own_scores(other) == OwnScores(2.0)
    assert evaluator(tmp_path).own_scores(first) == OwnScores(1.0)  # of an earlier process
    copy = shutil.copytree(DEMO_FOLDER / "base", tmp_path / "copy")
    assert evaluator(tmp_path).own_scores(StudyModel("c", "copy", folder=copy)) == OwnScores(1.0)
    config = copy / "config.json"
    config.write_text(config.read_text().replace("{", "{ ", 1))
    assert evaluator(tmp_path).own_scores(StudyModel("c", "copy", folder=copy)) == OwnScores(3.0)
    assert evaluator(tmp_path, recompute=True).own_scores(first) == OwnScores(4.0)
    assert evaluator(tmp_path, logged="others").own_scores(first) == OwnScores(1.0)  # another command


def test_a_command_whose_files_changed_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = StudyModel("base", "base", folder=DEMO_FOLDER / "base")
    keys = tmp_path / "answers.txt"
    keys.write_text("a")
    words = (str(keys), f"--rubric={tmp_path / 'rubric.txt'}")
    notes: list[str] = []
    assert evaluator(tmp_path, *words, notes=notes).own_scores(model) == OwnScores(1.0)
    first = evaluator(tmp_path, *words, notes=notes)
    assert notes == []
    assert first.own_scores(model) == OwnScores(1.0)
    (note,) = notes
    assert note.startswith("scores of ")
    assert "of an earlier run are used" in note
    assert "--recompute" in note
    assert evaluator(tmp_path, *words, script=f"{SCRIPT}# changed").own_scores(model) == OwnScores(2.0)
    keys.write_text("b")
    assert evaluator(tmp_path, *words).own_scores(model) == OwnScores(3.0)
    (tmp_path / "rubric.txt").write_text("strict")
    assert evaluator(tmp_path, *words).own_scores(model) == OwnScores(4.0)
    assert evaluator(tmp_path, *words, digest="ab" * 16).own_scores(model) == OwnScores(5.0)
    monkeypatch.chdir(tmp_path)
    assert evaluator(tmp_path, *words).own_scores(model) == OwnScores(6.0)


def test_what_was_scored_in_this_run_is_of_no_earlier_one(tmp_path: Path) -> None:
    notes: list[str] = []
    asked = evaluator(tmp_path, notes=notes)
    for key in ("base", "twin"):
        assert asked.own_scores(StudyModel(key, key, folder=DEMO_FOLDER / "base")) == OwnScores(1.0)
    assert notes == []


def test_a_merge_is_made_for_the_command_and_removed(tmp_path: Path) -> None:
    models = [{"model": str(DEMO_FOLDER / f"order-{number}")} for number in (1, 2)]
    data = {"merge_method": "linear", "base_model": str(DEMO_FOLDER / "base"), "models": models}
    average = family_of(parse_recipe(data, tmp_path)).average()
    assert evaluator(tmp_path).own_scores(average) == OwnScores(1.0)
    place = Path((tmp_path / "runs.txt").read_text().strip())
    assert place.is_relative_to(tmp_path)  # beside the study, on the same disk
    assert not place.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"study", "score.py", "runs.txt", "store"}


@pytest.mark.skipif(os.name != "posix", reason="links need rights there")
def test_its_recipes_name_models_by_the_way_to_them(tmp_path: Path) -> None:
    """Also where a link leads to the study; they make the same merges as before."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    models = [{"model": str(DEMO_FOLDER / f"order-{number}")} for number in (1, 2)]
    data = {"merge_method": "linear", "base_model": str(DEMO_FOLDER / "base"), "models": models}
    average = family_of(parse_recipe(data, tmp_path)).average()
    evaluator(tmp_path / "link").own_scores(average)
    (path,) = (tmp_path / "link" / "study" / "recipes").iterdir()
    written = yaml.safe_load(path.read_text())
    named = [written["base_model"], *(entry["model"] for entry in written["models"])]
    assert [os.path.isabs(name) for name in named] == [False] * 3
    found = load_recipe(path)
    assert [entry.path.resolve() for entry in found.models] == [
        (DEMO_FOLDER / f"order-{number}").resolve() for number in (1, 2)
    ]


def test_a_damaged_file_of_scores_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "command-scores.json").write_text("[1")
    with pytest.raises(MergeError, match="damaged"):
        evaluator(tmp_path)
