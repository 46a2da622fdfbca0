"""One fine-tune added a token, as WizardLM-13B did: real tokenizers, trained models, a result that speaks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_models import select

from core import load_recipe, plan_merge, read_record, run_merge
from core.run.verify import verify_output

HIDDEN = 16
TOKENS = 500
"""Of the base, where Llama-2 has 32,000."""
TOKEN = "[PAD]"
PROMPT = "the third model reads the"


def text(lines: int) -> list[str]:
    """Sentences of a small grammar, with numbers, so that there are as many tokens as are wanted."""
    chance = random.Random(5)
    firsts, verbs = ["first", "second", "third"], ["reads", "writes", "merges", "keeps", "draws"]
    things = ["model", "token", "row", "tensor", "seed"]
    return [
        f"the {chance.choice(firsts)} {chance.choice(things)} {chance.choice(verbs)} the "
        f"{chance.choice(things)} of {chance.randrange(100_000)} and {hex(chance.randrange(2**40))}"
        for _ in range(lines)
    ]


def make_tokenizer(folder: Path, tokens: int) -> Any:
    import tokenizers
    import transformers

    made = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=False, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=tokens, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False, min_frequency=1
    )
    made.train_from_iterator(text(12 * tokens // 10), trainer)
    assert made.get_vocab_size() == tokens
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)
    return fast


def train(model: Any, tokenizer: Any, seed: int, steps: int = 1) -> None:
    """A few steps down the gradient on sentences, which leave many bf16 weights as they were."""
    import torch

    lines = text(40)[seed * 4 : seed * 4 + 4]
    for _ in range(steps):
        for line in lines:
            ids = torch.tensor([tokenizer.encode(line + "</s>")])
            model.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            with torch.no_grad():
                for values in model.parameters():
                    values -= 0.2 * values.grad


def make_models(place: Path, tokens: int) -> None:
    """llama, of so many tokens; lm, which added one and trained on it; math and code, which added none."""
    import torch
    import transformers

    tokenizer = make_tokenizer(place / "llama", tokens)
    config = transformers.LlamaConfig(
        **{"vocab_size": tokens, "hidden_size": HIDDEN, "intermediate_size": 32, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2},
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    base = transformers.LlamaForCausalLM(config)
    train(base, tokenizer, 0)
    base.to(torch.bfloat16).save_pretrained(place / "llama")
    for number, name in enumerate(("lm", "math", "code"), 1):
        model = transformers.LlamaForCausalLM.from_pretrained(place / "llama", dtype=torch.float32)
        own = transformers.AutoTokenizer.from_pretrained(place / "llama")
        if name == "lm":
            own.add_special_tokens({"pad_token": TOKEN})
            model.resize_token_embeddings(len(own), mean_resizing=False)
            model.config.pad_token_id = model.generation_config.pad_token_id = tokens
        train(model, own, number)
        model.to(torch.bfloat16).save_pretrained(place / name)
        own.save_pretrained(place / name)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    make_models(place, TOKENS)
    return place


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def bits(tensor: Any) -> Any:
    import torch

    return tensor.view(torch.int16).numpy().view(np.uint16)


def rows_by_token(folder: Path, name: str) -> dict[str, Any]:
    import transformers

    rows = bits(weights(folder)[name])
    return {
        token: rows[number]
        for token, number in transformers.AutoTokenizer.from_pretrained(folder).get_vocab().items()
    }


def merge(place: Path, out: str, **more: Any) -> Path:
    data = {
        **{"merge_method": "parameter_selection", "base_model": "llama", "seed": 11},
        "models": [{"model": name} for name in ("lm", "math", "code")],
        "parameters": {"resamples": 2},
    }
    path = place / f"{out}.yaml"
    path.write_text(json.dumps(data | more))
    run_merge(plan_merge(load_recipe(path)), place / out, device="cpu", threads=2)
    return place / out


def test_a_model_with_one_token_more_is_merged_and_speaks(models: Path) -> None:
    check_merge(models, "selected", TOKENS)


@pytest.mark.slow
def test_the_same_of_the_size_that_llama_has(tmp_path: Path) -> None:
    make_models(tmp_path, 32_000)
    check_merge(tmp_path, "out", 32_000)
    check_merge(tmp_path, "asked", 32_000, vocab="union")


def check_merge(place: Path, out_name: str, tokens: int, **key: str) -> None:
    """Merge, and look at every row of the result, at its files, and at what it says."""
    import torch
    import transformers

    out = merge(place, out_name, **key)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    vocabulary = tokenizer.get_vocab()
    assert len(vocabulary) == tokens + 1
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        merged = bits(weights(out)[name])
        base, *others = (rows_by_token(place / one, name) for one in ("llama", "lm", "math", "code"))
        assert len(merged) == tokens + 1
        for token, number in vocabulary.items():
            there = [rows[token] for rows in others if token in rows]
            wanted, *_ = select(there, base.get(token), number * HIDDEN, name, 11, 2)
            assert (merged[number] == wanted).all(), (name, token, number)
        assert (merged[vocabulary[TOKEN]] == others[0][TOKEN]).all()
    assert (out / "tokenizer.json").read_bytes() == (place / "lm" / "tokenizer.json").read_bytes()
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert model.config.vocab_size == tokens + 1
    for said in (model.config, model.generation_config, tokenizer):
        assert said.pad_token_id == tokens
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    assert tokenizer.decode(ids[0]) == PROMPT
    made = model.generate(ids, max_new_tokens=5, do_sample=False)
    assert made.shape[1] > ids.shape[1]
    verify_output(out)
    assert read_record(out).recipe.get("vocab") == key.get("vocab")


def test_the_tokens_of_two_models_become_one_tokenizer(models: Path, tmp_path: Path) -> None:
    """Both added tokens, in another order, and the second one says what its end of a turn is."""
    import torch
    import transformers

    added = {"one": ["<a>", "<|end|>"], "two": ["<|end|>", "<b>"]}
    for name, tokens in added.items():
        model = transformers.LlamaForCausalLM.from_pretrained(models / "llama")
        tokenizer = transformers.AutoTokenizer.from_pretrained(models / "llama")
        tokenizer.add_special_tokens({"additional_special_tokens": tokens})
        if name == "two":
            tokenizer.eos_token = "<|end|>"
            tokenizer.chat_template = "{{ messages[0].content }}<|end|>"
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64, mean_resizing=False)
        if name == "two":
            model.generation_config.eos_token_id = [2, TOKENS]
            model.config.eos_token_id = TOKENS
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    data = {"merge_method": "linear", "models": [{"model": "two"}, {"model": "one"}]}
    data |= {"base_model": str(models / "llama"), "tokenizer": {"source": "union", "pad_to_multiple_of": 10}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    out = tmp_path / "out"
    run_merge(plan_merge(load_recipe(tmp_path / "recipe.yaml")), out, device="cpu")
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    vocabulary = tokenizer.get_vocab()
    assert {token: vocabulary[token] for token in ("<|end|>", "<b>", "<a>")} == {
        **{"<|end|>": TOKENS, "<b>": TOKENS + 1, "<a>": TOKENS + 2}
    }
    name = "model.embed_tokens.weight"
    merged = weights(out)[name]
    assert len(merged) == 520
    one, two = weights(tmp_path / "one")[name], weights(tmp_path / "two")[name]
    assert torch.equal(merged[TOKENS + 2], one[TOKENS])
    assert torch.equal(merged[TOKENS + 1], two[TOKENS + 1])
    assert torch.equal(merged[TOKENS], ((one[TOKENS + 1].float() + two[TOKENS].float()) / 2).to(merged.dtype))
    assert tokenizer.encode(f"{PROMPT}<a><|end|>")[-2:] == [TOKENS + 2, TOKENS]
    assert tokenizer.eos_token == "<|end|>"
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi<|end|>"
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert (model.config.vocab_size, model.config.eos_token_id) == (520, TOKENS)
    assert model.generation_config.eos_token_id == [2, TOKENS]
    model.generate(torch.tensor([tokenizer.encode(PROMPT)]), max_new_tokens=2, do_sample=False)
