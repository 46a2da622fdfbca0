"""Recipes on the disk: what a save keeps of the file it replaces, and who else has changed it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from core.errors import OutputError, RecipeError
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from gui.document.recipe_files import changed_on_disk, fingerprint, save_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return parse_recipe({"merge_method": "linear", "models": [{"model": "a"}]}, tmp_path)


def test_a_link_stays_one_and_the_permissions_stay(recipe: Recipe, tmp_path: Path) -> None:
    file, link = tmp_path / "kept" / "recipe.yaml", tmp_path / "link.yaml"
    file.parent.mkdir()
    file.write_text("the old one")
    file.chmod(0o640)
    link.symlink_to(file)
    save_recipe(recipe, link)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert load_recipe(link) == recipe
    assert sorted(path.name for path in file.parent.iterdir()) == ["recipe.yaml"]


@pytest.mark.parametrize("name", ["1e3", "7e-05", "\x85", "a\u2028b", "null", "=", "a: b"])
def test_what_is_saved_reads_the_same(tmp_path: Path, name: str) -> None:
    model = {"model": name, "parameters": {"weight": [{"filter": name, "value": 1}]}}
    recipe = parse_recipe({"merge_method": "linear", "models": [model]}, tmp_path)
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link in a circle"])
def test_what_is_no_file_is_not_replaced(recipe: Recipe, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "recipe.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null" if kind == "device" else path.name)
    before = path.lstat()
    with pytest.raises(OutputError, match=r"recipe\.yaml"):
        save_recipe(recipe, path)
    assert path.lstat() == before
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        fingerprint(path)
    assert changed_on_disk(path, None)


def test_whether_a_recipe_was_changed_since(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    assert fingerprint(path) is None
    assert not changed_on_disk(path, None)
    save_recipe(recipe, path)
    saved = fingerprint(path)
    assert not changed_on_disk(path, saved)
    assert changed_on_disk(path, None)  # somebody else made it

    times = path.stat()
    text = path.read_text()
    path.write_text(text.replace("seed: 0", "seed: 7"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    assert changed_on_disk(path, saved)  # as long as before, and as old

    path.write_text(text)
    os.utime(path, ns=(1, 1))
    assert not changed_on_disk(path, saved)
    path.unlink()
    assert not changed_on_disk(path, saved)  # nothing is there that could be lost
