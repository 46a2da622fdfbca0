"""The base of a recipe that names none: the one that its adapters were trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import RecipeError
from core.recipe.parsing import parse_recipe


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "base").mkdir()
    return tmp_path


def adapter(folder: Path, name: str, base: str | None, **more: Any) -> None:
    (folder / name).mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": base, **more}
    (folder / name / "adapter_config.json").write_text(json.dumps(config))


def base_of(folder: Path, *models: str) -> Path | None:
    listed = [{"model": model} for model in models]
    return parse_recipe({"merge_method": "parameter_selection", "models": listed}, folder).base


def refused(folder: Path, *models: str) -> RecipeError:
    with pytest.raises(RecipeError) as raised:
        base_of(folder, *models)
    assert raised.value.field == "base_model"
    return raised.value


def test_all_name_the_same(folder: Path) -> None:
    adapter(folder, "a", "../base")
    adapter(folder, "b", str(folder / "base"))
    assert base_of(folder, "a", "b", "base+a", "a+b") == folder / "base"


def test_in_the_hubs_cache(folder: Path) -> None:
    snapshot = folder / "hub" / "models--org--base" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    adapter(folder, "a", "org/base", revision="abc")
    assert base_of(folder, "a") == snapshot


def test_they_name_different_ones(folder: Path) -> None:
    (folder / "other").mkdir()
    adapter(folder, "a", "../base")
    adapter(folder, "b", "../other")
    error = refused(folder, "a", "b")
    assert f"different models: {folder / 'base'} and {folder / 'other'}" in error.message
    assert "MODEL+ADAPTER" in str(error.hint)


@pytest.mark.parametrize(
    ("base", "revision", "hint"),
    [
        ("org/base", None, "as base_model, as with `hf download org/base --local-dir FOLDER`"),
        ("org/base", "v2", "`hf download org/base --revision v2 --local-dir FOLDER`"),
        ("/home/someone/llama", None, "name the folder of that model as base_model"),
        (None, None, "name the folder of that model as base_model"),
    ],
)
def test_it_is_not_here(folder: Path, base: str | None, revision: str | None, hint: str) -> None:
    adapter(folder, "a", base, revision=revision)
    error = refused(folder, "a")
    assert str(folder / "a") in error.message
    assert str(error.hint).endswith(hint)
    assert base is None or f"{base!r}, which is not on this computer" in error.message


@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_one_that_is_no_adapter(folder: Path, text: str | None) -> None:
    """Nor one that can be read."""
    adapter(folder, "a", "../base")
    (folder / "whole").mkdir()
    if text is not None:
        (folder / "whole" / "adapter_config.json").write_text(text)
    assert refused(folder, "a", "whole").message == "merge_method parameter_selection needs a base_model"


def test_a_method_that_needs_none_has_none(folder: Path) -> None:
    adapter(folder, "a", "../base")
    assert parse_recipe({"merge_method": "linear", "models": [{"model": "a"}]}, folder).base is None
