"""Which tensors have a row for each token, where their names or sizes are unusual."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapters import as_folder, make_adapter, make_base, read, write_adapter
from adapters import merged as merged_adapter
from token_merges import WORDS, merge, recipe
from token_models import BODY, EMBEDDING, HIDDEN, Model, average, tokenizer_json

from core import plan_merge, run_merge
from core.checkpoint.output_config import describe_output
from core.errors import MergeError
from core.plan.token_rows import are_telling, vocabulary_rows
from core.recipe.parsing import parse_recipe

TOKENS = WORDS[:30]


def pair(folder: Path, names: tuple[str, ...], **config: Any) -> tuple[Model, Model]:
    """A model, and one with its tokens in another order and one of its own."""
    one = Model.make(folder / "one", TOKENS, seed=1, names=names, config=config)
    two = Model.make(folder / "two", [*TOKENS[::-1], "<a>"], seed=2, names=names, config=config)
    return one, two


def check(merged: Any, name: str, models: tuple[Model, ...], tokens: list[str]) -> None:
    assert len(merged[name]) == len(tokens)
    for number, token in enumerate(tokens):
        rows = [row for model in models if (row := model.row(name, token, number)) is not None]
        np.testing.assert_array_equal(merged[name][number], average(rows, [1.0] * len(rows)))


@pytest.mark.parametrize(
    "embedding", ["backbone.embeddings.weight", "rwkv.emb.weight", "transformer.token_embedding.weight"]
)
def test_an_embedding_is_known_by_the_config(tmp_path: Path, embedding: str) -> None:
    one, two = pair(tmp_path, (embedding, "head.weight"))
    merged, _, out = merge(tmp_path, recipe([one, two], None, "linear", vocab="union"))
    for name in (embedding, "head.weight"):
        check(merged, name, (one, two), [*TOKENS, "<a>"])
    assert '"vocab_size": 31' in (out / "config.json").read_text()


def test_a_head_of_any_name_moves_with_its_tokens(tmp_path: Path) -> None:
    """Also where all have as many rows; a table of as many places, and what is in a layer, does not."""
    names = (
        "model.embed_tokens.weight",
        "decoder.head.weight",
        "model.position_embeddings.weight",
        "h.0.proj.weight",
    )
    one = Model.make(tmp_path / "one", TOKENS, seed=1, names=names)
    two = Model.make(tmp_path / "two", TOKENS[::-1], seed=2, names=names)
    merged, *_ = merge(tmp_path, recipe([one, two], None, "linear", vocab="union"))
    for name in names[:2]:
        check(merged, name, (one, two), TOKENS)
    for name in names[2:]:
        both = [model.tensors[name] for model in (one, two)]
        np.testing.assert_array_equal(merged[name], average(both, [1.0, 1.0]))


def test_of_several_embeddings_the_others_stay_as_they_are(tmp_path: Path) -> None:
    sounds = "talker.embed_tokens.weight"
    one, two = pair(tmp_path, ("model.embed_tokens.weight",))
    for model in (one, two):
        model.tensors[sounds] = np.random.default_rng(3).normal(size=(12, HIDDEN)).astype(np.float32)
        model.save()
    merged, *_ = merge(tmp_path, recipe([one, two], None, "linear", vocab="union"))
    check(merged, "model.embed_tokens.weight", (one, two), [*TOKENS, "<a>"])
    np.testing.assert_array_equal(merged[sounds], one.tensors[sounds])


@pytest.mark.parametrize("key", ["vocab", "tokenizer_source"])
def test_rows_that_are_not_found_are_refused_where_they_are_asked_for(tmp_path: Path, key: str) -> None:
    one, two = pair(tmp_path, ("table.weight",), vocab_size=None)
    data = recipe([one, two], None, "linear", **{key: "union"})
    with pytest.raises(MergeError, match="the embedding of one is not found") as refused:
        plan_merge(parse_recipe(data, tmp_path))
    assert refused.value.field == key


@pytest.mark.parametrize(
    ("name", "shape"), [("final_logits_bias", (1, 30)), ("model.embed_tokens_per_layer.weight", (20, 4))]
)
def test_what_cannot_follow_tokens_that_move_is_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    models = []
    for at, tokens in enumerate((TOKENS, TOKENS[::-1], [*TOKENS, "<a>"][:30])):
        models.append(Model.make(tmp_path / f"m{at}", tokens, seed=at, names=("model.embed_tokens.weight",)))
        models[-1].tensors[name] = np.ones(shape, np.float32)
        models[-1].save()
    data = recipe(models[:2], None, "linear", vocab="union")
    with pytest.raises(MergeError, match=f"tensor '{name}' says something of them"):
        plan_merge(parse_recipe(data, tmp_path))
    same = recipe([models[0], models[2]], None, "linear", vocab="union")
    assert plan_merge(parse_recipe(same, tmp_path)).vocabulary == 30


def test_the_rows_of_the_config_count_among_several() -> None:
    shapes = {"a.embed_tokens.weight": (50, 4), "b.embed_tokens.weight": (90, 4), "b.proj.weight": (7, 90)}
    assert vocabulary_rows(shapes, {"text_config": {"vocab_size": 50}}) == 50
    assert vocabulary_rows(shapes, {"vocab_size": 7}) == 90
    assert vocabulary_rows({"x.pos_emb.weight": (50, 4)}, {"vocab_size": 50}) is None
    assert (are_telling(shapes, 50), are_telling(shapes, 90)) == (True, False)


def test_every_number_of_the_same_tokens_is_that_of_the_result() -> None:
    config: dict[str, Any] = {
        "vocab_size": 30,
        "text_config": {"vocab_size": 30},
        "audio_config": {"vocab_size": 12, "decoder": {"vocab_size": 30}},
    }
    describe_output(config, 31, "float32", False)
    assert (config["vocab_size"], config["text_config"]["vocab_size"]) == (31, 31)
    assert config["audio_config"] == {"vocab_size": 12, "decoder": {"vocab_size": 31}}
    nested = {"thinker_config": {"text_config": {"vocab_size": 30}}}
    describe_output(nested, 31, "float32", False)
    assert nested["thinker_config"] == {"text_config": {"vocab_size": 31}}


def test_an_adapter_brings_an_embedding_with_more_rows(tmp_path: Path) -> None:
    """Saved whole, with the adapter's own tokenizer, as peft does after an embedding was resized."""
    name = "model.embed_tokens.weight"
    base = Model.make(tmp_path / "base", TOKENS, seed=0, names=(name,))
    full = Model.make(tmp_path / "full", [*TOKENS, "<a>"], seed=1, near=base, names=(name,))
    full.tensors |= {BODY: base.tensors[BODY]}
    full.save()
    other = Model.make(tmp_path / "other", [*TOKENS, "<b>"], seed=2, near=base, names=(name,))
    saved = {f"base_model.model.{name}": torch.from_numpy(full.tensors[name])}
    for part, shape in (("A", (2, HIDDEN)), ("B", (40, 2))):
        place = BODY.replace(".weight", f".lora_{part}.weight")
        saved[f"base_model.model.{place}"] = torch.zeros(shape)
    config = {"r": 2, "lora_alpha": 2, "target_modules": ["up_proj"], "modules_to_save": ["embed_tokens"]}
    write_adapter(tmp_path / "adapter", saved, **config)
    shutil.copy(full.folder / "tokenizer.json", tmp_path / "adapter")
    every = []
    for one in ("adapter", "full"):
        data = recipe([other], base, "linear")
        data["models"].append({"model": one})
        every.append(merge(tmp_path, data, to=f"of-{one}")[0])
    assert len(every[0][name]) == 32
    np.testing.assert_array_equal(every[0][name], every[1][name])
    np.testing.assert_array_equal(every[0][BODY], every[1][BODY])


def with_adapter(folder: Path) -> tuple[Model, Model, Model]:
    """A base, and two models with tokens of their own; beside them an adapter that changes nothing."""
    names = ("model.embed_tokens.weight",)
    base = Model.make(folder / "base", TOKENS, seed=0, names=names)
    full = Model.make(folder / "full", [*TOKENS, "<a>"], seed=1, near=base, names=names)
    other = Model.make(folder / "other", [*TOKENS, "<b>", "<a>"], seed=2, near=base, names=names)
    factors = {
        f"base_model.model.{BODY.replace('weight', f'lora_{part}.weight')}": torch.zeros(shape)
        for part, shape in (("A", (2, HIDDEN)), ("B", (40, 2)))
    }
    write_adapter(folder / "adapter", factors, r=2, lora_alpha=2, target_modules=["up_proj"])
    return base, full, other


@pytest.mark.parametrize(("source", "plain"), [("full+adapter", "full"), ("adapter", "base")])
def test_a_tokenizer_source_that_is_an_adapter_has_the_tokens_under_it(
    tmp_path: Path, source: str, plain: str
) -> None:
    base, _, other = with_adapter(tmp_path)
    every = []
    for name, model in enumerate((source, plain)):
        data = recipe([other], base, "linear", tokenizer_source=model)
        data["models"].append({"model": source})
        merged, record, out = merge(tmp_path, data, to=str(name))
        told = [sentence for sentence in record.warnings if "no tokenizer" in sentence]
        every.append((merged[EMBEDDING].tobytes(), (out / "tokenizer.json").read_bytes(), told))
    assert every[0] == every[1]


def test_a_tokenizer_source_beside_the_models_may_have_adapters(tmp_path: Path) -> None:
    base, _, other = with_adapter(tmp_path)
    data = recipe([other], base, "linear", tokenizer_source="full+adapter")
    assert plan_merge(parse_recipe(data, tmp_path)).vocabulary == len(TOKENS) + 1


def test_a_base_with_an_adapter_has_the_tokens_under_it(tmp_path: Path) -> None:
    _, full, other = with_adapter(tmp_path)
    every = []
    for model in ("full", "full+adapter"):
        data = recipe([other], full, "parameter_selection", vocab="base") | {"base_model": model}
        merged, record, out = merge(tmp_path, data, to=f"of-{model}")
        every.append((merged[EMBEDDING].tobytes(), record.tensors, (out / "tokenizer.json").read_bytes()))
    assert every[0] == every[1]


def test_a_model_under_an_adapter_lends_it_its_tokens(tmp_path: Path) -> None:
    """Adapters are mostly saved without a tokenizer."""
    names = (EMBEDDING,)
    base, full, other = with_adapter(tmp_path)
    every = []
    for one in ("full", "full+adapter"):
        data = recipe([other], base, "parameter_selection", vocab="union")
        data["models"].append({"model": one})
        merged, record, out = merge(tmp_path, data, to=f"of-{one}")
        every.append((merged, record.tensors, (out / "tokenizer.json").read_bytes()))
    assert full.row(names[0], "<a>", 30) is not None
    np.testing.assert_array_equal(every[0][0][names[0]], every[1][0][names[0]])
    assert every[0][1:] == every[1][1:]


def test_an_adapter_on_an_embedding_of_which_another_model_lacks_rows(tmp_path: Path) -> None:
    """In bfloat16, to which its rows are rounded as those of a folder that it was merged into."""
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", "embedding")
    config = json.loads((base / "config.json").read_text())
    as_folder(tmp_path / "whole", merged_adapter(base, adapter), config)
    rows = config["vocab_size"]
    down = {
        name: tensor[: rows - 5].clone() if len(tensor) == rows else tensor
        for name, tensor in read(base).items()
    }
    as_folder(tmp_path / "down", down, config | {"vocab_size": rows - 5})
    for model in ("base", "whole", "down", "adapter"):
        (tmp_path / model / "tokenizer.json").write_text(json.dumps(tokenizer_json(WORDS[:rows])))
    every = []
    for one in ("adapter", "whole"):
        data = {"merge_method": "parameter_selection", "base_model": "base", "vocab": "base"}
        plan = plan_merge(parse_recipe(data | {"models": [{"model": one}, {"model": "down"}]}, tmp_path))
        run_merge(plan, tmp_path / f"of-{one}", device="cpu")
        every.append((tmp_path / f"of-{one}" / "model.safetensors").read_bytes())
    assert every[0] == every[1]
