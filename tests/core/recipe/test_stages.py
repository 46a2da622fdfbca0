"""Several documents in a recipe: which one is the result, in what order they are merged, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import load_recipe
from core.errors import RecipeError
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.stages import with_seed
from core.recipe.writing import folders_of, recipe_as_dict

FIRST = "name: one\nmerge_method: linear\nmodels: [{model: a}, {model: b}]\n"
SECOND = "name: two\nmerge_method: slerp\nbase_model: one\nmodels: [{model: c}]\n"
RESULT = "merge_method: linear\nmodels: [{model: one}, {model: two}]\nseed: 3\n"


def load(folder: Path, *documents: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text("---\n".join(documents))
    return load_recipe(path)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_each_after_what_it_reads(tmp_path: Path, order: tuple[int, ...]) -> None:
    recipe = load(tmp_path, *([FIRST, SECOND, RESULT][at] for at in order))
    assert [stage.name for stage in recipe.stages] == ["one", "two"]
    assert [entry.path for entry in recipe.models] == [stage.folder for stage in recipe.stages]
    assert recipe.stages[1].recipe.base == recipe.stages[0].folder
    assert folders_of(recipe) == tuple(tmp_path / name for name in ("a", "b", "c"))


def test_where_all_have_names_the_last_is_the_result(tmp_path: Path) -> None:
    recipe = load(tmp_path, FIRST, SECOND)
    assert ([stage.name for stage in recipe.stages], recipe.method.name) == (["one"], "slerp")


def test_a_name_counts_before_a_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    assert folders_of(load(tmp_path, FIRST, SECOND)) == tuple(tmp_path / name for name in "cab")


def test_it_is_one_value_that_is_written_as_it_was_read(tmp_path: Path) -> None:
    recipe = load(tmp_path, FIRST, SECOND, RESULT)
    assert parse_recipe(recipe_as_dict(recipe), tmp_path) == recipe
    assert "one" in str(recipe_as_dict(recipe)["models"]), "by its name, whatever folder stands for it"


def test_another_seed_is_of_all(tmp_path: Path) -> None:
    recipe = with_seed(load(tmp_path, FIRST, SECOND, RESULT), 9)
    assert [recipe.seed, *(stage.recipe.seed for stage in recipe.stages)] == [9, 9, 9]


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ((FIRST[10:], SECOND, RESULT), "documents 1 and 3 have no name"),
        ((FIRST, FIRST, RESULT), "two documents have the name 'one'"),
        ((FIRST, SECOND.replace("two", "other"), RESULT.replace("two", "c")), "'other' is of no use"),
        ((FIRST.replace("model: a", "model: two"), SECOND, RESULT), "need one another's results"),
        (
            (FIRST.replace("one", "../x"), SECOND, RESULT),
            "the name '../x' of a document cannot be that of a folder",
        ),
        ((FIRST.replace("linear", "liner"), SECOND, RESULT), "document 'one': merge_method 'liner'"),
        (("[1]\n", RESULT), "document 1 is not a mapping"),
    ],
)
def test_what_is_refused(tmp_path: Path, documents: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        load(tmp_path, *documents)
    assert said in raised.value.message
    assert raised.value.hint


def test_the_hints_of_several_documents_name_the_keys_that_they_are_about(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        load(tmp_path, FIRST + "sead: 3\n", SECOND, RESULT + "sede: 4\n")
    assert "document 'one': unknown key 'sead'; unknown key 'sede'" in str(raised.value)
    assert "'sead', 'sede': did you mean 'seed'?" in (raised.value.hint or "")
