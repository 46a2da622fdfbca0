"""Which source of each input makes which output tensor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core import IncompatibleError, plan_merge, run_merge
from core.recipe.parsing import parse_recipe

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def write(folder: Path, tensors: Mapping[str, Any], *, tied: bool) -> None:
    folder.mkdir()
    save_file(
        {name: np.asarray(value, np.float32) for name, value in tensors.items()}, folder / "model.safetensors"
    )
    config = {"model_type": "llama", "vocab_size": 4, "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config))


def recipe(method: str, folder: Path, *names: str) -> Any:
    models = [{"model": name} for name in names]
    return parse_recipe({"merge_method": method, "base_model": "base", "models": models}, folder)


def test_a_head_that_is_tied_in_one_input_is_read_from_its_embedding(tmp_path: Path) -> None:
    """The base ties its head and leaves it out; a fine-tune untied it, another ties it still."""
    embedding = np.arange(8.0).reshape(4, 2)
    write(tmp_path / "base", {EMBEDDING: embedding}, tied=True)
    write(tmp_path / "untied", {EMBEDDING: embedding + 1, HEAD: embedding + 10}, tied=False)
    write(tmp_path / "tied", {EMBEDDING: embedding + 4}, tied=True)
    for order in (("untied", "tied"), ("tied", "untied")):
        plan = plan_merge(recipe("linear", tmp_path, *order))
        out = tmp_path / f"out-{order[0]}"
        run_merge(plan, out)
        merged = load_file(out / "model.safetensors")
        np.testing.assert_array_equal(merged[EMBEDDING], embedding + 2.5)
        np.testing.assert_array_equal(merged[HEAD], embedding + 7)
        config = json.loads((out / "config.json").read_text())
        assert config["tie_word_embeddings"] is False, "the head that is written is not the embedding"
        note = next(entry.reason for entry in plan.ledger if entry.name == HEAD)
        assert note == "tied in tied, base, and read there from the embedding"
    # Of a selection the delta of the head is that to the base's embedding.
    record = run_merge(
        plan_merge(recipe("parameter_selection", tmp_path, "untied", "tied")), tmp_path / "drawn"
    )
    head = next(tensor for tensor in record.tensors if tensor.name == HEAD)
    assert head.zero_delta == (0, 0)
    drawn = load_file(tmp_path / "drawn" / "model.safetensors")[HEAD]
    assert np.isin(drawn - embedding, (4, 10)).all()


def test_a_head_that_all_inputs_tie_is_left_out_where_one_leaves_it_out(tmp_path: Path) -> None:
    embedding = np.ones((4, 2))
    write(tmp_path / "base", {EMBEDDING: embedding, HEAD: embedding}, tied=True)
    write(tmp_path / "a", {EMBEDDING: embedding}, tied=True)
    plan = plan_merge(recipe("linear", tmp_path, "a"))
    assert [(entry.name, entry.action) for entry in plan.ledger] == [(HEAD, "omitted"), (EMBEDDING, "merged")]
    assert not plan.unties


def test_a_head_that_the_base_lacks_without_tying_it_has_no_delta_or_is_refused(tmp_path: Path) -> None:
    embedding = np.ones((4, 2))
    write(tmp_path / "base", {EMBEDDING: embedding}, tied=False)
    write(tmp_path / "a", {EMBEDDING: embedding, HEAD: embedding}, tied=False)
    plan = plan_merge(recipe("linear", tmp_path, "a"))
    assert [entry.reason for entry in plan.ledger if entry.name == HEAD] == [
        "not in the base, and so without a delta"
    ]
    strict = dataclasses.replace(recipe("linear", tmp_path, "a"), missing="error")
    with pytest.raises(IncompatibleError, match=r"lm_head\.weight.*is missing in .*base") as refused:
        plan_merge(strict)
    assert (refused.value.tensor, refused.value.entry) == (HEAD, 0)


def test_a_sub_model_that_lacks_a_tensor_is_named(tmp_path: Path) -> None:
    write(tmp_path / "base", {EMBEDDING: np.ones((4, 2)), "x": np.ones(3)}, tied=False)
    write(tmp_path / "a", {EMBEDDING: np.ones((4, 2)), "x": np.ones(3)}, tied=False)
    write(tmp_path / "b", {EMBEDDING: np.ones((4, 2))}, tied=False)
    with pytest.raises(IncompatibleError, match="'x'") as refused:
        plan_merge(recipe("linear", tmp_path, "a", "b"))
    assert (refused.value.tensor, refused.value.entry, refused.value.path) == ("x", 1, tmp_path / "b")
