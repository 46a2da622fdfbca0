"""Layers of one kind or another, put together: the result computes what its layers did in their models.

The models are saved without the lists that transformers writes of late, as those on the Hub are. By hand, the
layers of the loaded models are put into one, with the kinds that transformers gave them there.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from core import plan_merge, run_merge
from core.checkpoint.layer_kinds import FAMILIES, listed_kinds
from core.errors import IncompatibleError
from core.recipe.parsing import parse_recipe

LAYERS = 4
PLAIN = {
    "vocab_size": 67,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
WINDOW = {**PLAIN, "sliding_window": 3}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT = {
    **PLAIN,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma2": ("gemma2", WINDOW),
    "gemma3": ("gemma3_text", {**WINDOW, "sliding_window_pattern": 3}),
    "cohere2": ("cohere2", {**WINDOW, "sliding_window_pattern": 3}),
    "olmo3": ("olmo3", WINDOW),
    "qwen2": ("qwen2", {**WINDOW, "use_sliding_window": True, "max_window_layers": 2}),
    "gpt_oss": ("gpt_oss", {**WINDOW, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "smollm3": ("smollm3", {**WINDOW, "use_sliding_window": True, "no_rope_layer_interval": 3}),
    "llama4": (
        "llama4_text",
        {
            **PLAIN,
            **{"num_local_experts": 4, "intermediate_size_mlp": 48, "attention_chunk_size": 4},
            **{"interleave_moe_layer_step": 2, "no_rope_layer_interval": 3, "no_rope_layers": []},
        },
    ),
    "qwen3_next": (
        "qwen3_next",
        {
            **PLAIN,
            **EXPERTS,
            **LINEAR,
            "shared_expert_intermediate_size": 24,
            "full_attention_interval": 2,
            "decoder_sparse_step": 2,
        },
    ),
    "qwen2_moe": (
        "qwen2_moe",
        {**PLAIN, **EXPERTS, "shared_expert_intermediate_size": 24, "mlp_only_layers": [1]},
    ),
    "recurrent_gemma": (
        "recurrent_gemma",
        {
            **PLAIN,
            **{"lru_width": 32, "attention_window_size": 3, "num_hidden_layers": 6},
            "block_types": ["recurrent", "recurrent", "attention"],
        },
    ),
    "glm4_moe_lite": ("glm4_moe_lite", LATENT),
    "deepseek_v3": ("deepseek_v3", LATENT),
    "lfm2": ("lfm2", {**PLAIN, "full_attn_idxs": [1, 3]}),
}
LISTS = ("layer_types", "mlp_layer_types", "moe_layers", "no_rope_layers")
STACKS = {
    "deepseek_v3": [("a", 0, 3), ("b", 1, 4)],
    "glm4_moe_lite": [("a", 0, 2), ("b", 0, 3)],
    "qwen2": [("a", 0, 3), ("b", 1, 4)],
    "recurrent_gemma": [("a", 0, 5), ("b", 3, 6)],
}
"""Such that a layer gets a number that is one of another kind; where that cannot be said, no such one."""
QUICK = ("gemma2", "qwen3_next")


def saved(place: Path, name: str, seed: int) -> None:
    model_type, given = MODELS[name]
    config = transformers.AutoConfig.for_model(model_type, **given)
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for parameter in model.parameters():  # so that every layer counts in the result
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(place)
    said = json.loads((place / "config.json").read_text())
    said = {key: value for key, value in said.items() if key not in LISTS or key in given}
    (place / "config.json").write_text(json.dumps(said | given))


def loaded(place: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        place, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )


def by_hand(models: dict[str, Any], stack: list[tuple[str, int, int]]) -> Any:
    """The first model with layers of both, with the head and what is beside it of the last."""
    result = copy.deepcopy(models[stack[0][0]])
    last = models[stack[-1][0]]
    layers = [(models[name], at) for name, first, end in stack for at in range(first, end)]
    inner = result.model
    inner.layers = torch.nn.ModuleList(copy.deepcopy(model.model.layers[at]) for model, at in layers)
    for name, module in last.model.named_children():
        if "norm" in name:
            setattr(inner, name, copy.deepcopy(module))
    result.lm_head = copy.deepcopy(last.lm_head)
    for config in {id(one): one for one in (result.config, inner.config)}.values():
        config.num_hidden_layers = len(layers)
        for key in ("layer_types", "no_rope_layers", "layers_block_type"):
            own = [getattr(model.config, key, None) for model, _ in layers]
            if all(isinstance(one, list) for one in own) and key in config.to_dict():
                setattr(config, key, [one[at] for one, (_, at) in zip(own, layers, strict=True)])
        if hasattr(config, "block_types"):
            kinds = [(model.config.block_types * LAYERS)[at] for model, at in layers]
            config.block_types = kinds
    return result


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MODELS]
)
def test_a_stack_computes_what_its_layers_did(name: str, tmp_path: Path) -> None:
    for seed, part in enumerate("ab"):
        saved(tmp_path / part, name, seed)
    stack = STACKS.get(name, [("a", 0, 2), ("b", 1, 4), ("a", 2, 3)])
    slices = [{"sources": [{"model": part, "layer_range": [first, end]}]} for part, first, end in stack]
    recipe = parse_recipe({"merge_method": "passthrough", "slices": slices}, tmp_path)
    run_merge(plan_merge(recipe), tmp_path / "out")
    model, told = loaded(tmp_path / "out")
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), told
    hand = by_hand({part: loaded(tmp_path / part)[0] for part in "ab"}, stack)
    tokens = torch.randint(3, 67, (2, 12), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        found, expected = (one(tokens, use_cache=False).logits for one in (model, hand))
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_what_cannot_be_said_of_the_layers_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a", "deepseek_v3", 0)
    whole = {"sources": [{"model": "a", "layer_range": [0, LAYERS]}]}
    recipe = parse_recipe({"merge_method": "passthrough", "slices": [whole, whole]}, tmp_path)
    with pytest.raises(IncompatibleError, match=r"first_k_dense_replace: 1.*layer 4 of the result"):
        plan_merge(recipe)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_rules_are_those_of_transformers(family: str) -> None:
    count = 13
    said: dict[str, Any] = {"num_hidden_layers": count}
    if "qwen" in family:
        said |= {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 5}
    config = CONFIG_MAPPING[family](**said)
    config = getattr(config, "text_config", config)
    for key, rule in listed_kinds(family).items():
        expected = [str(one) if isinstance(one, str) else one for one in getattr(config, key)]
        if key == "block_types":
            expected = (expected * count)[:count]
        assert [rule(at, said) for at in range(count)] == expected, key
