"""Vocabularies that differ, brought together by mergekit 0.1.5 and here: rows are compared by their tokens.

`linear` with equal weights, and `slerp`, give the same rows within one unit in the last place of the output
type. What differs, because mergekit does otherwise, is shown here:

- its result has no padding rows, and `pad_to_multiple_of` adds rows that are the mean of all others; here
  padding stays, and a row that nobody has is zero.
- its union has the tokens of the models in the arbitrary order of a set; here in the recipe's.
- a row that some models lack comes to them from the base, or else is the mean of the others' rows, rounded at
  each step, and takes part with their weight; here the models that have the row alone are averaged.
- it takes the angle of `slerp` over rows that only one model has, which are the same in both.
- it leaves generation_config.json out.
- a model with fewer rows than its tokenizer has tokens ends it with a KeyError.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from token_models import units_between

from core import load_recipe, plan_merge, run_merge

pytestmark = pytest.mark.slow

TENSORS = ("model.embed_tokens.weight", "lm_head.weight")
KINDS = ("BPE", "WordPiece", "Unigram")
WIDTH, MULTIPLE = 16, 64
SENTENCES = [
    f"the {word} model reads row {number * 7919 % 997}" for number, word in enumerate("abcdefgh" * 9)
]

EQUAL = [("base", 1), ("one", 1), ("two", 1)]
RECIPES: dict[str, dict[str, Any]] = {
    "equal": {"tokenizer": {"source": "union"}},
    "padded": {"tokenizer": {"source": "union", "pad_to_multiple_of": MULTIPLE}},
    "of-base": {"tokenizer_source": "base"},
    "of-model": {"tokenizer_source": "{two}"},
    "moved": {"tokenizer_source": "union", "models": [("base", 2), ("moved", 3)]},
    "weighted": {"tokenizer_source": "union", "models": [("base", 1), ("one", 2), ("two", 5)]},
    "slerp-moved": {"tokenizer_source": "base", "merge_method": "slerp", "models": [("moved", 1)]},
    "slerp-added": {"tokenizer_source": "union", "merge_method": "slerp", "models": [("two", 1)]},
}


def tokenizer_of(kind: str) -> Any:
    import tokenizers
    import transformers

    made = tokenizers.Tokenizer(getattr(tokenizers.models, kind)())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = getattr(tokenizers.trainers, f"{kind if kind != 'BPE' else 'Bpe'}Trainer")
    made.train_from_iterator(
        SENTENCES, trainer(vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    )
    if kind != "BPE":
        data = json.loads(made.to_str())
        data["model"] |= {"unk_token": "<unk>"} if kind == "WordPiece" else {"unk_id": 0}
        made = tokenizers.Tokenizer.from_str(json.dumps(data))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def save(place: Path, tokenizer: Any, rows: int, seed: int, base: Path | None) -> None:
    """A Llama of random bf16 weights; where it is given, near that of `base`."""
    import transformers

    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **{"vocab_size": rows, "hidden_size": WIDTH, "intermediate_size": 24, "num_hidden_layers": 1},
        **{"num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": False},
        **{"bos_token_id": 1, "eos_token_id": 2},
    )
    model = transformers.LlamaForCausalLM(config)
    if base is not None:
        own = load_file(base / "model.safetensors")
        with torch.no_grad():
            for name, values in model.named_parameters():
                count = min(len(values), len(own[name]))
                values[:count] = own[name][:count] + 0.3 * values[:count]
    model.bfloat16().save_pretrained(place)
    tokenizer.save_pretrained(place)


def reorder(place: Path) -> None:
    """The same tokens in another order, with their rows."""
    data = json.loads((place / "tokenizer.json").read_text())
    vocab = data["model"]["vocab"]
    tokens = list(vocab) if isinstance(vocab, dict) else [one[0] for one in vocab]
    free = [number for number in range(len(tokens)) if number > 2]
    order = dict(zip(free, [*free[7:], *free[:7]], strict=True))
    if isinstance(vocab, dict):
        data["model"]["vocab"] = {token: order.get(at, at) for token, at in vocab.items()}
    else:
        moved = list(vocab)
        for old, new in order.items():
            moved[new] = vocab[old]
        data["model"]["vocab"] = moved
    (place / "tokenizer.json").write_text(json.dumps(data))
    tensors = load_file(place / "model.safetensors")
    for name in TENSORS:
        rows = tensors[name].clone()
        rows[list(order.values())] = tensors[name][list(order)]
        tensors[name] = rows
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=KINDS)
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mergekit: str) -> Path:
    """The models, the recipes, and what mergekit makes of them."""
    import transformers

    place = tmp_path_factory.mktemp(request.param)
    tokenizer = tokenizer_of(request.param)
    size = len(tokenizer)
    save(place / "base", tokenizer, size, 0, None)
    for seed, (name, added, pad) in enumerate(
        [("one", ["<a>", "<end>"], MULTIPLE), ("two", ["<end>", "<b>"], 1), ("moved", [], 1)], 1
    ):
        own = transformers.AutoTokenizer.from_pretrained(place / "base")
        own.add_tokens(added[:1])
        own.add_special_tokens({"additional_special_tokens": added[1:]})
        save(place / name, own, -(-len(own) // pad) * pad, seed, place / "base")
    reorder(place / "moved")
    for name, keys in RECIPES.items():
        models = [
            {"model": str(place / one), "parameters": {"weight": weight}}
            for one, weight in keys.get("models", EQUAL)
        ]
        said: dict[str, Any] = {"merge_method": "linear", "base_model": str(place / "base"), "models": models}
        said |= {key: value for key, value in keys.items() if key != "models"}
        if said["merge_method"] == "slerp":
            models.insert(0, {"model": str(place / "base")})
            said |= {"parameters": {"t": 0.25}}
            for one in models:
                one.pop("parameters", None)
        text = yaml.safe_dump(said | {"dtype": "bfloat16"}).replace("{two}", str(place / "two"))
        (place / f"{name}.yaml").write_text(text)
    script = Path(__file__).with_name("mergekit_merges.py")
    subprocess.run([mergekit, script, place], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return place


def vocabulary(place: Path) -> dict[str, int]:
    import transformers

    found: dict[str, int] = transformers.AutoTokenizer.from_pretrained(place).get_vocab()
    return found


def rows_of(place: Path, name: str) -> dict[str, torch.Tensor]:
    rows = load_file(place / "model.safetensors")[name]
    return {token: rows[at] for token, at in vocabulary(place).items() if at < len(rows)}


def merge(merged: Path, name: str, out: Path) -> tuple[Path, Path]:
    """What is made here and by mergekit."""
    run_merge(plan_merge(load_recipe(merged / f"{name}.yaml")), out)
    return out, merged / "mergekit" / name


def alike(one: Any, other: Any) -> bool:
    return int(units_between(one, other).max()) <= 1


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ("weighted", "slerp-added")])
def test_the_same_within_a_unit_in_the_last_place(name: str, merged: Path, tmp_path: Path) -> None:
    ours, theirs = merge(merged, name, tmp_path / "out")
    assert vocabulary(ours).keys() == vocabulary(theirs).keys()
    for tensor in TENSORS:
        one, other = rows_of(ours, tensor), rows_of(theirs, tensor)
        assert len(one) == len(vocabulary(ours))
        assert [token for token in one if not alike(one[token], other[token])] == []
    # As mergekit leaves it out.
    assert (ours / "generation_config.json").exists()
    assert not (theirs / "generation_config.json").exists()


def test_a_union_is_in_the_order_of_the_recipe(merged: Path, tmp_path: Path) -> None:
    ours, theirs = merge(merged, "equal", tmp_path / "out")
    own = vocabulary(merged / "base")
    added = {token: len(own) + at for at, token in enumerate(("<a>", "<end>", "<b>"))}
    assert vocabulary(ours) == own | added
    assert {vocabulary(theirs)[token] for token in added} == set(added.values())


def test_padding(merged: Path, tmp_path: Path) -> None:
    ours, theirs = merge(merged, "padded", tmp_path / "out")
    tokens = len(vocabulary(ours))
    for tensor in TENSORS:
        of_one = load_file(merged / "one" / "model.safetensors")[tensor]
        one, other = (load_file(place / "model.safetensors")[tensor] for place in (ours, theirs))
        assert len(one) == len(other) == -(-tokens // MULTIPLE) * MULTIPLE
        padding = torch.zeros(len(one) - tokens, WIDTH, dtype=one.dtype)
        padding[: len(of_one) - tokens] = of_one[tokens:]
        assert torch.equal(one[tokens:], padding)
        mean = other[:tokens].float().mean(0)
        assert all(torch.allclose(row.float(), mean, rtol=0.02, atol=1e-4) for row in other[tokens:])
    unpadded = load_file(merged / "mergekit" / "equal" / "model.safetensors")[TENSORS[0]]
    assert len(unpadded) == tokens < len(load_file(merged / "one" / "model.safetensors")[TENSORS[0]])


def test_a_row_that_some_models_lack(merged: Path, tmp_path: Path) -> None:
    """Of weights 1, 2 and 5 the first is that of the base, which lacks the token."""
    ours, theirs = merge(merged, "weighted", tmp_path / "out")
    for tensor in TENSORS:
        one, two = (rows_of(merged / name, tensor)["<end>"].double() for name in ("one", "two"))
        mean = ((one + two).bfloat16() / 2).double()
        made, other = (rows_of(place, tensor) for place in (ours, theirs))
        assert alike(made["<end>"], ((2 * one + 5 * two) / 7).bfloat16())
        assert alike(other["<end>"], ((mean + 2 * one + 5 * two) / 8).bfloat16())
        assert [token for token in made if not alike(made[token], other[token])] == ["<end>"]


def test_the_angle_of_slerp(merged: Path, tmp_path: Path) -> None:
    ours, theirs = merge(merged, "slerp-added", tmp_path / "out")
    for tensor in TENSORS:
        base, two = (rows_of(merged / name, tensor) for name in ("base", "two"))
        for place, tokens in ((ours, base), (theirs, two)):
            ends = [
                torch.stack([rows.get(token, two[token]) for token in tokens]).double()
                for rows in (base, two)
            ]
            angle = torch.arccos((ends[0] * ends[1]).sum() / ends[0].norm() / ends[1].norm())
            shares = (torch.sin(part * angle) / torch.sin(angle) for part in (0.75, 0.25))
            wanted = sum(share * end for share, end in zip(shares, ends, strict=True)).bfloat16()
            made = rows_of(place, tensor)
            assert alike(torch.stack([made[token] for token in tokens]), wanted)
        assert torch.equal(rows_of(ours, tensor)["<b>"], two["<b>"])


def test_fewer_rows_than_tokens(tmp_path: Path, mergekit: str) -> None:
    tokenizer = tokenizer_of("BPE")
    save(tmp_path / "base", tokenizer, len(tokenizer), 0, None)
    save(tmp_path / "down", tokenizer, len(tokenizer) - 5, 1, tmp_path / "base")
    models = [{"model": str(tmp_path / name), "parameters": {"weight": 1}} for name in ("base", "down")]
    said = {"merge_method": "linear", "base_model": str(tmp_path / "base"), "models": models}
    (tmp_path / "down.yaml").write_text(yaml.safe_dump(said | {"tokenizer_source": "base"}))
    script = Path(__file__).with_name("mergekit_merges.py")
    ended = subprocess.run([mergekit, script, tmp_path], capture_output=True, text=True)
    assert (ended.returncode, "KeyError" in ended.stderr) == (1, True)
    ours, _ = merge(tmp_path, "down", tmp_path / "out")
    base, down = (load_file(tmp_path / name / "model.safetensors")[TENSORS[0]] for name in ("base", "down"))
    made = load_file(ours / "model.safetensors")[TENSORS[0]]
    assert torch.equal(made[-5:], base[-5:])
    assert alike(made[:-5], ((base[:-5].float() + down.float()) / 2).bfloat16())
