"""What a merge says about the small files of its inputs before it begins, and which it leaves there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from method_checks import make_models, recipe_data

from core import plan_merge, run_merge
from core.checkpoint.staging import staging_path
from core.errors import IncompatibleError
from core.methods import METHODS
from core.plan.belonging import check_belonging
from core.recipe.parsing import parse_recipe

TOKENS = list("abcdefghij")


def _tokenizer(folder: Path, tokens: list[str], own: int) -> None:
    vocabulary = {token: number for number, token in enumerate([*tokens, f"<{own}>"])}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A base and four sub-models, each with a token of its own: more tokenizers than a plan compares."""
    make_models(tmp_path, 4)
    for number, name in enumerate(["base", "model-1", "model-2", "model-3", "model-4"]):
        _tokenizer(tmp_path / name, TOKENS, number)
    return tmp_path


def test_a_merge_compares_what_its_plan_did_not_and_says_what_stays(inputs: Path) -> None:
    (inputs / "model-2" / "optimizer.pt").write_bytes(b"x")
    plan = plan_merge(parse_recipe(recipe_data(METHODS["linear"], 4, {}), inputs))
    assert not any("id 10 is" in one for one in check_belonging(plan.models, plan.base, None))
    notes: list[str] = []
    record = run_merge(plan, inputs / "out", on_note=notes.append)
    assert sum('id 10 is "<' in note for note in notes) == 4
    assert "left where they are: optimizer.pt (of its training)" in notes
    assert {"config.json", "tokenizer.json", "README.md"} <= {file.name for file in record.files}
    assert (inputs / "out" / "tokenizer.json").read_bytes() == (
        inputs / "model-1" / "tokenizer.json"
    ).read_bytes()


def test_tokenizers_that_do_not_belong_together_are_refused_before_anything_is_written(inputs: Path) -> None:
    plan = plan_merge(parse_recipe(recipe_data(METHODS["linear"], 4, {}), inputs))
    _tokenizer(inputs / "model-3", TOKENS[::-1], 3)
    with pytest.raises(IncompatibleError, match="11 ids mean different tokens") as caught:
        run_merge(plan, inputs / "out")
    assert (caught.value.field, caught.value.entry) == ("models", 2)
    assert not (inputs / "out").exists()
    assert not staging_path(inputs / "out").exists()
