"""`mergekit_config.yml`: what mergekit can say of a recipe, and what it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from stored_models import store

from core import plan_merge, run_merge, verify_output
from core.errors import VerificationError
from core.recipe.recipe import parse_recipe, recipe_as_dict
from core.run.mergekit_config import MERGEKIT_CONFIG, mergekit_config


def written(data: dict[str, Any]) -> tuple[list[Any], str]:
    """The documents of the file, and its comments."""
    folder = Path("/models")
    recipe = parse_recipe(data, folder)
    names = {folder / name: name for name in "abc"}
    content = mergekit_config(recipe_as_dict(recipe, names))
    assert content is not None
    text = content.decode()
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    return list(yaml.safe_load_all(text)), comments


def models(*names: str) -> list[dict[str, Any]]:
    return [{"model": name} for name in names]


def test_defaults_that_mergekit_asks_for_are_written_out() -> None:
    weight = [{"filter": "mlp", "value": 0.5}]
    (said,), comments = written(
        {"merge_method": "linear", "models": models("a", "b"), "parameters": {"weight": weight}}
    )
    assert said["parameters"] == {"weight": [*weight, {"value": 1.0}]}
    assert said["models"] == models("a", "b")
    assert "no word" not in comments
    (said,), _ = written({"merge_method": "slerp", "base_model": "a", "models": models("b")})
    assert said["parameters"] == {"t": 0.5}


def test_what_it_has_no_word_for_is_told() -> None:
    (said,), comments = written(
        {
            "merge_method": "linear",
            "base_model": "c",
            "models": models("a"),
            "dtype": "float8_e4m3fn",
            "missing": "omit",
            "nonfinite": "error",
            "seed": 7,
        }
    )
    assert set(said) == {"merge_method", "models", "parameters"}
    for word in ("base_model: c", "dtype: float8_e4m3fn", "missing: omit", "nonfinite: error"):
        assert word in comments
    assert "seed" not in comments, "nothing is drawn"


def test_a_base_is_among_the_sources_of_a_slice() -> None:
    source = {"model": "b", "layer_range": [2, 4]}
    (said,), _ = written({"merge_method": "slerp", "base_model": "a", "slices": [{"sources": [source]}]})
    assert said["slices"] == [{"sources": [source, {"model": "a", "layer_range": [2, 4]}]}]


@pytest.mark.parametrize("source", ["union", "base"])
def test_vocab_is_a_tokenizer_source(source: str) -> None:
    data = {"merge_method": "slerp", "base_model": "a", "models": models("b"), "vocab": source}
    (said,), comments = written(data)
    assert said["tokenizer_source"] == source
    assert "no word for:\n#   vocab" not in comments
    (said,), _ = written({**data, "tokenizer": {"source": source, "pad_to_multiple_of": 8}})
    assert said["tokenizer"] == {"source": source, "pad_to_multiple_of": 8}
    assert "tokenizer_source" not in said


def test_a_method_that_mergekit_has_not() -> None:
    data = {"merge_method": "parameter_selection", "base_model": "a", "models": models("b")}
    assert mergekit_config(recipe_as_dict(parse_recipe(data, Path("/models")))) is None


def test_it_is_a_file_of_the_output_like_others(tmp_path: Path) -> None:
    for name in "ab":
        store(tmp_path / name, {"w": ("F32", (4,))})
    recipe = parse_recipe({"merge_method": "linear", "models": models("a", "b")}, tmp_path)
    run_merge(plan_merge(recipe), tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / MERGEKIT_CONFIG).read_text()
    listed = json.loads((tmp_path / "out" / "paramosaic.json").read_text())["files"]
    assert MERGEKIT_CONFIG in [file["name"] for file in listed]
    verify_output(tmp_path / "out")
    (tmp_path / "out" / MERGEKIT_CONFIG).write_text("merge_method: ties\n")
    with pytest.raises(VerificationError):
        verify_output(tmp_path / "out")
