"""Real adapters of peft: put on their base here, and by peft's own merge_and_unload.

`make test-slow` installs peft and accelerate, which it needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core import parse_recipe, plan_merge, run_merge, verify_output

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"r": 16, "target_modules": ["q_proj", "v_proj"]},
    "rslora on everything": {"r": 32, "target_modules": "all-linear", "use_rslora": True},
    "dora": {"r": 8, "target_modules": LINEAR, "use_dora": True},
    "bias": {"r": 8, "target_modules": ["q_proj", "down_proj"], "bias": "all"},
    "bias of its own modules": {"r": 8, "target_modules": ["q_proj"], "bias": "lora_only"},
    "bias of B": {"r": 8, "target_modules": ["q_proj"], "lora_bias": True},
    "modules_to_save": {"r": 8, "target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
    "patterns": {
        "r": 8,
        "target_modules": LINEAR,
        "rank_pattern": {"q_proj": 4, r"^model\.layers\.1\.mlp\.up_proj": 24},
        "alpha_pattern": {"layers.0.self_attn.q_proj": 5, "v_proj": 40},
    },
    "embeddings": {"r": 8, "target_modules": ["embed_tokens", "q_proj"]},
    "head": {"r": 8, "target_modules": ["lm_head", "q_proj"]},
    "conv1d and a head": {"r": 8, "target_modules": ["attn.c_proj", "lm_head"]},
    "conv1d": {"r": 8, "target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True},
}


def make_base(folder: Path, kind: str, dtype: torch.dtype) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if "conv1d" in kind:
        of_gpt2 = {"n_embd": 96, "n_layer": 2, "n_head": 4, "n_positions": 32}
        model: Any = GPT2LMHeadModel(
            GPT2Config(vocab_size=96, tie_word_embeddings="head" not in kind, **of_gpt2)
        )
    else:
        config = LlamaConfig(
            vocab_size=96,
            hidden_size=96,
            intermediate_size=272,
            num_hidden_layers=2,
            num_attention_heads=4,
            attention_bias="bias" in kind,
            tie_word_embeddings="tied" in kind,
        )
        model = LlamaForCausalLM(config)
    model.to(dtype).save_pretrained(folder)


def make_adapter(base: Path, folder: Path, kind: str, dtype: torch.dtype) -> None:
    """As peft saves it: every number in it random, as after some training."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    adapted = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", lora_alpha=16, init_lora_weights=False, **KINDS[kind])
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                scale = 0.2 if "magnitude" in name else 0.02
                parameter.add_(torch.randn_like(parameter) * scale * (0.2 if "lora_" not in name else 1))
    adapted.save_pretrained(folder)


def merged_by_peft(base: Path, adapter: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    whole: Any = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return dict(whole.state_dict())


def sum_of_magnitudes(base: Path, adapter: Path, name: str) -> torch.Tensor | float:
    """R · Σ|B·A| of the factors that go on the tensor; 0 where there are none."""
    found = load_file(adapter / "adapter_model.safetensors")
    module = f"base_model.model.{name.removesuffix('.weight')}"
    for a_name, b_name in (("lora_A.weight", "lora_B.weight"), ("lora_embedding_A", "lora_embedding_B")):
        a, b = found.get(f"{module}.{a_name}"), found.get(f"{module}.{b_name}")
        if a is not None and b is not None:
            total = a.shape[0] * (b.double().abs() @ a.double().abs())
            config = json.loads((base / "config.json").read_text())
            turned = a_name == "lora_embedding_A" or (
                config["model_type"] == "gpt2" and "lm_head" not in name
            )
            return total.T if turned else total
    return 0.0


def is_near(folder: Path, kind: str, name: str, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Within R · 2^-24 · Σ|B·A| · |s|, and the rounding of the last sum to float32."""
    scale = 10 if kind == "patterns" else 16 / 32**0.5 if "rslora" in kind else 2  # the largest of them
    room = scale * 2.0**-24 * sum_of_magnitudes(folder / "base", folder / "adapter", name)
    return (one.double() - other.double()).abs() <= room + 2.0**-23 * one.double().abs()


def by_the_engine(folder: Path) -> dict[str, torch.Tensor]:
    recipe = {"merge_method": "linear", "base_model": "base", "models": [{"model": "adapter"}]}
    recipe["parameters"] = {"weight": 1}
    run_merge(plan_merge(parse_recipe(recipe, folder)), folder / "out")
    assert not verify_output(folder / "out").weights
    return load_file(folder / "out" / "model.safetensors")


def steps_apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """How many bfloat16 numbers lie between."""

    def order(words: torch.Tensor) -> torch.Tensor:
        bits = words.view(torch.int16).to(torch.int32)
        return torch.where(bits < 0, -(bits & 0x7FFF), bits)

    return (order(one) - order(other)).abs()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "embeddings"])
def test_in_bfloat16(tmp_path: Path, kind: str) -> None:
    """One step apart, but where the base and the sum cancel; peft rounds embeddings' sums twice."""
    make_base(tmp_path / "base", kind, torch.bfloat16)
    make_adapter(tmp_path / "base", tmp_path / "adapter", kind, torch.bfloat16)
    theirs = merged_by_peft(tmp_path / "base", tmp_path / "adapter", torch.bfloat16)
    ours = by_the_engine(tmp_path)
    base = load_file(tmp_path / "base" / "model.safetensors")
    assert ours.keys() == base.keys()
    apart = torch.cat([steps_apart(ours[name], theirs[name]).flatten() for name in ours])
    near = torch.cat([is_near(tmp_path, kind, name, ours[name], theirs[name]).flatten() for name in ours])
    changed = sum(int((ours[name] != base[name]).sum()) for name in ours)
    assert changed > 2000
    assert (apart > 0).sum() <= 0.001 * apart.numel()
    assert apart[~near].numel() == 0 or apart[~near].max() <= (2 if kind == "dora" else 1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dora"])
def test_in_float32(tmp_path: Path, kind: str) -> None:
    make_base(tmp_path / "base", kind, torch.float32)
    make_adapter(tmp_path / "base", tmp_path / "adapter", kind, torch.float32)
    theirs = merged_by_peft(tmp_path / "base", tmp_path / "adapter", torch.float32)
    ours = by_the_engine(tmp_path)
    for name, tensor in ours.items():
        assert is_near(tmp_path, kind, name, tensor, theirs[name]).all(), name


@pytest.mark.parametrize("saved", [["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"]], ids="+".join)
@pytest.mark.parametrize("tied", [False, True])
def test_modules_of_a_tied_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[str], tied: bool
) -> None:
    """What was saved as a module of its own is no longer tied, but where peft was told to tie it again."""
    said = {"r": 8, "target_modules": ["q_proj"], "modules_to_save": saved, "ensure_weight_tying": tied}
    monkeypatch.setitem(KINDS, "tied", said)
    make_base(tmp_path / "base", "tied", torch.bfloat16)
    make_adapter(tmp_path / "base", tmp_path / "adapter", "tied", torch.bfloat16)
    theirs = merged_by_peft(tmp_path / "base", tmp_path / "adapter", torch.bfloat16)
    ours = by_the_engine(tmp_path)
    embedding, head = theirs["model.embed_tokens.weight"], theirs["lm_head.weight"]
    assert torch.equal(ours["model.embed_tokens.weight"], embedding)
    assert torch.equal(ours.get("lm_head.weight", ours["model.embed_tokens.weight"]), head)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["tie_word_embeddings"] is torch.equal(head, embedding)


def test_it_loads_and_speaks_as_the_adapter_does(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    kind = "rslora on everything"
    make_base(tmp_path / "base", kind, torch.float32)
    make_adapter(tmp_path / "base", tmp_path / "adapter", kind, torch.float32)
    by_the_engine(tmp_path)
    tokens = torch.arange(12)[None]
    under = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(under, tmp_path / "adapter")(tokens).logits
        ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)(tokens).logits
    assert torch.allclose(ours, theirs, atol=1e-4)
