"""A very large merge leaves the page cache as it found it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import make_checkpoints

from core import load_recipe, plan_merge, read_record, run_merge
from core.checkpoint import page_cache

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has such calls")


def is_cold(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return page_cache.is_cold(fd, 0, path.stat().st_size)
    finally:
        os.close(fd)


def make_cold(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
        page_cache.drop(fd, 0, 0)
    finally:
        os.close(fd)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Models of 120 MB in all."""
    folder = tmp_path_factory.mktemp("models")
    yield make_checkpoints(folder, 20_000_000, 2, hidden=256)
    shutil.rmtree(folder)


@pytest.fixture
def recipe(made: Path) -> Path:
    """Of models of which all but one sub-model are not in the page cache."""
    for path in made.parent.glob("*/*.safetensors"):
        make_cold(path)
        if not is_cold(path):
            pytest.skip("this file system keeps its pages, or the kernel is older than 6.5")
    next((made.parent / "model-2").glob("*.safetensors")).read_bytes()
    return made


def weights(recipe: Path, out: Path) -> list[Path]:
    """Those of the models, and of what was merged."""
    return [path for folder in (recipe.parent, out) for path in folder.glob("*/*.safetensors")]


@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_not_cached_before_is_not_cached_after(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(page_cache, "physical_memory_bytes", lambda: 100_000_000)
    run_merge(plan_merge(load_recipe(recipe)), tmp_path / "out", threads=threads)
    cold = {path.parent.name: is_cold(path) for path in weights(recipe, tmp_path)}
    assert cold == {"base": True, "model-1": True, "model-2": False, "out": True}


def test_a_small_merge_uses_the_cache_as_any_program_does(recipe: Path, tmp_path: Path) -> None:
    run_merge(plan_merge(load_recipe(recipe)), tmp_path / "out")
    assert not any(is_cold(path) for path in weights(recipe, tmp_path))
    assert read_record(tmp_path / "out").tensors
