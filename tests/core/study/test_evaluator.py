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
with open(sys.argv[1], "a") as file:
    file.write(sys.argv[2] + chr(10))
assert (pathlib.Path(sys.argv[2]) / "config.json").is_file()
print(len(open(sys.argv[1]).readlines()))
"""


def evaluator(tmp_path: Path, *, recompute: bool = False, argument: str = "runs.txt") -> StudyEvaluator:
    folder = tmp_path / "study"
    folder.mkdir(exist_ok=True)
    script = tmp_path / "score.py"
    script.write_text(SCRIPT)
    command = ScoreCommand((sys.executable, str(script), str(tmp_path / argument)))
    return StudyEvaluator(
        folder,
        Settings(device="cpu"),
        ScoreStore(tmp_path / "store"),
        command=command,
        recompute=recompute,
        cancel=CancelToken(),
        on_note=lambda sentence: None,
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
    assert evaluator(tmp_path, argument="others.txt").own_scores(first) == OwnScores(1.0)  # another command


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
