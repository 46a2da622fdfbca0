"""Tensors that share memory: by config, by what transformers declares, and by their bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core import plan_merge, read_record, run_merge
from core.checkpoint.ties import declared_ties, says_tied
from core.recipe.parsing import parse_recipe

EMBED, HEAD, W = "model.embed_tokens.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight"


def write(folder: Path, tensors: Mapping[str, Any], **config: Any) -> None:
    folder.mkdir()
    save_file({n: np.asarray(v, np.float32) for n, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def values(seed: int, rows: int = 32) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)


def merge(folder: Path, *models: str, out: str = "out") -> tuple[dict[str, Any], Any, dict[str, Any]]:
    recipe = {"merge_method": "parameter_selection", "base_model": "base"}
    entries = [{"model": name} for name in models]
    record = run_merge(plan_merge(parse_recipe({**recipe, "models": entries}, folder)), folder / out)
    assert read_record(folder / out).tensors == record.tensors
    config = json.loads((folder / out / "config.json").read_text())
    return load_file(folder / out / "model.safetensors"), record, config


@pytest.mark.parametrize(
    ("config", "first", "aliases"),
    [
        ({"model_type": "t5"}, "shared.weight", ["encoder.embed_tokens.weight", "lm_head.weight"]),
        ({"model_type": "bart"}, "model.shared.weight", ["model.encoder.embed_tokens.weight", HEAD]),
        ({"model_type": "bart"}, "model.shared.weight", ["model.decoder.embed_tokens.weight", HEAD]),
        ({"model_type": "whisper"}, "model.decoder.embed_tokens.weight", ["proj_out.weight"]),
        ({"model_type": "roberta"}, "lm_head.bias", ["lm_head.decoder.bias"]),
        (
            {"model_type": "roberta"},
            "roberta.embeddings.word_embeddings.weight",
            ["lm_head.decoder.weight"],
        ),
        ({"model_type": "modernbert"}, "model.embeddings.tok_embeddings.weight", ["decoder.weight"]),
        (
            {"model_type": "electra"},
            "electra.embeddings.word_embeddings.weight",
            ["generator_lm_head.weight"],
        ),
        ({"model_type": "marian"}, "model.decoder.embed_tokens.weight", [HEAD]),
        ({"model_type": "bert"}, "cls.predictions.bias", ["cls.predictions.decoder.bias"]),
        (
            {"model_type": "distilbert"},
            "distilbert.embeddings.word_embeddings.weight",
            ["vocab_projector.weight"],
        ),
        ({"model_type": "gemma"}, EMBED, [HEAD]),
        ({"model_type": "gemma3_text"}, EMBED, [HEAD]),
        ({"model_type": "mamba"}, "backbone.embeddings.weight", [HEAD]),
        ({"model_type": "llama", "tie_word_embeddings": True}, EMBED, [HEAD]),
        ({"model_type": "of-its-own", "tie_word_embeddings": True}, EMBED, [HEAD]),
        ({"model_type": "x", "text_config": {"tie_word_embeddings": True}}, EMBED, [HEAD]),
    ],
)
def test_what_is_declared_tied_draws_under_one_name_and_stays_equal(
    tmp_path: Path, config: dict[str, Any], first: str, aliases: list[str]
) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        shared = values(seed)
        write(tmp_path / name, dict.fromkeys((first, *aliases), shared) | {W: values(seed + 9)}, **config)
    tensors, record, _ = merge(tmp_path, "a", "b")
    for alias in aliases:
        np.testing.assert_array_equal(tensors[alias], tensors[first])
        entry = next(tensor for tensor in record.tensors if tensor.name == alias)
        assert entry.tied_to is not None
        assert entry.tied_to[0] == first
    drawn_apart = (tensors[W] == values(10)) == (tensors[first] == values(1))
    assert not drawn_apart.all(), "another tensor draws by itself"
    version_1 = config.get("tie_word_embeddings") is True or "text_config" in config
    assert record.contract["draws"] == (1 if version_1 else 2)


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        ({"model_type": "llama"}, False),
        ({"model_type": "gemma2"}, True),
        ({"model_type": "gemma2", "tie_word_embeddings": False}, False),
        ({"model_type": "of-its-own"}, None),
        ({}, None),
        (None, None),
        ({"model_type": ["t5"]}, None),
    ],
)
def test_what_a_config_says(config: dict[str, Any] | None, tied: bool | None) -> None:
    assert says_tied(config) is tied


def test_a_type_that_is_not_tied_keeps_its_head(tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        write(tmp_path / name, {EMBED: values(seed), HEAD: values(seed)}, model_type="llama")
    _, record, _ = merge(tmp_path, "a", "b")
    assert [tensor.tied_to for tensor in record.tensors] == [None, None]
    assert record.contract["draws"] == 1


def test_patterns_of_modules_are_expanded_as_transformers_does() -> None:
    names = [f"class_embed.{n}.weight" for n in range(3)] + ["model.decoder.class_embed.1.weight"]
    shapes = dict.fromkeys(names, (2, 2))
    found = declared_ties({"model_type": "deformable_detr"}, shapes)
    assert found["class_embed.1.weight"] == found["class_embed.2.weight"] == "class_embed.0.weight"
    assert declared_ties({"model_type": "deformable_detr"}, {}) == {}
    layers = [f"model.layers.{n}.shared_transformer.self_attn.q_proj.weight" for n in (6, 12, 7)]
    found = declared_ties({"model_type": "zamba2"}, dict.fromkeys(layers, (2, 2)))
    assert found == {layers[1]: layers[0]}
    marian = ["model.shared.weight", "model.encoder.embed_tokens.weight"]
    for shared, expected in ((True, {marian[1]: marian[0]}), (False, {})):
        config = {"model_type": "marian", "share_encoder_decoder_embeddings": shared}
        assert declared_ties(config, dict.fromkeys(marian, (4, 2))) == expected


def test_equal_bytes_decide_for_a_head_that_config_and_type_leave_open(tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        write(tmp_path / name, {EMBED: values(seed), HEAD: values(seed)}, model_type="of-its-own")
    plan = plan_merge(
        parse_recipe({"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}, tmp_path)
    )
    assert len(plan.to_look_at) == 2, "nothing is read by a plan"
    tensors, record, _ = merge(tmp_path, "a", "b")
    np.testing.assert_array_equal(tensors[EMBED], tensors[HEAD])
    assert record.contract["draws"] == 2
    assert record.tensors[0].tied_to == (EMBED, "their bytes are equal in every input")
    other = values(1)
    other[31, 3] += 1
    save_file({EMBED: values(1), HEAD: other}, tmp_path / "a" / "model.safetensors")
    tensors, record, _ = merge(tmp_path, "a", "b", out="apart")
    assert not (tensors[EMBED] == tensors[HEAD]).all()
    assert record.contract["draws"] == 1


def test_a_head_that_differs_from_what_it_is_said_to_be_tied_to_is_kept(tmp_path: Path) -> None:
    """By some inputs left out, by one stored with values of its own: transformers would not tie it either."""
    write(tmp_path / "base", {EMBED: values(0)}, model_type="gemma")
    write(tmp_path / "a", {EMBED: values(1), HEAD: values(7)}, model_type="gemma")
    write(tmp_path / "b", {EMBED: values(2)}, model_type="gemma")
    tensors, _, config = merge(tmp_path, "a", "b")
    head, embedding = tensors[HEAD], tensors[EMBED]
    assert set(np.unique(head)) <= set(values(7).ravel()) | set(values(2).ravel())
    np.testing.assert_array_equal(head == values(7), embedding == values(1))
    assert config["tie_word_embeddings"] is False
    assert (tmp_path / "out" / "README.md").exists()


def test_a_copy_that_is_equal_is_written_once_where_some_leave_it_out(tmp_path: Path) -> None:
    write(tmp_path / "base", {EMBED: values(0)}, model_type="gemma")
    write(tmp_path / "a", {EMBED: values(1), HEAD: values(1)}, model_type="gemma")
    tensors, _, config = merge(tmp_path, "a")
    assert tensors.keys() == {EMBED}
    assert config.get("tie_word_embeddings") is not False


def test_an_input_that_stores_the_copy_instead_of_the_first(tmp_path: Path) -> None:
    """Which of two names is stored is up to the library that saved the model."""
    config = {"model_type": "t5"}
    write(tmp_path / "base", {"shared.weight": values(0), W: values(5)}, **config)
    write(tmp_path / "a", {"encoder.embed_tokens.weight": values(1), W: values(6)}, **config)
    write(tmp_path / "b", {"shared.weight": values(2), W: values(7)}, **config)
    tensors, _, _ = merge(tmp_path, "a", "b")
    assert tensors.keys() == {"shared.weight", W}
    from_a, from_b = tensors["shared.weight"] == values(1), tensors["shared.weight"] == values(2)
    assert (from_a | from_b).all()
    assert from_a.any()
    assert from_b.any()


def test_a_head_of_another_type_than_what_it_is_said_to_be_tied_to_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "base", {EMBED: values(0)}, model_type="gemma")
    write(tmp_path / "a", {EMBED: values(1)}, model_type="gemma")
    tensors = {EMBED: values(1), HEAD: values(7).astype(np.float16)}
    save_file(tensors, tmp_path / "a" / "model.safetensors")
    tensors, _, config = merge(tmp_path, "a")
    np.testing.assert_array_equal(tensors[HEAD], values(7).astype(np.float16))
    assert config["tie_word_embeddings"] is False
