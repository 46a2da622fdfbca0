"""What README shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from core import parse_recipe, verify_output

README = Path(__file__).parent.parent.parent / "README.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_python_example_merges_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python"), "README.md", "exec"), {})
    assert verify_output(tmp_path / "merged").tensors > 0
    printed = capsys.readouterr().out
    assert "100%" in printed
    assert "model.embed_tokens.weight" in printed


def test_the_recipe_example_is_a_recipe(tmp_path: Path) -> None:
    recipe = parse_recipe(yaml.safe_load(block("yaml")), tmp_path)
    assert recipe.plain_value("weight") == (1.0, 1.0, 2.0)
    assert recipe.resamples == 4
    assert recipe.models[2].path == tmp_path / "models" / "run-3"


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", README.read_text())
    assert links
    for link in links:
        assert (README.parent / link).exists(), link
