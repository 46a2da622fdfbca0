"""Merges of what people really have, beside the same merge by hand in plain torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from core import parse_recipe, plan_merge, run_merge, verify_output

BERT = transformers.BertConfig(
    vocab_size=64,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
    num_labels=3,
)
LLAMA = transformers.LlamaConfig(
    vocab_size=64,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    intermediate_size=32,
)
IDS = torch.tensor([[3, 7, 11, 2, 5]])


def tuned(model: Any, seed: int) -> Any:
    """The model with about a third of its weights moved a little, as fine-tuning in bf16 does."""
    torch.manual_seed(seed)
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            moved = torch.rand_like(parameter) < 0.33
            parameter.add_(moved * torch.randn_like(parameter) * 0.1)
    return model


def merge(folder: Path, method: str, *models: str, **keys: Any) -> Path:
    recipe = {"merge_method": method, "models": [{"model": name} for name in models], "base_model": "base"}
    run_merge(plan_merge(parse_recipe({**recipe, **keys}, folder)), folder / "out")
    report = verify_output(folder / "out")
    assert (report.weights, report.files) == ((), ())
    return folder / "out"


def average(folder: Path, kind: Any, *models: str) -> Any:
    """By hand: the mean of the state dicts, in double, rounded to float32."""
    loaded = [kind.from_pretrained(folder / name) for name in models]
    states = [{name: value.clone() for name, value in model.state_dict().items()} for model in loaded]
    with torch.no_grad():
        for name, value in loaded[0].state_dict().items():
            if value.is_floating_point():
                value.copy_(sum(state[name].double() for state in states) / len(states))
    return loaded[0]


def same_outputs(kind: Any, out: Path, expected: Any) -> None:
    model, info = kind.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, expected(IDS).logits, rtol=0, atol=0)


def test_classifiers_of_a_masked_language_model(tmp_path: Path) -> None:
    """The head and the pooler have no base, and the base's own head goes."""
    base = transformers.BertForMaskedLM(BERT)
    base.save_pretrained(tmp_path / "base")
    for seed, name in enumerate("ab"):
        model = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=3)
        tuned(model, seed).save_pretrained(tmp_path / name)
    kind = transformers.BertForSequenceClassification
    out = merge(tmp_path, "linear", "a", "b")
    same_outputs(kind, out, average(tmp_path, kind, "a", "b"))
    ledger = {tensor["name"] for tensor in json.loads((out / "paramosaic.json").read_text())["tensors"]}
    assert "classifier.weight" in ledger
    assert not any(name.startswith("cls.") for name in ledger)


def test_task_vectors_of_classifiers(tmp_path: Path) -> None:
    """By hand: base + sum of deltas where there is a base, the mean where there is none."""
    transformers.BertForMaskedLM(BERT).save_pretrained(tmp_path / "base")
    kind = transformers.BertForSequenceClassification
    for seed, name in enumerate("ab"):
        tuned(kind.from_pretrained(tmp_path / "base"), seed).save_pretrained(tmp_path / name)
    states = [kind.from_pretrained(tmp_path / name).state_dict() for name in "ab"]
    base = transformers.BertForMaskedLM.from_pretrained(tmp_path / "base").state_dict()
    expected = kind.from_pretrained(tmp_path / "a")
    with torch.no_grad():
        for name, value in expected.state_dict().items():
            a, b = (state[name].double() for state in states)
            if name in base:
                value.copy_(base[name].double() + (a - base[name]) + (b - base[name]))
            elif value.is_floating_point():
                value.copy_((a + b) / 2)
    out = merge(tmp_path, "task_arithmetic", "a", "b")
    model = kind.from_pretrained(out)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("inner", ["base", "b"])
def test_a_model_saved_without_its_head_and_prefix(tmp_path: Path, inner: str) -> None:
    whole = transformers.LlamaForCausalLM(LLAMA)
    for seed, name in enumerate(("base", "a", "b")):
        model = tuned(whole, seed)
        (model.model if name == inner else model).save_pretrained(tmp_path / name)
    kind = transformers.LlamaForCausalLM
    models = ("a", "b") if inner == "base" else ("a",)
    out = merge(tmp_path, "linear", *models)
    same_outputs(kind, out, average(tmp_path, kind, *models))


@pytest.mark.parametrize(
    "saved",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
        lambda state: {f"base_model.model.{name}": value for name, value in state.items()},
        lambda state: {**state, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_names_as_tools_save_them(tmp_path: Path, saved: Callable[[Any], Any], first: bool) -> None:
    whole = transformers.LlamaForCausalLM(LLAMA)
    for seed, name in enumerate(("base", "a", "b")):
        tuned(whole, seed).save_pretrained(tmp_path / name)
    kind = transformers.LlamaForCausalLM
    expected = average(tmp_path, kind, "a", "b")
    path = tmp_path / ("a" if first else "b") / "model.safetensors"
    save_file(saved(load_file(path)), path)
    same_outputs(kind, merge(tmp_path, "linear", "a", "b"), expected)


@pytest.mark.parametrize("parts", [1, 3])
def test_pickles(tmp_path: Path, parts: int) -> None:
    """As transformers 4 saved them: with both names of a tied tensor, in one file or in several."""
    whole = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**LLAMA.to_dict() | {"tie_word_embeddings": True})
    )
    for seed, name in enumerate(("base", "a", "b")):
        tuned(whole, seed).save_pretrained(tmp_path / name)
    kind = transformers.LlamaForCausalLM
    expected = average(tmp_path, kind, "a", "b")
    for name in ("base", "a", "b"):
        state = load_file(tmp_path / name / "model.safetensors")
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
        (tmp_path / name / "model.safetensors").unlink()
        names = list(state)
        files = {}
        for part in range(parts):
            file = "pytorch_model.bin" if parts == 1 else f"pytorch_model-{part + 1:05d}-of-{parts:05d}.bin"
            torch.save({one: state[one] for one in names[part::parts]}, tmp_path / name / file)
            files |= dict.fromkeys(names[part::parts], file)
        if parts > 1:
            index = json.dumps({"weight_map": files})
            (tmp_path / name / "pytorch_model.bin.index.json").write_text(index)
    same_outputs(kind, merge(tmp_path, "linear", "a", "b"), expected)


def quantised(state: dict[str, torch.Tensor], block: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """FP8 with a scale a block, as DeepSeek stores its linear layers, and what they are in bfloat16."""
    stored, plain = dict(state), dict(state)
    for name, weight in state.items():
        if "_proj." not in name:
            continue
        rows, columns = weight.shape
        scale = torch.rand(-(-rows // block), -(-columns // block)) * 0.01 + 0.001
        spread = scale.repeat_interleave(block, 0)[:rows].repeat_interleave(block, 1)[:, :columns]
        codes = (weight / spread).to(torch.float8_e4m3fn)
        stored[name], stored[f"{name}_scale_inv"] = codes, scale
        plain[name] = (codes.float() * spread).to(torch.bfloat16)
    return stored, plain


@pytest.mark.parametrize("method", ["linear", "parameter_selection"])
def test_fp8_with_block_scales(tmp_path: Path, method: str) -> None:
    """Merged as the same weights in bfloat16 are; the result loads as a plain model."""
    torch.manual_seed(1)
    whole = transformers.LlamaForCausalLM(LLAMA).to(torch.bfloat16)
    for seed, name in enumerate(("base", "a", "b")):
        for place in ("fp8", "plain"):
            tuned(whole, seed).save_pretrained(tmp_path / place / name)
        state = load_file(tmp_path / "fp8" / name / "model.safetensors")
        stored, plain = quantised(state, 12)
        save_file(stored, tmp_path / "fp8" / name / "model.safetensors")
        save_file(plain, tmp_path / "plain" / name / "model.safetensors")
        path = tmp_path / "fp8" / name / "config.json"
        said = {"quant_method": "fp8", "weight_block_size": [12, 12], "fmt": "e4m3"}
        path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": said}))
    outs = [merge(tmp_path / place, method, "a", "b", seed=3) for place in ("fp8", "plain")]
    assert "quantization_config" not in json.loads((outs[0] / "config.json").read_text())
    kind = transformers.LlamaForCausalLM
    same_outputs(kind, outs[0], kind.from_pretrained(outs[1]))
    assert kind.from_pretrained(outs[0]).dtype == torch.bfloat16
